package olm_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"knownsender/core/olm"
)

// reload is the device after its page was closed and opened.
func (d *device) reload() {
	d.account = must(olm.ParseAccountState(d.account.AppendState(nil)))
	d.channels = must(olm.ParseChannelsState(d.channels.AppendState(nil)))
}

// Given a conversation of chance in which messages are lost, late and doubled and new sessions are begun, when every value is stored and loaded at
// every step, then everything goes on as if it had not been.
func TestStateAtEveryStep(t *testing.T) {
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 0))
		alice, bob := strangers()
		alice.begin(bob)
		ends := [2]*device{alice, bob}
		type under struct {
			sealed
			to   int
			text string
		}
		var messages []under
		arrived := 0
		for step := range 200 {
			from := random.IntN(2)
			switch choice := random.IntN(10); {
			case choice == 0 && step > 20:
				ends[from].begin(ends[1-from])
			case choice < 5 && len(ends[from].channels.Sessions()) > 0:
				text := strconv.Itoa(step)
				messages = append(messages, under{ends[from].encrypt(text), 1 - from, text})
			case len(messages) > 0:
				i := random.IntN(len(messages))
				m := messages[i]
				if random.IntN(8) > 0 {
					messages = slices.Delete(messages, i, i+1) // else it comes again
				}
				before := ends[m.to].state()
				switch text, code := ends[m.to].decrypt(m.sealed); {
				case code == "" && text != m.text:
					t.Fatalf("seed %d, step %d: %q instead of %q", seed, step, text, m.text)
				case code == "":
					arrived++
				case ends[m.to].state() != before:
					t.Fatalf("seed %d, step %d: %s changed something", seed, step, code)
				}
			}
			for _, d := range ends {
				before := d.state()
				if d.reload(); d.state() != before {
					t.Fatalf("seed %d, step %d: another state came back", seed, step)
				}
			}
		}
		if arrived < 50 {
			t.Errorf("seed %d: only %d arrived", seed, arrived)
		}
	}
}

// Given a buffer of the caller's, when a state was read from it, then the buffer may be used for something else.
func TestStatesAreCopied(t *testing.T) {
	alice, bob := conversing(t)
	account, channels := bob.account.AppendState(nil), bob.channels.AppendState(nil)
	loaded := &device{account: must(olm.ParseAccountState(account)), channels: must(olm.ParseChannelsState(channels))}
	session := bob.channels.Sessions()[0].AppendState(nil)
	s := must(olm.ParseSessionState(session))
	clear(account)
	clear(channels)
	clear(session)
	m := alice.encrypt("hello")
	if plaintext, _, err := s.Decrypt(m.parse()); err != nil || string(plaintext) != "hello" {
		t.Errorf("got %q, %v", plaintext, err)
	}
	loaded.expect(t, m, "hello")
	bob.expect(t, m, "hello")
	if loaded.state() != bob.state() {
		t.Error("the two differ")
	}
}

func with(state []byte, offset int, values ...byte) []byte {
	changed := slices.Clone(state)
	copy(changed[offset:], values)
	return changed
}

func TestDamagedAccountStates(t *testing.T) {
	account := olm.NewAccount().GenerateOneTimeKeys(2).GenerateFallbackKey().GenerateFallbackKey()
	state := account.AppendState([]byte("before"))[len("before"):]
	const head = 4 + 96 + 64 + 4
	other := olm.NewAccount().AppendState(nil)
	low := badKeys["one"]
	damaged := map[string][]byte{
		"a byte more":                      append(slices.Clone(state), 0),
		"version 3":                        with(state, 3, 3),
		"version 2^31":                     with(state, 0, 0x80),
		"another fingerprint key":          with(state, 4, other[4:36]...),
		"another signing key":              with(state, 36, other[36:100]...),
		"no fingerprint key":               with(state, 4, make([]byte, 32)...),
		"no signing key":                   with(state, 36, make([]byte, 64)...),
		"another identity key":             with(state, 100, other[100:132]...),
		"another private identity key":     with(state, 132, other[132:164]...),
		"no private identity key":          with(state, 132, make([]byte, 32)...),
		"a one-time key less":              with(state, head-1, 1),
		"a one-time key more":              with(state, head-1, 3),
		"2^32-1 one-time keys":             with(state, head-4, 0xff, 0xff, 0xff, 0xff),
		"published is 2":                   with(state, head+4, 2),
		"a one-time key of low order":      with(state, head+5, low[:]...),
		"no one-time key":                  with(state, head+5, make([]byte, 32)...),
		"no private one-time key":          with(state, head+37, make([]byte, 32)...),
		"one fallback key":                 with(state, head+2*69, 1),
		"three fallback keys":              with(state, head+2*69, 3),
		"a fallback key of low order":      with(state, head+2*69+1+5, low[:]...),
		"no old fallback key":              with(state, head+2*69+1+69+5, make([]byte, 64)...),
		"501 one-time keys, all there":     bytes.Join([][]byte{with(state[:head], head-2, 1, 0xf5), bytes.Repeat(state[head:head+69], 501), state[head+2*69:]}, nil),
		"three fallback keys, all there":   slices.Concat(with(state, head+2*69, 3)[:len(state)-4], state[head:head+69], state[len(state)-4:]),
		"a session in place of an account": conversed(t).AppendState(nil),
	}
	for name, raw := range damaged {
		if _, err := olm.ParseAccountState(raw); codeOf(err) != olm.CodeOlmStateDamaged {
			t.Errorf("%s: %v", name, err)
		}
	}
	for length := range state {
		if _, err := olm.ParseAccountState(state[:length]); codeOf(err) != olm.CodeOlmStateDamaged {
			t.Errorf("%d bytes of %d: %v", length, len(state), err)
		}
	}
}

