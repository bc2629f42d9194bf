package sharing_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/sharing"
	"knownsender/core/trust"
)

// core/testdata/sharing.json says what its members mean.
type table struct {
	Situations []situation `json:"situations"`
	Rotations  []rotation  `json:"rotations"`
}

type situation struct {
	Name       string                       `json:"name"`
	Own        string                       `json:"own"`
	Users      map[string]map[string]string `json:"users"`
	Also       []string                     `json:"also"`
	Strategies map[string]outcome           `json:"strategies"`
}

type outcome struct {
	Gets     []string            `json:"gets"`
	Withheld []string            `json:"withheld"`
	Error    string              `json:"error"`
	Users    map[string][]string `json:"users"`
}

type rotation struct {
	Name     string `json:"name"`
	Messages uint32 `json:"messages"`
	Age      int64  `json:"age"`
	Settings struct {
		RotationPeriod    string `json:"rotationPeriod"`
		RotationMessages  string `json:"rotationPeriodMessages"`
		HistoryVisibility string `json:"historyVisibility"`
		SharingStrategy   string `json:"sharingStrategy"`
	} `json:"settings"`
	Users  map[string][]string `json:"users"`
	Shares []string            `json:"shares"`
	Reason string              `json:"reason"`
}

func read(t *testing.T) (all table) {
	t.Helper()
	raw, err := os.ReadFile("../testdata/sharing.json")
	if err == nil {
		err = json.Unmarshal(raw, &all)
	}
	if err != nil || len(all.Situations) < 10 || len(all.Rotations) < 15 {
		t.Fatalf("%d situations and %d rotations: %v", len(all.Situations), len(all.Rotations), err)
	}
	return all
}

func userID(name string) ids.UserID { return ids.UserID(name + ":example.org") }

func name(user ids.UserID) string { return strings.TrimSuffix(string(user), ":example.org") }

func curve(name string) keys.Curve25519 {
	key := sha256.Sum256([]byte(name))
	key[31] &= 0x7f
	return key
}

