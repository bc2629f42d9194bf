// A homeserver's list of devices and identities, changed by the requests of whoever has one, ours or the peer's. Imported by pages alone.

import type { JsonObject, OlmMachine } from "../src/index.js";

type Peer = typeof import("@matrix-org/matrix-sdk-crypto-wasm");
type Theirs = InstanceType<Peer["OlmMachine"]>;
type Objects = Record<string, JsonObject>;

const members = { master_key: "master_keys", self_signing_key: "self_signing_keys", user_signing_key: "user_signing_keys" } as const;

export class Directory {
  readonly devices: Record<string, Objects> = {};
  readonly identities: Record<(typeof members)[keyof typeof members], Objects> = { master_keys: {}, self_signing_keys: {}, user_signing_keys: {} };

  /** Takes the body of a request, and answers. */
  take(type: string, body: string): string {
    const content = JSON.parse(body) as JsonObject;
    switch (type) {
      case "keys_upload": {
        const device = content["device_keys"] as { user_id: string; device_id: string } | undefined;
        if (device !== undefined) (this.devices[device.user_id] ??= {})[device.device_id] = device as unknown as JsonObject;
        return '{"one_time_key_counts":{"signed_curve25519":50}}';
      }
      case "signing_keys_upload":
        for (const [of, list] of Object.entries(members)) {
          const key = content[of] as { user_id: string } | undefined;
          if (key !== undefined) this.identities[list][key.user_id] = key as unknown as JsonObject;
        }
        return "{}";
      case "signature_upload":
        for (const [user, objects] of Object.entries(content as Record<string, Objects>)) {
          for (const [name, object] of Object.entries(objects)) {
            const listed = this.devices[user]?.[name] ?? this.identities.master_keys[user];
            if (listed === undefined) throw new Error(`a signature over nothing: ${user} ${name}`);
            const all = (listed["signatures"] ??= {}) as Record<string, JsonObject>;
            for (const [by, more] of Object.entries(object["signatures"] as Record<string, JsonObject>)) all[by] = { ...all[by], ...more };
          }
        }
        return '{"failures":{}}';
      case "keys_query": {
        const asked = Object.keys(content["device_keys"] as JsonObject);
        const of = (list: Record<string, unknown>): JsonObject => Object.fromEntries(asked.flatMap((user) => (list[user] === undefined ? [] : [[user, list[user] as JsonObject]])));
        return JSON.stringify({ failures: {}, device_keys: of(this.devices), ...Object.fromEntries(Object.entries(this.identities).map(([name, list]) => [name, of(list)])) });
      }
    }
    return "{}";
  }

  /** Sends what a machine of ours has to send, to the end. */
  async serve(ours: OlmMachine): Promise<void> {
    for (let requests = ours.outgoingRequests(); requests.length > 0; requests = ours.outgoingRequests()) {
      for (const request of requests) await this.#mark(ours, request);
    }
  }

  async #mark(ours: OlmMachine, { id, type, body }: { id: string; type: string; body: string }): Promise<void> {
    await ours.markRequestAsSent(id, this.take(type, body));
  }

  /** Has a machine of ours know the users as they are listed now. */
  async tell(ours: OlmMachine, ...users: string[]): Promise<void> {
    await ours.updateTrackedUsers(users);
    await ours.receiveDeviceLists({ changed: users });
    await this.serve(ours);
  }

  async bootstrap(ours: OlmMachine): Promise<void> {
    const { uploadKeysRequest, uploadSigningKeysRequest, uploadSignaturesRequest } = await ours.bootstrapCrossSigning();
    for (const request of [uploadKeysRequest, uploadSigningKeysRequest, uploadSignaturesRequest]) if (request !== null) await this.#mark(ours, request);
    await this.tell(ours, ours.userId);
  }

  /** Sends what a machine of the peer's has to send. */
  async serveTheirs(theirs: Theirs): Promise<void> {
    for (const request of await theirs.outgoingRequests()) {
      const type = this.#type(request.type);
      await theirs.markRequestAsSent(request.id ?? "", request.type, this.take(type, (request as { body: string }).body));
    }
  }

  #type(type: number): string {
    return { [peer.RequestType.KeysUpload]: "keys_upload", [peer.RequestType.KeysQuery]: "keys_query", [peer.RequestType.SignatureUpload]: "signature_upload" }[type] ?? "";
  }

  async tellTheirs(theirs: Theirs, ...users: string[]): Promise<void> {
    const request = theirs.queryKeysForUsers(users.map((user) => new peer.UserId(user)));
    await theirs.markRequestAsSent(request.id, request.type, this.take("keys_query", request.body));
  }

  async bootstrapTheirs(theirs: Theirs): Promise<void> {
    await this.serveTheirs(theirs);
    const { uploadSigningKeysRequest, uploadSignaturesRequest } = await theirs.bootstrapCrossSigning(true);
    this.take("signing_keys_upload", uploadSigningKeysRequest.body);
    this.take("signature_upload", uploadSignaturesRequest.body);
  }

  /** A machine of the peer's, its keys uploaded. */
  async theirs(user: string, device: string): Promise<Theirs> {
    const theirs = await peer.OlmMachine.initialize(new peer.UserId(user), new peer.DeviceId(device));
    await this.serveTheirs(theirs);
    await this.tellTheirs(theirs, user);
    return theirs;
  }

  master(user: string): string {
    return Object.values(this.identities.master_keys[user]?.["keys"] as Record<string, string>)[0] ?? "";
  }
}