// conversed is a session with chains of both kinds and skipped keys.
func conversed(t *testing.T) *olm.Session {
	alice, bob := conversing(t)
	alice.encrypt("lost")
	bob.expect(t, alice.encrypt("hello"), "hello")
	bob.encrypt("answer")
	return bob.channels.Sessions()[0]
}

func TestDamagedSessionStates(t *testing.T) {
	state := conversed(t).AppendState([]byte("before"))[len("before"):]
	const (
		head     = 4 + 1 + 3*32 + 32
		sender   = head + 4
		receiver = sender + 64 + 32 + 4 + 4
		skipped  = receiver + 2*(32+32+4) + 4
	)
	if len(state) != skipped+32+32+4 {
		t.Fatalf("a state of %d bytes", len(state))
	}
	low, none := badKeys["one"], make([]byte, 32)
	count := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	damaged := map[string][]byte{
		"a byte more":                       append(slices.Clone(state), 0),
		"version 2":                         with(state, 3, 2),
		"version of goolm with chain index": append(with(state, 0, 0x80), 0, 0, 0, 0),
		"received is 2":                     with(state, 4, 2),
		"identity key of low order":         with(state, 5, low[:]...),
		"no base key":                       with(state, 5+32, none...),
		"one-time key not canonical":        with(state, 5+64+31, 0xff),
		"no root key":                       with(state, 5+96, none...),
		"two sender chains":                 slices.Concat(state[:head], count(2), state[sender:sender+100], state[sender:]),
		"sender's ratchet key of low order": with(state, sender, low[:]...),
		"no private ratchet key":            with(state, sender+32, none...),
		"no sender's chain key":             with(state, sender+64, none...),
		"six receiver chains":               slices.Concat(state[:receiver-4], count(6), bytes.Repeat(state[receiver:receiver+68], 6), state[skipped-4:]),
		"2^32-1 receiver chains":            with(state, receiver-4, count(1<<32-1)...),
		"receiver's ratchet key, low order": with(state, receiver, low[:]...),
		"no receiver's chain key":           with(state, receiver+32, none...),
		"41 skipped keys":                   slices.Concat(state[:skipped-4], count(41), bytes.Repeat(state[skipped:], 41)),
		"a skipped key's chain, low order":  with(state, skipped, low[:]...),
		"no chain":                          slices.Concat(state[:head], count(0), count(0), count(0)),
	}
	for name, raw := range damaged {
		if _, err := olm.ParseSessionState(raw); codeOf(err) != olm.CodeOlmStateDamaged {
			t.Errorf("%s: %v", name, err)
		}
	}
	for length := range state {
		if _, err := olm.ParseSessionState(state[:length]); codeOf(err) != olm.CodeOlmStateDamaged {
			t.Errorf("%d bytes of %d: %v", length, len(state), err)
		}
	}
}

func TestDamagedChannelsStates(t *testing.T) {
	_, bob := conversing(t)
	state := bob.channels.AppendState([]byte("before"))[len("before"):]
	one := state[33:]
	low := badKeys["zero"]
	for name, raw := range map[string][]byte{
		"a byte more":            append(slices.Clone(state), 0),
		"sender key, low order":  with(state, 0, low[:]...),
		"no session":             with(state, 32, 0),
		"two sessions":           with(state, 32, 2),
		"six sessions":           slices.Concat(with(state[:33], 32, 6), bytes.Repeat(one, 6)),
		"length of a byte less":  with(state, 36, one[3]-1),
		"length of 2^32-1":       with(state, 33, 0xff, 0xff, 0xff, 0xff),
		"a damaged session":      with(state, 33+4+3, 9),
		"the same session twice": slices.Concat(with(state[:33], 32, 2), one, one),
	} {
		if _, err := olm.ParseChannelsState(raw); codeOf(err) != olm.CodeOlmStateDamaged {
			t.Errorf("%s: %v", name, err)
		}
	}
	for length := range state {
		if _, err := olm.ParseChannelsState(state[:length]); codeOf(err) != olm.CodeOlmStateDamaged {
			t.Errorf("%d bytes of %d: %v", length, len(state), err)
		}
	}
}

// I21: what is secret is printed by no verb, as a pointer, as a value or inside something else.
func TestI21SecretsAreNotPrinted(t *testing.T) {
	alice, bob := strangers()
	alice.begin(bob)
	d := must(bob.channels.Decrypt(bob.account, alice.encrypt("plaintext").parse()))
	session := d.Channels.Sessions()[0]
	secrets := [][]byte{bob.account.AppendState(nil)[36:68], bob.account.AppendState(nil)[132:164], session.AppendState(nil)[101:133], []byte("plaintext")}
	for name, value := range map[string]any{
		"account": bob.account, "account value": *bob.account, "session": session, "session value": *session,
		"channels": bob.channels, "channels pointer": &bob.channels, "decrypted": d, "decrypted pointer": &d,
		"inside": struct{ A any }{[]any{*bob.account, session, d}},
	} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("test", "value", value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("test", "value", value)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&log, verb+"\n", value)
		}
		for _, secret := range secrets {
			for _, form := range []string{string(secret), fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprint(secret), "[]"), strings.Trim(fmt.Sprintf("%#v", secret), "[]byte{}")} {
				if strings.Contains(log.String(), form) {
					t.Errorf("%s is printed: %s", name, log.String())
				}
			}
		}
	}
}
