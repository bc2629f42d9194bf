// What diagnose() answers, put together from those who know a part of it. The rule: whatever is broken, it answers, and in no part of it is anything that
// decrypts something.

import type { Door } from "./engine.js";
import { KnownSenderError } from "./errors.js";
import { SCHEMA, schemaVersion, type IdbHost } from "./idb/index.js";
import { parse } from "./json.js";
import type { Reports } from "./reports.js";
import type { Tabs } from "./tabs.js";
import type { Diagnosis, LaneCounts, QuarantinedRows, Refusal, RoomKeyCounts } from "./types.js";
import { formats, version } from "./version.js";

/** Where a machine's parts are. */
export interface Parts {
  readonly engine: Door;
  readonly reports: Reports;
  /** The database; undefined for memory. */
  readonly database: Pick<IdbHost, "health"> | undefined;
  readonly name: string;
  /** What kind of key it was opened with; empty for none. */
  encryption: string;
  readonly tabs: Tabs | undefined;
  /** Whether the client gave a fetch. */
  readonly fetches: boolean;
  /** There is no connection, or the page is put away. */
  asleep: boolean;
}

/** What the program says of its part: unwritten, next retry, and for each kind of damage table, code, count and when it was last found. */
type Told = readonly [number, number, ...(string | number)[]];

export async function diagnose({ engine, reports, database, name, encryption, tabs, fetches, asleep }: Parts): Promise<Diagnosis> {
  let failure: Refusal | null = null;
  const asked = async <T>(method: string): Promise<T | null> => {
    try {
      return parse<T>(await engine.callText(method, []));
    } catch (thrown) {
      if (!(thrown instanceof KnownSenderError)) throw thrown;
      failure = { code: thrown.code, message: thrown.message };
      return null;
    }
  };
  const told = await asked<Told>("diagnose");
  const roomKeys = await asked<RoomKeyCounts>("roomKeyCounts");
  const health = await database?.health();
  let counts: LaneCounts | null = null;
  try {
    counts = parse<LaneCounts>(await engine.ask("laneCounts", []));
  } catch {
    // the program has ended, as `failure` says
  }
  const quarantined: QuarantinedRows[] = [];
  for (let i = 2; told !== null && i < told.length; i += 4) {
    const [table, code, count, lastFoundAt] = told.slice(i) as [string, string, number, number];
    quarantined.push({ table: table || null, code: code || null, count, lastFoundAt });
  }
  return {
    at: Date.now(),
    versions: { package: version, schema: schemaVersion(SCHEMA), readsSchemasUpTo: SCHEMA.compatibleUpTo, formats },
    store: {
      name: name || null,
      encryption: encryption === "passphrase" || encryption === "hostKey" ? encryption : null,
      schema: health?.version ?? null,
      generation: health?.generation ?? null,
      created: health?.created ?? true,
      persistence: health?.persistence ?? null,
      usage: health?.room?.usage ?? null,
      quota: health?.room?.quota ?? null,
      low: health?.low ?? false,
    },
    roomKeys,
    quarantined: told && quarantined,
    unwritten: told && told[0],
    lanes: counts && { ...counts, nextRetry: told === null || told[1] < 0 ? null : told[1], asleep, runs: !fetches ? "client" : tabs?.leading === false ? "other_tab" : "here" },
    reports: reports.past,
    failure,
  };
}
