package olm_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"knownsender/core/keys"
)

// The corpora are the recorded conversations and what is wrong with them, written with -update.
func TestFuzzCorpora(t *testing.T) {
	type seeds map[string][]any
	messages, accounts, sessions := seeds{}, seeds{}, seeds{}
	for _, c := range recordedConversations(t) {
		name := strings.NewReplacer(" ", "-", ",", "").Replace(c.Name)
		accounts[name] = []any{c.Account}
		for i, s := range c.Steps {
			switch {
			case i > 6:
			case s.Channels != nil:
				sessions[fmt.Sprint(name, "-channels-", i)] = []any{s.Channels}
				sessions[fmt.Sprint(name, "-session-", i)] = []any{s.Channels[33+4:]}
			default:
				raw := must(keys.DecodeBase64(s.Body))
				messages[fmt.Sprint(name, "-", i)] = []any{byte(s.Kind), s.Body, raw}
				messages[fmt.Sprint(name, "-", i, "-changed")] = []any{byte(1 - s.Kind), s.Body + "=", with(raw, len(raw)-1, raw[len(raw)-1]^1)}
			}
		}
		accounts[name+"-more-keys"] = []any{with(c.Account, 4+96+64+3, 200)}
	}
	messages["empty"] = []any{byte(0), "", []byte{}}
	messages["version-alone"] = []any{byte(1), "Aw", []byte{3}}
	messages["long-varint"] = []any{byte(0), "Awr/////Dw", []byte("\x03\x0a\xff\xff\xff\xff\x0f")}
	messages["low-order"] = []any{byte(1), "", normalMessage(make([]byte, 32), []byte{0x10, 0}, make([]byte, 16))}
	accounts["empty"], sessions["empty"] = []any{[]byte{}}, []any{[]byte{}}
	sessions["no-chain"] = []any{append([]byte{0, 0, 0, 1, 1}, bytes.Repeat([]byte{9}, 128+12)...)}
	for target, seeds := range map[string]seeds{"FuzzOlmMessage": messages, "FuzzAccountState": accounts, "FuzzSessionState": sessions} {
		dir := filepath.Join("testdata/fuzz", target)
		if *update {
			if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
		for name, values := range seeds {
			path, want := filepath.Join(dir, name), "go test fuzz v1\n"
			for _, value := range values {
				switch v := value.(type) {
				case []byte:
					want += fmt.Sprintf("[]byte(%q)\n", v)
				case byte:
					want += fmt.Sprintf("byte('\\x%02x')\n", v)
				default:
					want += fmt.Sprintf("%T(%#v)\n", v, v)
				}
			}
			if *update {
				if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != want {
				t.Errorf("%s is not what it should be (%v); run go test -run %s -update", path, err, t.Name())
			}
		}
	}
}
