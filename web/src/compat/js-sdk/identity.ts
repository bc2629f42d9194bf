// Our own identity, set up as clients of matrix-js-sdk set it up: the server may want the user to authenticate, and secret storage, which is the SDK's,
// keeps the private keys between devices.

import type { MatrixClient, UIAuthCallback } from "matrix-js-sdk";
import { KnownSenderError } from "../../errors.js";
import type { OlmMachine } from "../../machine.js";
import { crossSigningKeysFrom, crossSigningSecrets } from "../../secret_storage.js";
import { queryKeys, send, sendWithAuth } from "./requests.js";

/** As the SDK's options of the same name; secret storage is asked and told separately. */
export interface BootstrapCrossSigningOpts {
  /** Makes a new identity, whatever there is. */
  readonly setupNewCrossSigning?: boolean;
  /** Authenticates the user for the upload of the public keys. Without it the upload is tried as it is. */
  readonly authUploadDeviceSigningKeys?: UIAuthCallback<void>;
}

/** Makes an identity and tells the server, or tells it what it does not know of the one there is; our device is signed by it then. */
export async function bootstrapCrossSigning(client: MatrixClient, machine: OlmMachine, { setupNewCrossSigning: reset = false, authUploadDeviceSigningKeys }: BootstrapCrossSigningOpts): Promise<void> {
  await queryKeys(client, machine, [machine.userId]); // what is not known would be replaced
  const there = machine.getIdentity(machine.userId)?.masterKey;
  const { uploadKeysRequest, uploadSigningKeysRequest, uploadSignaturesRequest } = await machine.bootstrapCrossSigning({ reset });
  if (uploadKeysRequest !== null) await send(client, machine, uploadKeysRequest);
  if (reset || there === undefined) await sendWithAuth(client, machine, uploadSigningKeysRequest, authUploadDeviceSigningKeys);
  await send(client, machine, uploadSignaturesRequest);
  await queryKeys(client, machine, [machine.userId]);
}

/** Takes the private keys from secret storage, which the SDK opens. */
export async function importFromSecretStorage({ secretStorage }: MatrixClient, machine: OlmMachine): Promise<void> {
  await machine.importCrossSigningKeys(await crossSigningKeysFrom((name) => secretStorage.get(name)));
}

/** Puts the private keys there. Errors: `missing_signing_key` when there are none. */
export async function exportToSecretStorage({ secretStorage }: MatrixClient, machine: OlmMachine): Promise<void> {
  const held = await machine.exportCrossSigningKeys();
  if (held === null) throw new KnownSenderError("missing_signing_key", "There are no private cross-signing keys of our identity here.");
  const keys: Readonly<Record<string, string>> = { ...held };
  for (const [name, secret] of Object.entries(crossSigningSecrets)) if (keys[name] !== undefined) await secretStorage.store(secret, keys[name]);
}
