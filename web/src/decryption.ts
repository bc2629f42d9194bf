// Why a room event is not shown. The error carries everything that is known of the sender, and never any plaintext.

import { KnownSenderError } from "./errors.js";
import type { EventEncryptionInfo, WithheldNotice } from "./types.js";

/**
 * A room event that cannot be decrypted, or that the policy withholds. `code` is one of
 *
 * - `bad_event`: not an encrypted Megolm event, or a member is missing or of the wrong form
 * - `unable_to_decrypt`: the message is broken, or not of this session; `reason` says what refused it
 * - `bad_plaintext`: what was encrypted is not a room event
 * - `session_not_loaded`: a synchronous question about a session that is not in memory; see {@link OlmMachine.loadRoom}
 * - the code of a withholding verdict, for example `no_key`, `unknown_index`, `withheld`, `replayed`, `wrong_room`, `bad_sender`,
 *   `tampered`, `mismatched_sender`, `unknown_device`, `unsigned_device`, `unverified_identity`, `verification_violation`,
 *   `authenticity_not_guaranteed`: the event is withheld, and `encryptionInfo.verdict` has matrix-sdk-crypto's and matrix-js-sdk's names for it
 */
export class DecryptionError extends KnownSenderError {
  /** The code of the room below that refused something, where one did. */
  readonly reason: string | null;
  /** Who sent the event, as far as is known, and the verdict; null when the event never got as far as that. */
  readonly encryptionInfo: EventEncryptionInfo | null;
  /** The notice that explains a missing key, where there is one. */
  readonly withheld: WithheldNotice | null;

  /** Made by the package. */
  constructor(
    code: string,
    message: string,
    details: {
      reason?: string | null;
      encryptionInfo?: EventEncryptionInfo | null;
      withheld?: WithheldNotice | null;
      expected?: string | undefined;
      got?: string | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(code, message, details);
    this.name = "DecryptionError";
    this.reason = details.reason ?? null;
    this.encryptionInfo = details.encryptionInfo ?? null;
    this.withheld = details.withheld ?? null;
  }
}
