// Package policy answers one question: may this event be shown, and with what warning?
//
// The answer is read from one table of data: a row for every state an event can be in, a column for every TrustRequirement. Nothing here
// remembers or changes anything; the same question has the same answer. The table exists a second time in core/testdata/policy.json, for
// readers that are not written in Go.
package policy
