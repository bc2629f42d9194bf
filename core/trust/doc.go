// Package trust is what we know of people over time: their devices, their cross-signing identities, which master key we met first, whom we
// verified, and whose device list may be out of date.
//
// Knowledge comes in by one road, the answer to /keys/query, and every row of the validation tables stands in application.go. It is kept
// twice: as UserRecord, one stored row a user with the JSON as received, and as Index, a compact table in memory that answers without
// waiting. An answer is applied in stages: Prepare lists the signatures to check, Finish decides without touching anything, Apply takes the
// decision over once its rows are committed.
//
// Nothing here judges a room key; that is core/sender, which asks the Index. An Index is not safe for concurrent use.
package trust
