/**
 * knownsender tells a web Matrix client who sent each Megolm room key. Importing this module does nothing: it reads no global, fetches
 * nothing and opens nothing before {@link initAsync}.
 */

export { Engine, type Argument, type CallOptions, type Door, type EngineOptions, type EventListener, type HostMethod } from "./engine.js";
export { EngineStoppedError, KnownSenderError } from "./errors.js";
export type { HostAnswer, HostFetch, HostRequest, HostResponse } from "./fetch.js";
export { initAsync, wasmModule, type InitOptions } from "./load.js";
export { DecryptionError } from "./decryption.js";
export { OlmMachine, type OpenOptions, type Unregister } from "./machine.js";
export type { Promised, Synchronous } from "./promised.js";
export { sentenceOf } from "./sentences.js";
export { SecretStorage, type AccountData, type SecretStorageKey } from "./secret_storage.js";
export type * from "./types.js";
export { version } from "./version.js";
