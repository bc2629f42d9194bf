package sealed_test

// What one cipher has sealed every other opens: vectors made by GoCipher and by WebCrypto in Chrome. web/test/at-rest.test.ts reads the same file.

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"testing"

	"knownsender/core/store/sealed"
)

type vector struct {
	By         string `json:"by"`
	Passphrase string `json:"passphrase,omitempty"`
	HostKey    []byte `json:"hostKey,omitempty"`
	Header     []byte `json:"header"`
	Names      []byte `json:"names"`
	Identity   []byte `json:"identity"`
	Plain      []byte `json:"plain"`
	Sealed     []byte `json:"sealed"`
}

func TestVectors(t *testing.T) {
	file, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	made := map[string]int{}
	for _, v := range vectors {
		var secret sealed.Secret
		if v.Passphrase != "" {
			secret, err = sealed.Passphrase([]byte(v.Passphrase))
		} else {
			secret, err = sealed.HostKey(v.HostKey)
		}
		if err != nil {
			t.Fatal(err)
		}
		keys, err := sealed.GoCipher{}.Unlock(context.Background(), secret, v.Header)
		if err != nil || keys == nil || !bytes.Equal(keys.Names(), v.Names) {
			t.Fatalf("by %s: %v", v.By, err)
		}
		opened, err := keys.Open(context.Background(), []sealed.Item{{Identity: v.Identity, Bytes: v.Sealed}, {Identity: []byte("elsewhere"), Bytes: v.Sealed}})
		if err != nil || !bytes.Equal(opened[0], v.Plain) || opened[1] != nil {
			t.Fatalf("by %s: %q, %v", v.By, opened, err)
		}
		made[v.By]++
	}
	if made["Go"] != 2 || made["WebCrypto"] != 2 {
		t.Fatalf("there are %v", made)
	}
}
