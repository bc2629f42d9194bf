// Every row of the table in its order: the scenario's words, and how many times as fast as the peer it is to be (null: told, not judged). A row is in the
// group of scenarios that its name begins with.

export const targets = new Map([
  ["reception.batch", ["a room key received, Olm included, 50 in a sync", 4]],
  ["reception.single", ["the same, one in a sync", 4]],
  ["reception.strangers", ["the same, 50 in a sync, each from a device never seen before", 4]],
  ["sync.50", ["a sync with nothing for us, 50 private one-time keys", 50]],
  ["sync.550", ["the same, 550", 50]],
  ["decryption.along", ["a message decrypted, along one session", 5]],
  ["decryption.across", ["the same, across 500 sessions, just received", 4]],
  ["decryption.reopened", ["the same, across 500 sessions, store opened again", 4]],
  ["decryption.together", ["the same, 100 at once, one of a session", null]],
  ["verdict", ["verdict of a decrypted event", 100]],
]);

/** What is judged in every row besides: for how long the page's thread may not be free at a time, in milliseconds. */
export const longestBlock = 50;

/** A row below this part of its target fails. */
export const tolerance = 0.8;
