// The recorded traffic, as the demo plays it. Three receivers were recorded, each with keys of its own, so the demo opens three machines: room
// keys meant for another device are refused, here as anywhere. Nothing is added to what was recorded; keys and ids are read from the files.

/** A room key as a client's own Olm decrypted it. */
export interface RecordedKey {
  readonly sender: string;
  readonly senderKey: string;
  /** The payload as text, as it was recorded. */
  readonly payload: string;
  readonly roomId: string;
  readonly sessionId: string;
  /** What the table calls it. */
  readonly title: string;
  readonly client: string;
}

/** An encrypted room event. */
export interface RecordedEvent {
  /** As text, as it was recorded. */
  readonly text: string;
  readonly eventId: string;
  readonly sender: string;
  readonly sessionId: string;
  readonly roomId: string;
  readonly sentAt: number;
  /** The plaintext, where it was recorded beside the event. */
  readonly plaintext: string | null;
}

/** A key file that a client wrote, and its passphrase. The keys in it are those that the receiver `account` was sent. */
export interface RecordedExport {
  readonly name: string;
  readonly client: string;
  readonly account: string;
  /** As text, as it was recorded. */
  readonly text: string;
  readonly passphrase: string;
}

/** One receiver of the recordings, and what it received. */
export interface RecordedAccount {
  readonly name: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly identityKeys: { readonly ed25519: string; readonly curve25519: string };
  readonly keys: readonly RecordedKey[];
  readonly withheld: readonly string[];
  readonly events: readonly RecordedEvent[];
  /** Answers to /keys/query, in the order they came. */
  readonly answers: readonly string[];
}

interface Files {
  readonly name: string;
  readonly deviceId: string;
  readonly keys: readonly { readonly payload: string; readonly raw: string; readonly title: string; readonly client: string }[];
  readonly withheld?: readonly string[];
  readonly events: readonly { readonly event: string; readonly plaintext?: string }[];
  readonly answers: readonly string[];
}

// The recordings name BOBDEV1 in an answer to /keys/query; the other receivers' device ids are nowhere on the wire and play no part.
const accounts: readonly Files[] = [
  {
    name: "bob",
    deviceId: "BOBDEV1",
    keys: [{ payload: "js-sdk/olm-payload-m.room_key.json", raw: "js-sdk/to_device-m.room.encrypted.json", title: "a signed device", client: "matrix-js-sdk" }],
    events: [
      { event: "js-sdk/room-event-m.room.encrypted.json", plaintext: "js-sdk/room-event-plaintext.json" },
      { event: "js-sdk/room-event-m.room.encrypted-2.json" },
    ],
    answers: ["js-sdk/keys-query-response.json"],
  },
  {
    name: "other-bob",
    deviceId: "BOBDEV1",
    keys: [
      { payload: "js-sdk/a-unsigned-device.m.room_key.json", raw: "js-sdk/a-unsigned-device.to_device.json", title: "before its owner signed it", client: "matrix-js-sdk" },
      { payload: "js-sdk/b-signed-device.m.room_key.json", raw: "js-sdk/b-signed-device.to_device.json", title: "after its owner signed it", client: "matrix-js-sdk" },
    ],
    withheld: ["js-sdk/c-withheld.to_device.json"],
    events: [{ event: "js-sdk/a-unsigned-device.room-event.json" }, { event: "js-sdk/b-signed-device.room-event.json" }],
    answers: ["js-sdk/a-unsigned-device.keys-query.json", "js-sdk/b-signed-device.keys-query.json"],
  },
  {
    name: "mb",
    deviceId: "MB1",
    keys: [{ payload: "mautrix/MX1-m.room_key.json", raw: "mautrix/MX1-to_device.json", title: "no cross-signing", client: "mautrix-go" }],
    events: [{ event: "mautrix/MX1-room-event.json" }],
    answers: ["mautrix/MX1-keys-query.json"],
  },
];

/** Reads the key files that were recorded. */
export async function readExports(read: (path: string) => Promise<string>): Promise<readonly RecordedExport[]> {
  const { exportPassphrase } = JSON.parse(await read("js-sdk/secrets-for-samples.json")) as { readonly exportPassphrase: string };
  return [
    { name: "export-encrypted.txt", client: "matrix-js-sdk", account: "bob", text: await read("js-sdk/export-encrypted.txt"), passphrase: exportPassphrase },
    // The recordings' README has this one.
    { name: "MX1-export.txt", client: "mautrix-go", account: "mb", text: await read("mautrix/MX1-export.txt"), passphrase: "mautrix export" },
  ];
}

interface Payload {
  readonly recipient: string;
  readonly recipient_keys: { readonly ed25519: string };
  readonly content: { readonly room_id: string; readonly session_id: string };
}

interface ToDevice {
  readonly sender: string;
  readonly content: { readonly sender_key: string; readonly ciphertext: Readonly<Record<string, unknown>> };
}

interface RoomEvent {
  readonly event_id: string;
  readonly sender: string;
  readonly origin_server_ts: number;
  readonly content: { readonly session_id: string };
}

/** Reads everything that was recorded. `read` gives the text of a file of the recordings. */
export async function readRecording(read: (path: string) => Promise<string>): Promise<readonly RecordedAccount[]> {
  return Promise.all(accounts.map((files) => readAccount(files, read)));
}

async function readAccount(files: Files, read: (path: string) => Promise<string>): Promise<RecordedAccount> {
  const keys: RecordedKey[] = [];
  let userId = "";
  let ed25519 = "";
  let curve25519 = "";
  for (const { payload, raw, title, client } of files.keys) {
    const text = await read(payload);
    const inside = JSON.parse(text) as Payload;
    const outside = JSON.parse(await read(raw)) as ToDevice;
    userId = inside.recipient;
    ed25519 = inside.recipient_keys.ed25519;
    // The raw message is addressed to our key, and says which key it comes from.
    curve25519 = Object.keys(outside.content.ciphertext)[0] ?? "";
    const { room_id: roomId, session_id: sessionId } = inside.content;
    keys.push({ sender: outside.sender, senderKey: outside.content.sender_key, payload: text, roomId, sessionId, title, client });
  }
  const events: RecordedEvent[] = [];
  for (const { event, plaintext } of files.events) {
    const text = await read(event);
    const { event_id: eventId, sender, origin_server_ts: sentAt, content } = JSON.parse(text) as RoomEvent;
    const key = keys.find(({ sessionId }) => sessionId === content.session_id);
    if (key === undefined) throw new Error(`The recordings hold no key for ${event}.`);
    const recorded = plaintext === undefined ? null : (JSON.parse(await read(plaintext)) as { readonly plaintext: { readonly content: { readonly body: string } } });
    events.push({ text, eventId, sender, sentAt, sessionId: key.sessionId, roomId: key.roomId, plaintext: recorded?.plaintext.content.body ?? null });
  }
  return {
    name: files.name,
    userId,
    deviceId: files.deviceId,
    identityKeys: { ed25519, curve25519 },
    keys,
    withheld: await Promise.all((files.withheld ?? []).map(read)),
    events,
    answers: await Promise.all(files.answers.map(read)),
  };
}
