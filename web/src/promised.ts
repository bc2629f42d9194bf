// The methods of a machine that answer at once. A program in a worker cannot; there each has a counterpart of the same name that promises the answer.

import type { OlmMachine } from "./machine.js";

/** The names of the methods that answer at once. */
export type Synchronous =
  | "receiveRoomKeys" | "roomKeyBundleDescriptor" | "queryKeysForUsers" | "outgoingRequests" | "outdatedUsers" | "laneCounts" | "getIdentity"
  | "getRoomEventEncryptionInfo" | "setTrustRequirement";

/** Those methods, each with a promise of its answer. */
export type Promised = { readonly [Name in Synchronous]: (...args: Parameters<OlmMachine[Name]>) => Promise<ReturnType<OlmMachine[Name]>> };
