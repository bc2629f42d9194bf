package ids_test

import (
	"errors"
	"strings"
	"testing"

	"knownsender/core/ids"
)

// T51: identifiers are opaque: what is accepted comes out as it went in, whatever it looks like.
func TestIdentifiersAreKeptAsTheyAre(t *testing.T) {
	for _, text := range []string{
		"@alice:example.org", "@alice:example.org:8448", "@Alice_ÄÖ:[::1]:8008", "@a:b", "@__proto__:constructor",
		"@" + strings.Repeat("a", 252) + ":b",
	} {
		if got, err := ids.ParseUserID(text); err != nil || string(got) != text {
			t.Errorf("ParseUserID(%q) = %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"ALICEDEV1", "x", "__proto__", "ed25519:jPhZy23I", " spaced ", "日本", strings.Repeat("d", 255)} {
		if got, err := ids.ParseDeviceID(text); err != nil || string(got) != text {
			t.Errorf("ParseDeviceID(%q) = %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"!r:example.org", "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"} {
		if got, err := ids.ParseRoomID(text); err != nil || string(got) != text {
			t.Errorf("ParseRoomID(%q) = %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"$e:example.org", "$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk"} {
		if got, err := ids.ParseEventID(text); err != nil || string(got) != text {
			t.Errorf("ParseEventID(%q) = %q, %v", text, got, err)
		}
	}
}

func TestMalformedIdentifiersAreRefused(t *testing.T) {
	parsers := map[string]func(string) error{
		"bad_user_id":   func(s string) error { _, err := ids.ParseUserID(s); return err },
		"bad_device_id": func(s string) error { _, err := ids.ParseDeviceID(s); return err },
		"bad_room_id":   func(s string) error { _, err := ids.ParseRoomID(s); return err },
		"bad_event_id":  func(s string) error { _, err := ids.ParseEventID(s); return err },
	}
	cases := map[string][]string{
		"bad_user_id":   {"alice:example.org", "!alice:example.org", "@", "@alice", "@:example.org", "@alice:", " @alice:example.org"},
		"bad_device_id": {},
		"bad_room_id":   {"r:example.org", "#r:example.org", "!"},
		"bad_event_id":  {"e", "!e", "$"},
	}
	sigil := map[string]string{"bad_user_id": "@a:", "bad_room_id": "!", "bad_event_id": "$"}
	for code, parse := range parsers {
		start := sigil[code]
		texts := append(cases[code], "", start+strings.Repeat("x", 256-len(start)), start+"a\x00b", start+"a\xff", start+"\xed\xa0\x80")
		for _, text := range texts {
			var refused *ids.Error
			if err := parse(text); !errors.As(err, &refused) || refused.ErrorCode() != code || refused.Reason == "" {
				t.Errorf("%s: %q gave %v", code, text, err)
			} else if len(text) > 3 && strings.Contains(err.Error(), text) {
				t.Errorf("%s: the error repeats the text", code)
			}
		}
	}
}

func TestServer(t *testing.T) {
	for user, server := range map[ids.UserID]string{
		"@alice:example.org":      "example.org",
		"@alice:example.org:8448": "example.org:8448",
		"@alice:[::1]:8448":       "[::1]:8448",
	} {
		if got := user.Server(); got != server {
			t.Errorf("%s.Server() = %q", user, got)
		}
	}
}
