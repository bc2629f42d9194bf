// Package testkit makes the people, keys and messages that tests are about. Everything in it is signed and encrypted for
// real, with nothing but the standard library, and the same seed makes the same bytes: a test that fails once fails always.
//
// It shares no code with the packages under test, so what it produces is an independent second opinion: its canonical JSON
// comes from encoding/json, its Megolm ratchet walks from boundary to boundary instead of counting steps.
//
//	kit := testkit.New("alice writes to bob")
//	alice, bob := kit.User("@alice:example.org"), kit.User("@bob:example.org")
//	phone := alice.Device("ALICEPHONE").CrossSigned()
//	desk := bob.Device("BOBDESK").CrossSigned()
//
//	session := kit.Outbound()
//	answer := kit.KeysQuery(alice, bob)                                      // body of a /keys/query answer
//	payload := phone.RoomKey(desk, "!room:example.org", session)             // decrypted Olm payload of an m.room_key
//	event := phone.Message("!room:example.org", session, "hello")            // m.room.encrypted event
//
// A mistake in using the kit panics: there is no caller who could handle it.
package testkit
