/**
 * knownsender as the crypto of a matrix-js-sdk client that was created without its own. matrix-js-sdk is a peer dependency of this entry alone.
 */

export { initKnownSenderCrypto, type KnownSenderCrypto, type KnownSenderCryptoOptions } from "./crypto.js";
export type { BootstrapCrossSigningOpts } from "./identity.js";
