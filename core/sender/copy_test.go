package sender_test

import (
	"strings"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/sender"
)

// What a copy says of itself, for every kind and provenance.
func TestWhatACopySays(t *testing.T) {
	if sender.Direct.String() != "direct" || sender.Claimed.String() != "claimed" {
		t.Errorf("provenances are called %s and %s", sender.Direct, sender.Claimed)
	}
	for kind := sender.UnknownDevice; kind <= sender.SenderVerified; kind++ {
		for _, provenance := range []sender.Provenance{sender.Direct, sender.Claimed} {
			for _, failed := range []bool{false, true} {
				c := &sender.Copy{CopyKey: sender.CopyKey{Provenance: provenance}, Current: sender.Data{Kind: kind, OwnerCheckFailed: failed}}
				if want := provenance == sender.Direct && !kind.Known(); c.Waiting() != want {
					t.Errorf("%s %s: waiting %v", provenance, kind, c.Waiting())
				}
				if want := kind == sender.UnknownDevice && (provenance == sender.Claimed || failed); c.InsecureSource() != want {
					t.Errorf("%s %s, owner check failed %v: insecure source %v", provenance, kind, failed, c.InsecureSource())
				}
			}
		}
	}
}

// I4: two are under one pin when both are known, and of one user and one master key.
func TestSamePin(t *testing.T) {
	known := sender.Data{Kind: sender.SenderUnverified, UserID: "@alice:example.org", MasterKey: keys.Ed25519{1}}
	for name, story := range map[string]struct {
		other sender.Data
		same  bool
	}{
		"the same":           {known, true},
		"verified since":     {sender.Data{Kind: sender.SenderVerified, UserID: known.UserID, MasterKey: known.MasterKey}, true},
		"not known":          {sender.Data{Kind: sender.DeviceInfo, UserID: known.UserID, MasterKey: known.MasterKey}, false},
		"another user":       {sender.Data{Kind: known.Kind, UserID: "@mallory:example.org", MasterKey: known.MasterKey}, false},
		"another master key": {sender.Data{Kind: known.Kind, UserID: known.UserID, MasterKey: keys.Ed25519{2}}, false},
	} {
		if known.SamePin(story.other) != story.same || story.other.SamePin(known) != story.same {
			t.Errorf("%s: %v", name, !story.same)
		}
	}
	if unknown := (sender.Data{Kind: sender.DeviceInfo, UserID: known.UserID, MasterKey: known.MasterKey}); unknown.SamePin(unknown) {
		t.Error("two that are not known are under one pin")
	}
}

// A refusal says what was expected and what came.
func TestRefusalsAreSentences(t *testing.T) {
	e := &sender.RoomKeyError{Code: sender.CodeSenderMismatch, Member: "sender", Expected: "one", Got: "another"}
	if text := e.Error(); strings.HasPrefix(text, ",") || !strings.HasSuffix(text, ", `sender`: expected one, got another") {
		t.Errorf("it says %q", text)
	}
	e.Got = ""
	if text := e.Error(); !strings.HasSuffix(text, ": expected one") {
		t.Errorf("it says %q", text)
	}
}
