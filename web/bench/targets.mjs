// Every row of the tables in its order. A row is in the group of scenarios that its name begins with.

/**
 * By row: the scenario's words; how many times as fast as the peer it is to be (null: told, not judged); and the unit of what is measured, where that is
 * not time.
 */
export const targets = new Map([
  ["size.raw", ["wasm and JavaScript", null, "kB"]],
  ["size.gzip", ["the same, gzip", null, "kB"]],
  ["size.brotli", ["the same, brotli", 1.15, "kB"]],
  ["start.first", ["navigation to machine ready, first visit", 1]],
  ["start.later", ["the same, later visit", null]],
  ["start.full", ["the same, later visit, 10,000 sessions and 500 users stored", 1.5]],
  ["reception.batch", ["a room key received, Olm included, 50 in a sync", 4]],
  ["reception.single", ["the same, one in a sync", 4]],
  ["reception.strangers", ["the same, 50 in a sync, each from a device never seen before", 4]],
  ["sync.50", ["a sync with nothing for us, 50 private one-time keys", 50]],
  ["sync.550", ["the same, 550", 50]],
  ["decryption.along", ["a message decrypted, along one session", 5]],
  ["decryption.across", ["the same, across 500 sessions, just received", 4]],
  ["decryption.reopened", ["the same, across 500 sessions, store opened again", 4]],
  ["decryption.together", ["the same, 100 at once, one of a session", null]],
  ["imported.decryption", ["the same, imported sessions, sender with 50 devices", 15]],
  ["verdict.first", ["verdict of a decrypted event", 100]],
  ["verdict.news", ["the same, after news of somebody", null]],
  ["verdict.again", ["the same, asked again", null]],
  ["files.import.1000", ["import of 1,000 room keys", null]],
  ["files.export.1000", ["export of 1,000 room keys", null]],
  ["files.import.10000", ["import of 10,000 room keys", 5]],
  ["files.export.10000", ["export of 10,000 room keys", 4]],
  ["people.one", ["/keys/query of a user with 50 devices, first", null]],
  ["people.one.again", ["the same, unchanged", null]],
  ["people.many", ["/keys/query of 500 users with 2 devices, first", 6]],
  ["people.many.again", ["the same, unchanged", 20]],
  ["standing.imported.known", ["10,000 imported sessions, their device becomes known", 500]],
  ["standing.imported.renamed", ["10,000 imported sessions, their device is renamed", 500]],
  ["risen", ["10,000 direct sessions, their sender becomes known", 20]],
  ["sending.first", ["first message in a room of 500 users with 2 devices", null]],
  ["sending.later", ["every later message there", 20]],
  ["memory.linear", ["linear memory after importing 10,000 room keys", null, "MiB"]],
  ["memory.disk", ["storage after importing 10,000 room keys", null, "MiB"]],
]);

/** What the page itself costs. */
export const limits = new Map([
  ["limits.ed25519", "WebCrypto, Ed25519 verification"],
  ["limits.ed25519.import", "the same, key import included"],
  ["limits.x25519", "WebCrypto, X25519 agreement"],
  ["limits.aes", "WebCrypto, AES-CBC decryption of 200 bytes"],
  ["limits.hmac", "WebCrypto, HMAC-SHA-256 of 200 bytes"],
  ["limits.sha256", "WebCrypto, SHA-256 of 200 bytes"],
  ["limits.put.relaxed", "IndexedDB, a transaction that writes a row, relaxed"],
  ["limits.put.strict", "the same, strict"],
  ["limits.put.10000", "IndexedDB, a transaction that writes 10,000 rows of 600 bytes"],
  ["limits.put.100", "the same bytes in 100 rows"],
  ["limits.get", "IndexedDB, a row read in a transaction of its own"],
  ["limits.get.shared", "the same, in a transaction of 1,000 reads"],
]);

/** What is done beside ever more stored sessions. */
export const growing = new Map([
  ["growth.open", "a machine opened"],
  ["growth.sync", "a sync with nothing for us"],
  ["growth.reception", "a room key received, 50 in a sync"],
  ["growth.decryption", "a message decrypted, 50 stored sessions of a room"],
  ["growth.import", "100 more room keys imported"],
  ["growth.people", "/keys/query of 100 users, unchanged"],
  ["growth.known", "a device of 20 sessions becomes known"],
]);

/** How many times as much any of that may cost beside the most sessions as beside the fewest. */
export const mostGrowth = 2;

/** What is judged in every row besides: for how long the page's thread may not be free at a time, in milliseconds. */
export const longestBlock = 50;

/** A row below this part of its target fails. */
export const tolerance = 0.8;
