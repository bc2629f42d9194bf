// Why an event is not shown, in matrix-js-sdk's words, which clients draw. The SDK keeps the code of its own DecryptionError and of no other error.

import { KnownMembership, type MatrixEvent } from "matrix-js-sdk";
import { DecryptionError as SdkDecryptionError } from "matrix-js-sdk/lib/common-crypto/CryptoBackend.js";
import { DecryptionFailureCode } from "matrix-js-sdk/lib/crypto-api/index.js";
import { DecryptionError } from "../../decryption.js";
import { textOf } from "../../errors.js";

/** matrix-js-sdk's error for one of ours. */
export function sdkFailure(event: MatrixEvent, thrown: unknown): SdkDecryptionError {
  const code = thrown instanceof DecryptionError ? failureCode(event, thrown) : DecryptionFailureCode.UNKNOWN_ERROR;
  return new SdkDecryptionError(code, textOf(thrown), thrown instanceof DecryptionError ? { code: thrown.code } : {});
}

function failureCode(event: MatrixEvent, { encryptionInfo, withheld }: DecryptionError): DecryptionFailureCode {
  const name = encryptionInfo?.verdict.names.decryptionFailureCode ?? "";
  const code = (DecryptionFailureCode as Readonly<Record<string, DecryptionFailureCode>>)[name] ?? DecryptionFailureCode.UNKNOWN_ERROR;
  switch (code) {
    case DecryptionFailureCode.MEGOLM_UNKNOWN_INBOUND_SESSION_ID:
    case DecryptionFailureCode.OLM_UNKNOWN_MESSAGE_INDEX: {
      const membership = event.getMembershipAtEvent();
      const absent = membership !== undefined && membership !== KnownMembership.Join && membership !== KnownMembership.Invite;
      return absent ? DecryptionFailureCode.HISTORICAL_MESSAGE_USER_NOT_JOINED : code;
    }
    case DecryptionFailureCode.MEGOLM_KEY_WITHHELD:
      return withheld?.code === "m.unverified" ? DecryptionFailureCode.MEGOLM_KEY_WITHHELD_FOR_UNVERIFIED_DEVICE : code;
    default:
      return code;
  }
}
