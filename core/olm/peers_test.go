package olm_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/olm"
)

// Conversations with the two other implementations of Olm that clients use: libolm, and vodozemac as matrix-sdk-crypto-wasm has it. With -update
// they are held anew, which needs Node and `npm ci`, and what came in is recorded beside our state after everything we sent; without it the
// recording is played: what came in must open.

var update = flag.Bool("update", false, "talk to the peers, and write testdata anew")

const peersFile = "testdata/peers.json"

// conversation is a recording.
type conversation struct {
	Name      string
	SenderKey string
	Account   []byte // our stored account at the beginning
	Steps     []step
}

// step is a message of the peer's, or what we stored when we had sent one.
type step struct {
	Kind     int    `json:",omitempty"`
	Body     string `json:",omitempty"`
	Text     string `json:",omitempty"` // stands in the plaintext
	Channels []byte `json:",omitempty"`
}

func TestPeers(t *testing.T) {
	if *update {
		recordPeers(t)
	}
	for _, c := range recordedConversations(t) {
		t.Run(c.Name, func(t *testing.T) {
			us := &device{account: must(olm.ParseAccountState(c.Account)), channels: olm.NewChannels(must(keys.ParseCurve25519(c.SenderKey)))}
			for i, s := range c.Steps {
				if s.Channels != nil {
					us.channels = must(olm.ParseChannelsState(s.Channels))
					continue
				}
				m := sealed{olm.Kind(s.Kind), s.Body}
				if plaintext, code := us.decrypt(m); code != "" || !strings.Contains(plaintext, s.Text) {
					t.Fatalf("step %d: %q, %s", i, plaintext, code)
				}
				us.refuse(t, m, olm.CodeOlmMessageReplayed)
			}
		})
	}
}

func recordedConversations(t testing.TB) []conversation {
	t.Helper()
	file, err := os.ReadFile(peersFile)
	if err != nil {
		t.Fatal(err)
	}
	var conversations []conversation
	if err := json.Unmarshal(file, &conversations); err != nil || len(conversations) != 4 {
		t.Fatal(len(conversations), err)
	}
	return conversations
}

func recordPeers(t *testing.T) {
	command := exec.Command("node", "testdata/peers.mjs")
	command.Stderr = os.Stderr
	in, out := must(command.StdinPipe()), must(command.StdoutPipe())
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	ask := func(what string, request map[string]any) (answer struct {
		SenderKey, Ed25519, OneTimeKey, Body, Text, Error string
		Kind                                              int
	}) {
		t.Helper()
		asked := map[string]any{"what": what}
		for name, value := range request {
			asked[name] = value
		}
		must(in.Write(append(must(json.Marshal(asked)), '\n')))
		if !lines.Scan() {
			t.Fatal("the peers hung up")
		}
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil || answer.Error != "" {
			t.Fatal(what, err, answer.Error)
		}
		return answer
	}

	var conversations []conversation
	us := &device{account: olm.NewAccount().GenerateOneTimeKeys(4)}
	for _, peer := range []string{"libolm", "rust"} {
		for _, begins := range []string{"the peer", "we"} {
			c := conversation{Name: peer + ", " + begins + " began", Account: us.account.AppendState(nil)}
			deviceKeys, oneTimeKeys, key := us.uploads()
			us.account = us.account.MarkPublished([]olm.OneTimeKey{key})
			var ed25519 string
			send := func(text string) {
				plaintext := text
				if peer == "rust" {
					plaintext = payload(us, text, ed25519)
				}
				m := us.encrypt(plaintext)
				c.Steps = append(c.Steps, step{Channels: us.channels.AppendState(nil)})
				request := map[string]any{"senderKey": us.account.Curve25519().String(), "kind": m.kind, "body": m.body}
				if got := ask(peer+"-decrypt", request).Text; !strings.Contains(got, text) {
					t.Fatalf("%s: the peer read %q instead of %q", c.Name, got, text)
				}
			}
			// receive has the peer write so many messages, which overtake each other.
			number := 0
			receive := func(count int) {
				var messages []step
				for range count {
					number++
					text := c.Name + ", message " + strconv.Itoa(number)
					m := ask(peer+"-encrypt", map[string]any{"text": text, "content": map[string]string{"text": text}})
					messages = append([]step{{Kind: m.Kind, Body: m.Body, Text: text}}, messages...)
				}
				for _, m := range messages {
					if plaintext, code := us.decrypt(sealed{olm.Kind(m.Kind), m.Body}); code != "" || !strings.Contains(plaintext, m.Text) {
						t.Fatalf("%s: %q, %s", c.Name, plaintext, code)
					}
				}
				c.Steps = append(c.Steps, messages...)
			}
			if begins == "we" {
				theirs := ask(peer+"-keys", map[string]any{"deviceKeys": deviceKeys})
				c.SenderKey, ed25519 = theirs.SenderKey, theirs.Ed25519
				identity := must(keys.ParseCurve25519(theirs.SenderKey))
				us.channels = olm.NewChannels(identity).Add(must(us.account.NewOutbound(identity, must(keys.ParseCurve25519(theirs.OneTimeKey)))))
				send("first of ours")
				send("second of ours")
			} else {
				theirs := ask(peer+"-begin", map[string]any{
					"identity": us.account.Curve25519().String(), "oneTimeKey": key.Key.String(), "deviceKeys": deviceKeys, "oneTimeKeys": oneTimeKeys,
				})
				c.SenderKey, ed25519 = theirs.SenderKey, theirs.Ed25519
				us.channels = olm.NewChannels(must(keys.ParseCurve25519(theirs.SenderKey)))
			}
			for range 3 {
				receive(3)
				send("answer of ours")
			}
			receive(2)
			conversations = append(conversations, c)
		}
	}
	if err := os.WriteFile(peersFile, append(must(json.MarshalIndent(conversations, "", " ")), '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
}

const ourUser, theirUser = "@bob:example.org", "@alice:example.org"

// uploads are our signed device keys and one signed one-time key, as a server hands them out.
func (d *device) uploads() (deviceKeys, oneTimeKeys json.RawMessage, key olm.OneTimeKey) {
	sign := func(object string) string {
		signature := d.account.Sign([]byte(object)).String()
		return object[:len(object)-1] + `,"signatures":{"` + ourUser + `":{"ed25519:BOB":"` + signature + `"}}}`
	}
	key = d.account.Unpublished()[0]
	deviceKeys = json.RawMessage(sign(`{"algorithms":["m.olm.v1.curve25519-aes-sha2","m.megolm.v1.aes-sha2"],"device_id":"BOB","keys":{"curve25519:BOB":"` +
		d.account.Curve25519().String() + `","ed25519:BOB":"` + d.account.Ed25519().String() + `"},"user_id":"` + ourUser + `"}`))
	oneTimeKeys = json.RawMessage(`{"signed_curve25519:` + key.ID + `":` + sign(`{"key":"`+key.Key.String()+`"}`) + `}`)
	return deviceKeys, oneTimeKeys, key
}

// payload is the plaintext of an Olm message as the specification has it.
func payload(d *device, text, recipientKey string) string {
	return string(must(json.Marshal(map[string]any{
		"type": "org.example.test", "content": map[string]string{"text": text}, "sender": ourUser, "recipient": theirUser,
		"keys": map[string]string{"ed25519": d.account.Ed25519().String()}, "recipient_keys": map[string]string{"ed25519": recipientKey},
	})))
}
