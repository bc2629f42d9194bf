/*
 * The IndexedDB bridge: what the rest of web/src may use of it.
 */

export { IdbHost, type DatabaseHealth, type IdbHostOptions, type IdbMethod } from "./host.js";
export { StoreError, type Conflict, type StoreErrorCode } from "./errors.js";
export type { IdbEvent, Persistence, Room } from "./events.js";
export { SCHEMA, schemaVersion, type Schema, type SchemaUpgrade } from "./schema.js";