func signing(name string) keys.Ed25519 {
	seed := sha256.Sum256([]byte(name))
	return keys.Ed25519(ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
}

func key(name string) trust.KeyRecord {
	return trust.KeyRecord{Key: signing(name), Raw: []byte("{}")}
}

// world is the index in which a situation is so.
func (s *situation) world(t *testing.T) *trust.Index {
	t.Helper()
	x := trust.NewIndex(trust.Own{UserID: userID("@me"), DeviceID: "PHONE"})
	people := maps.Clone(s.Users)
	if people["@me"] == nil {
		people["@me"] = nil
	}
	for user, devices := range people {
		record := &trust.UserRecord{UserID: userID(user)}
		identity := devices["identity"]
		if user == "@me" {
			identity = s.Own
			record.WasVerified = identity == "verified" || identity == "lost"
			if identity == "verified" {
				record.TrustedMaster = signing("@me master")
			}
		}
		if identity != "none" {
			record.Identity = &trust.IdentityRecord{Master: key(user + " master"), SelfSigning: key(user + " self-signing")}
			if user == "@me" {
				record.Identity.UserSigning = key("@me user-signing")
			} else {
				record.Identity.Pinned = signing(user + " master")
				record.Identity.PreviouslyVerified = identity == "verified" || identity == "violation"
				if record.Identity.SignedByUs = identity == "verified"; record.Identity.SignedByUs {
					record.Identity.JudgedBy = signing("@me user-signing")
				}
			}
		}
		for _, id := range slices.Sorted(maps.Keys(devices)) {
			if id == "identity" {
				continue
			}
			device := trust.DeviceRecord{
				DeviceID: ids.DeviceID(id), Curve25519: curve(id), Ed25519: signing(id), Raw: []byte("{}"), Dehydrated: strings.HasSuffix(devices[id], " dehydrated"),
			}
			if record.Identity != nil {
				device.JudgedBy = record.Identity.SelfSigning.Key
			}
			outcomes := map[string]trust.CrossSignature{"signed": trust.CrossSignatureValid, "unsigned": trust.CrossSignatureAbsent, "wrong": trust.CrossSignatureWrong}
			outcome, known := outcomes[strings.TrimSuffix(devices[id], " dehydrated")]
			if !known {
				t.Fatalf("%s is %q", id, devices[id])
			}
			device.CrossSigned = outcome
			record.Devices = append(record.Devices, device)
		}
		if err := x.Load(record); err != nil {
			t.Fatalf("%s: %v", user, err)
		}
	}
	return x
}

func named(devices []trust.Device) []string {
	list := []string{}
	for _, d := range devices {
		list = append(list, name(d.UserID)+"/"+string(d.DeviceID))
	}
	return list
}

func TestWhoGetsARoomKey(t *testing.T) {
	for _, s := range read(t).Situations {
		x := s.world(t)
		var users []ids.UserID
		for _, user := range append(slices.Collect(maps.Keys(s.Users)), s.Also...) {
			users = append(users, userID(user))
		}
		given := slices.Clone(users)
		if len(s.Strategies) != 4 {
			t.Fatalf("%s: %d strategies", s.Name, len(s.Strategies))
		}
		for strategy, want := range s.Strategies {
			t.Run(s.Name+"/"+strategy, func(t *testing.T) {
				settings, err := sharing.ParseSettings("", "", "", "", strategy)
				if err != nil || settings.Strategy.String() != strategy {
					t.Fatal(err)
				}
				r, err := sharing.Collect(x, users, settings.Strategy)
				if !slices.Equal(users, given) {
					t.Error("the caller's list has changed")
				}
				if want.Error != "" {
					var refused *sharing.RecipientsError
					if !errors.As(err, &refused) || refused.ErrorCode() != want.Error || refused.Error() == "" || r != nil {
						t.Fatalf("%+v, %v", r, err)
					}
					told := map[string][]string{}
					if _, detail := refused.ErrorDetail(); detail != "" {
						if err := json.Unmarshal([]byte(strings.ReplaceAll(detail, ":example.org", "")), &told); err != nil {
							t.Fatal(err)
						}
					}
					got := map[string][]string{}
					for _, u := range refused.Users {
						got[name(u.UserID)] = nil
						for _, d := range u.Devices {
							got[name(u.UserID)] = append(got[name(u.UserID)], string(d))
						}
					}
					if !maps.EqualFunc(got, want.Users, slices.Equal) || !maps.EqualFunc(got, told, slices.Equal) {
						t.Fatalf("because of %v, told as %v", got, told)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := named(r.Devices); !slices.Equal(got, want.Gets) {
					t.Errorf("gets: %v", got)
				}
				if got := named(r.Withheld); !slices.Equal(got, want.Withheld) {
					t.Errorf("withheld: %v", got)
				}
			})
		}
	}
}

func TestWhenASessionIsReplaced(t *testing.T) {
	const now = 1_720_000_000_000
	split := func(text string) (ids.UserID, ids.DeviceID) {
		user, device, _ := strings.Cut(text, "/")
		return userID(user), ids.DeviceID(device)
	}
	for _, c := range read(t).Rotations {
		t.Run(c.Name, func(t *testing.T) {
			wanted, err := sharing.ParseSettings(sharing.Algorithm, c.Settings.RotationPeriod, c.Settings.RotationMessages, c.Settings.HistoryVisibility, c.Settings.SharingStrategy)
			if err != nil {
				t.Fatal(err)
			}
			if c.Users == nil {
				c.Users = map[string][]string{"@alice": {"A1"}, "@bob": {"B1"}}
			}
			if c.Shares == nil {
				c.Shares = []string{"@alice/A1", "@bob/B1"}
			}
			var users []ids.UserID
			r := &sharing.Recipients{}
			for _, user := range slices.Sorted(maps.Keys(c.Users)) {
				users = append(users, userID(user))
				for _, id := range c.Users[user] {
					device := trust.Device{UserID: userID(user), DeviceID: ids.DeviceID(strings.TrimSuffix(id, " anew")), Curve25519: curve(id)}
					r.Devices = append(r.Devices, device)
				}
			}
			var shares []sharing.Share
			for _, text := range c.Shares {
				user, device := split(text)
				shares = append(shares, sharing.Share{Holder: sharing.Holder{UserID: user, DeviceID: device, Curve25519: curve(string(device))}})
			}
			s := &sharing.Session{CreatedAt: now - c.Age, Messages: c.Messages, Settings: sharing.DefaultSettings()}
			if got := s.Rotation(now, wanted, users, r, shares); string(got) != c.Reason {
				t.Errorf("%q", got)
			}
			if expired := s.Expired(now); expired != "" && string(expired) != c.Reason {
				t.Errorf("expired: %q", expired)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	def := sharing.DefaultSettings()
	if def.RotationPeriod != 604_800_000 || def.RotationMessages != 100 || !def.SharedHistory() || def.HistoryVisibility.String() != "shared" || def.Strategy.String() != "AllDevices" {
		t.Errorf("the defaults are %+v", def)
	}
	for visibility, shared := range map[string]bool{"shared": true, "invited": false, "joined": false, "world_readable": true} {
		s, err := sharing.ParseSettings(sharing.Algorithm, "", "", visibility, "")
		if err != nil || s.SharedHistory() != shared || s.HistoryVisibility.String() != visibility {
			t.Errorf("%s: %+v, %v", visibility, s, err)
		}
	}
	for want, given := range map[[2]int64][2]int64{
		{3_600_000, 1}:          {1, 0},
		{3_600_000, 10_000}:     {-5, 10_001},
		{3_600_001, 9_999}:      {3_600_001, 9_999},
		{1 << 53, 10_000}:       {1 << 53, 1<<32 - 1},
		{604_800_000, 100}:      {def.RotationPeriod, int64(def.RotationMessages)},
		{3_600_000, 2}:          {0, 2},
		{3_600_000 * 24, 5_000}: {3_600_000 * 24, 5_000},
	} {
		s := sharing.Settings{RotationPeriod: given[0], RotationMessages: uint32(given[1])}.Clamped()
		if s.RotationPeriod != want[0] || int64(s.RotationMessages) != want[1] {
			t.Errorf("%v is clamped to %+v", given, s)
		}
	}
	given, err := sharing.ParseSettings("", "0", "18446744073", "", "")
	if err != nil || given.RotationPeriod != 0 || given.RotationMessages != 1<<32-1 || given.Clamped().RotationPeriod != 3_600_000 {
		t.Errorf("%+v, %v", given, err)
	}
	for _, try := range [][6]string{
		{"algorithm", "m.megolm.v2.aes-sha2"},
		{"rotationPeriod", "", "-1"},
		{"rotationPeriod", "", "1.5"},
		{"rotationPeriod", "", "NaN"},
		{"rotationPeriod", "", "9223372036854775808"},
		{"rotationPeriodMessages", "", "", "-1"},
		{"rotationPeriodMessages", "", "", "1e3"},
		{"historyVisibility", "", "", "", "everybody"},
		{"sharingStrategy", "", "", "", "", "DeviceBasedStrategy"},
	} {
		member := try[0]
		var refused *sharing.SettingsError
		if _, err := sharing.ParseSettings(try[1], try[2], try[3], try[4], try[5]); !errors.As(err, &refused) || refused.ErrorCode() != sharing.CodeBadSettings || refused.Member != member || refused.Error() == "" {
			t.Errorf("%s: %v", member, err)
		}
	}
}
