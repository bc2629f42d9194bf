package olm_test

import (
	"strings"
	"testing"

	"knownsender/core/olm"
)

// What a room key costs on its way in. Both times include reading the message.

var roomKey = strings.Repeat("x", 1400) // bytes of an m.room_key with sender_device_keys

func BenchmarkDecryptPreKeyMessage(b *testing.B) {
	alice, bob := strangers()
	alice.begin(bob)
	m := alice.encrypt(roomKey)
	b.ReportAllocs()
	for b.Loop() {
		must(bob.channels.Decrypt(bob.account, m.parse()))
	}
}

// The sender goes on in the same turn: the common case of one device that shares many room keys.
func BenchmarkDecryptMessage(b *testing.B) {
	alice, bob := conversing(b)
	bob.decrypt(alice.encrypt(roomKey))
	m := alice.encrypt(roomKey)
	b.ReportAllocs()
	for b.Loop() {
		must(bob.channels.Decrypt(bob.account, m.parse()))
	}
}

// The first message after an answer: a key agreement more.
func BenchmarkDecryptFirstMessageOfTurn(b *testing.B) {
	alice, bob := conversing(b)
	m := alice.encrypt(roomKey)
	b.ReportAllocs()
	for b.Loop() {
		must(bob.channels.Decrypt(bob.account, m.parse()))
	}
}

func BenchmarkEncryptMessage(b *testing.B) {
	_, bob := conversing(b)
	b.ReportAllocs()
	for b.Loop() {
		bob.channels.Encrypt([]byte(roomKey))
	}
}

// A full account at start-up.
func BenchmarkParseAccountState(b *testing.B) {
	state := olm.NewAccount().GenerateOneTimeKeys(olm.MaxOneTimeKeys).GenerateFallbackKey().AppendState(nil)
	b.ReportAllocs()
	for b.Loop() {
		must(olm.ParseAccountState(state))
	}
}

func BenchmarkParseChannelsState(b *testing.B) {
	_, bob := conversing(b)
	state := bob.channels.AppendState(nil)
	b.ReportAllocs()
	for b.Loop() {
		must(olm.ParseChannelsState(state))
	}
}

func BenchmarkGenerateFiftyOneTimeKeys(b *testing.B) {
	account := olm.NewAccount()
	for b.Loop() {
		account.GenerateOneTimeKeys(50)
	}
}
