// The versions of this package and of what it writes. A test holds them against package.json and the sources in Go.

/** As package.json has it: a page cannot read that file. */
export const version = "0.1.0";

/** In which version each kind of record is written: core/record. */
export const formats = {
  account: 2, channels: 1, copy: 2, crossSigning: 1, judgeNote: 1, meta: 1, outbound: 1, replay: 1, request: 1, settings: 1, shares: 1, tombstone: 1, user: 1, withheld: 1,
} as const;
