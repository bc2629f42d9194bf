package trust_test

import (
	"errors"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// Identities, verification, pins and the latch: spec 1.5, 2.4, 7.2, decision 9.

func TestVerification(t *testing.T) {
	t.Run("scenario 20: signed by nobody of ours: unverified", func(t *testing.T) {
		w := verifiedWorld(t)
		alice := w.user("alice")
		w.learn(alice)
		w.wantStanding(alice, trust.Unverified)
		if identity := w.identity(alice); identity.Pinned != identity.Master || identity.PreviouslyVerified || identity.SignedByUs {
			t.Errorf("%+v", identity)
		}
	})
	t.Run("scenario 21: signed by our user-signing key: verified", func(t *testing.T) {
		w := verifiedWorld(t)
		alice := w.user("alice")
		w.me.Verifies(alice)
		w.learn(alice)
		w.wantStanding(alice, trust.Verified)
		if identity := w.identity(alice); !identity.PreviouslyVerified || !identity.SignedByUs {
			t.Errorf("%+v", identity)
		}
	})
	t.Run("scenario 22, T12: verified, then a new master key: violation", func(t *testing.T) {
		w := verifiedWorld(t)
		alice := w.user("alice")
		phone := alice.Device("PHONE").CrossSigned()
		w.me.Verifies(alice)
		w.learn(alice)
		alice.ResetIdentity()
		phone.CrossSigned()
		w.learn(alice)
		w.wantStanding(alice, trust.Violation)
		w.wantMaster(alice, alice.Identity)
		w.wantCross(phone, trust.CrossSignatureValid)
		if !w.index.PinViolation(ids.UserID(alice.ID)) {
			t.Error("the pinned key is another, and nobody says so")
		}
	})
	t.Run("scenario 23: never verified, then a new master key: pin violation, unverified", func(t *testing.T) {
		w := verifiedWorld(t)
		alice := w.user("alice")
		w.learn(alice)
		alice.ResetIdentity()
		w.learn(alice)
		w.wantStanding(alice, trust.Unverified)
		if identity := w.identity(alice); !w.index.PinViolation(ids.UserID(alice.ID)) || !identity.PinViolation() || identity.Pinned != ed(alice.Previous[0].Master.SigningKey) {
			t.Errorf("%+v", identity)
		}
	})
	t.Run("scenario 24: own identity not trusted: nobody is verified", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.me.Verifies(alice)
		w.learn(w.me, alice)
		w.wantStanding(alice, trust.Unverified)
		w.wantStanding(w.me, trust.Unverified)
		if w.index.OwnVerified() || !w.identity(alice).SignedByUs {
			t.Error("our signature is there, and our identity is not trusted")
		}
	})
	t.Run("scenario 24: own identity not known: nobody is verified", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.me.Verifies(alice)
		w.learn(alice)
		w.wantStanding(alice, trust.Unverified)
	})
	t.Run("scenario 28: a user without identity is unverified", func(t *testing.T) {
		w := verifiedWorld(t)
		alice := w.user("alice").WithoutIdentity()
		phone := alice.Device("PHONE")
		w.learn(alice)
		w.wantStanding(alice, trust.Unverified)
		w.wantCross(phone, trust.CrossSignatureAbsent)
		w.wantStanding(w.user("nobody"), trust.Unverified)
		if w.index.PinViolation("@nobody:example.org") {
			t.Error("a pin of nobody")
		}
	})
	t.Run("T08: verified Mallory's master key under Alice's name", func(t *testing.T) {
		w := verifiedWorld(t)
		mallory, alice := w.user("mallory"), w.user("alice")
		w.me.Verifies(mallory)
		w.learn(mallory)
		fake := w.kit.User(alice.ID)
		device := fake.Device("FAKE").SignedBy(alice.ID, mallory.Identity.SelfSigning.SigningKey)
		object := w.kit.KeysQueryObject(fake)
		object["master_keys"] = map[string]any{alice.ID: mallory.Identity.Master.Object()}
		object["self_signing_keys"] = map[string]any{alice.ID: mallory.Identity.SelfSigning.Object()}
		w.learnObject(object)
		w.wantCodes(trust.CodeIdentityUserMismatch)
		w.wantStanding(alice, trust.Unverified)
		w.wantCross(device, trust.CrossSignatureOtherKey)
		if _, known := w.index.Identity(ids.UserID(alice.ID)); known {
			t.Error("Alice has Mallory's identity")
		}
	})
	t.Run("our user-signing key's signature is wrong", func(t *testing.T) {
		for _, signature := range []testkit.Hook{nil, testkit.Set("", "")} {
			w := verifiedWorld(t)
			alice := w.user("alice")
			w.me.Verifies(alice)
			label := w.me.Identity.UserSigning.Label()
			spoil := testkit.CorruptSignature(w.me.ID, label)
			if signature != nil {
				spoil = testkit.In("signatures", testkit.In(w.me.ID, testkit.Set(label, "short")))
			}
			alice.Identity.Master.After(spoil)
			w.learn(alice)
			w.wantCodes(trust.CodeUserSignatureInvalid)
			w.wantStanding(alice, trust.Unverified)
		}
	})
	t.Run("T10: signed by our master or self-signing key: not by the key of the role", func(t *testing.T) {
		w := verifiedWorld(t)
		alice := w.user("alice")
		alice.Identity.Master.SignedBy(w.me.ID, w.me.Identity.Master.SigningKey).SignedBy(w.me.ID, w.me.Identity.SelfSigning.SigningKey)
		w.learn(alice)
		w.wantCodes()
		w.wantStanding(alice, trust.Unverified)
	})
	t.Run("decision 9: the verification arrives later than the identity", func(t *testing.T) {
		w := verifiedWorld(t)
		alice := w.user("alice")
		w.learn(alice)
		w.me.Verifies(alice)
		change := w.learn(alice)
		if len(change.Verifications) != 1 || change.Verifications[0].After != trust.Verified || len(change.Identities) != 0 {
			t.Errorf("%+v", change)
		}
		if w.checks != 1 {
			t.Errorf("%d checks for one new signature", w.checks)
		}
	})
}

func TestOwnIdentity(t *testing.T) {
	t.Run("scenario 142: our identity is learned, then trusted", func(t *testing.T) {
		w := newWorld(t)
		master := ed(w.me.Identity.Master.SigningKey)
		wantError := func(want string) {
			t.Helper()
			_, err := w.index.TrustOwnIdentity(master, w.rows)
			var failed *trust.ApplicationError
			if !errors.As(err, &failed) || failed.ErrorCode() != want || failed.Error() == "" {
				t.Errorf("%v, want %s", err, want)
			}
		}
		wantError(trust.CodeOwnIdentityUnknown)
		w.learn(w.me)
		w.wantStanding(w.me, trust.Unverified)
		if got := w.identity(w.me).UserSigning; got != ed(w.me.Identity.UserSigning.SigningKey) {
			t.Error("our user-signing key is not known")
		}
		master = ed(w.me.Identity.SelfSigning.SigningKey)
		wantError(trust.CodeOwnIdentityMismatch)
		master = ed(w.me.Identity.Master.SigningKey)
		rows := w.rows
		w.rows = nil
		wantError(trust.CodeRecordMissing)
		w.rows = rows

		change := w.trustOwn()
		w.wantStanding(w.me, trust.Verified)
		if !w.index.OwnVerified() || len(change.Verifications) != 1 || w.index.PinViolation(ids.UserID(w.me.ID)) {
			t.Errorf("%+v", change)
		}
		if again := w.trustOwn(); !again.Empty() {
			t.Errorf("trusted twice: %+v", again)
		}
	})
	t.Run("scenario 146: trust in our own identity sets the latches", func(t *testing.T) {
		w := newWorld(t)
		alice, carol := w.user("alice"), w.user("carol")
		w.me.Verifies(alice)
		w.learn(w.me, alice, carol)
		if got := w.index.VouchedFor(); len(got) != 1 || got[0] != ids.UserID(alice.ID) {
			t.Errorf("VouchedFor %v", got)
		}
		change := w.trustOwn()
		w.wantStanding(alice, trust.Verified)
		w.wantStanding(carol, trust.Unverified)
		if len(change.Records) != 2 || len(change.Verifications) != 2 || !w.identity(alice).PreviouslyVerified || w.identity(carol).PreviouslyVerified {
			t.Errorf("%+v", change)
		}
	})
	t.Run("a damaged row of somebody else does not keep us from trusting ourselves", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.me.Verifies(alice)
		w.learn(w.me, alice)
		change, err := w.index.TrustOwnIdentity(ed(w.me.Identity.Master.SigningKey), w.stored([]ids.UserID{ids.UserID(w.me.ID)}, false))
		if err != nil {
			t.Fatal(err)
		}
		w.commit(change)
		w.wantCodes(trust.CodeRecordMissing)
		w.wantStanding(w.me, trust.Verified)
	})
	t.Run("without user-signing key: not updated", func(t *testing.T) {
		w := verifiedWorld(t)
		known := w.me.Identity
		w.me.ResetIdentity()
		object := w.kit.KeysQueryObject(w.me)
		delete(object, "user_signing_keys")
		w.learnObject(object)
		w.wantCodes(trust.CodeOwnIdentityWithoutUSK)
		w.wantMaster(w.me, known)
		w.wantStanding(w.me, trust.Verified)
	})
	t.Run("user-signing key not signed by the master key: not updated", func(t *testing.T) {
		w := newWorld(t)
		w.me.Identity.UserSigning.Unsigned()
		w.learn(w.me)
		w.wantCodes(trust.CodeIdentitySignatureMissing)
		w.me.Identity.UserSigning.SignedBy(w.me.ID, w.me.Identity.Master.SigningKey).CorruptlySigned()
		w.learn(w.me)
		w.wantCodes(trust.CodeIdentitySignatureInvalid)
		if w.change.Problems[0].Key != trust.RoleUserSigning {
			t.Errorf("%+v", w.change.Problems)
		}
		if _, known := w.index.Identity(ids.UserID(w.me.ID)); known {
			t.Error("accepted")
		}
	})
	t.Run("others need no user-signing key, and a bad one is nobody's business", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		alice.Identity.UserSigning.Unsigned()
		w.learn(alice)
		w.wantCodes()
		w.wantMaster(alice, alice.Identity)
		if w.identity(alice).UserSigning != (keys.Ed25519{}) {
			t.Error("another user's user-signing key is kept")
		}
	})
	t.Run("T13, scenario 145: our identity is replaced", func(t *testing.T) {
		// Given Alice verified, Carol signed and verified, Dave never;
		w := verifiedWorld(t)
		alice, carol, dave := w.user("alice"), w.user("carol"), w.user("dave")
		w.me.Verifies(alice)
		w.me.Verifies(carol)
		w.learn(alice, carol, dave)
		old := w.me.Identity

		// when the server shows another identity of ours, in an answer that mentions nobody else,
		w.me.ResetIdentity()
		change := w.learn(w.me)

		// then nobody is verified any more, and who was is in violation.
		w.wantStanding(w.me, trust.Violation)
		w.wantStanding(alice, trust.Violation)
		w.wantStanding(carol, trust.Violation)
		w.wantStanding(dave, trust.Unverified)
		if len(change.Verifications) != 3 || w.index.OwnVerified() {
			t.Errorf("%+v", change.Verifications)
		}
		if identity := w.identity(alice); identity.SignedByUs || !identity.PreviouslyVerified {
			t.Errorf("%+v", identity)
		}

		// The new key is trusted, and Alice verified anew: Carol stays in violation.
		w.me.Verifies(alice)
		w.learn(alice)
		w.wantStanding(alice, trust.Violation)
		w.trustOwn()
		w.wantStanding(w.me, trust.Verified)
		w.wantStanding(alice, trust.Verified)
		w.wantStanding(carol, trust.Violation)

		// The old identity comes back: it is no longer the trusted one.
		w.me.Identity = old
		w.learn(w.me)
		w.wantStanding(w.me, trust.Violation)
		w.wantStanding(carol, trust.Violation)
	})
	t.Run("T13: an untrusted identity is replaced: still only unverified", func(t *testing.T) {
		w := newWorld(t)
		w.learn(w.me)
		w.me.ResetIdentity()
		w.learn(w.me)
		w.wantStanding(w.me, trust.Unverified)
	})
	t.Run("our identity goes and comes back: everybody is asked again, and verified as before", func(t *testing.T) {
		w := verifiedWorld(t)
		alice := w.user("alice")
		w.me.Verifies(alice)
		w.learn(alice)
		old := w.me.Identity
		w.me.ResetIdentity()
		w.learn(w.me)
		w.wantStanding(alice, trust.Violation)
		w.me.Identity = old
		w.learn(w.me)
		w.wantStanding(w.me, trust.Verified)
		w.wantStanding(alice, trust.Verified)
	})
	t.Run("our master key comes back over the same user-signing key: whom that signed is verified, and latched", func(t *testing.T) {
		w := verifiedWorld(t)
		alice := w.user("alice")
		known := w.me.Identity
		w.me.ResetIdentity()
		w.me.Identity.UserSigning = known.UserSigning.SignedBy(w.me.ID, w.me.Identity.Master.SigningKey)
		w.me.Verifies(alice)
		w.learn(w.me, alice)
		w.wantStanding(alice, trust.Unverified)
		w.me.Identity = known
		w.learn(w.me)
		w.wantStanding(alice, trust.Verified)
		if !w.identity(alice).PreviouslyVerified {
			t.Error("verified, and not latched")
		}
	})
	t.Run("our user-signing key is rotated: whom it signed is asked again", func(t *testing.T) {
		w := verifiedWorld(t)
		alice, carol := w.user("alice"), w.user("carol")
		w.me.Verifies(alice)
		w.me.Verifies(carol)
		w.learn(alice, carol)
		w.me.RotateUserSigning()
		w.me.Verifies(carol)
		// One answer brings the new key and Carol's new signature; of Alice it says nothing.
		w.learn(w.me, carol)
		w.wantStanding(w.me, trust.Verified)
		w.wantStanding(alice, trust.Violation)
		w.wantStanding(carol, trust.Verified)
	})
	t.Run("a proposed identity of ours that does not hold takes nobody with it", func(t *testing.T) {
		w := verifiedWorld(t)
		alice, carol := w.user("alice"), w.user("carol")
		w.me.Verifies(alice)
		w.learn(alice)
		known := w.me.Identity
		w.me.ResetIdentity()
		w.me.Identity.UserSigning.CorruptlySigned()
		w.me.Verifies(carol)
		w.learn(w.me, carol)
		w.wantCodes(trust.CodeIdentitySignatureInvalid)
		w.wantMaster(w.me, known)
		w.wantStanding(alice, trust.Verified)
		w.wantStanding(carol, trust.Unverified)
		if w.identity(carol).SignedByUs {
			t.Error("signed by a key that is not ours")
		}
	})
	t.Run("rows that are missing are passed over and fall closed", func(t *testing.T) {
		w := verifiedWorld(t)
		alice, carol, dave := w.user("alice"), w.user("carol"), w.user("dave").WithoutIdentity()
		w.me.Verifies(alice)
		w.me.Verifies(carol)
		dave.Device("PHONE")
		w.learn(alice, carol, dave)
		w.me.RotateUserSigning()
		w.me.Verifies(alice)
		w.me.Verifies(carol)
		// Of Dave, who has no identity, nothing is asked.
		answer, err := trust.ParseAnswer(w.kit.KeysQuery(w.me, alice, carol), trust.DefaultLimits)
		if err != nil || !w.index.NeedsAll(answer) {
			t.Fatal(err, "does not need all")
		}
		application, err := w.index.Prepare(answer, 0, w.stored([]ids.UserID{ids.UserID(w.me.ID), ids.UserID(alice.ID)}, false))
		if err != nil {
			t.Fatal(err)
		}
		w.commit(application.Finish(keys.VerifyAll(application.Checks)))
		if problems := w.change.Problems; len(problems) != 1 || problems[0].Code != trust.CodeRecordMissing || problems[0].UserID != ids.UserID(carol.ID) {
			t.Errorf("%+v", problems)
		}
		w.wantStanding(alice, trust.Verified)
		w.wantStanding(carol, trust.Violation)

		_, err = w.index.Prepare(answer, 0, nil)
		var failed *trust.ApplicationError
		if !errors.As(err, &failed) || failed.Code != trust.CodeRecordMissing {
			t.Errorf("without our own row: %v", err)
		}
	})
}

func TestSelfSigningKeyChanges(t *testing.T) {
	t.Run("devices absent from the answer are judged again from their rows", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		phone, laptop := alice.Device("PHONE").CrossSigned(), alice.Device("LAPTOP").CrossSigned()
		w.learn(alice)
		alice.RotateSelfSigning()
		object := w.kit.KeysQueryObject(alice)
		delete(object, "device_keys")
		change := w.learnObject(object)
		w.wantCross(phone, trust.CrossSignatureOtherKey)
		w.wantCross(laptop, trust.CrossSignatureOtherKey)
		if len(change.Devices) != 2 || len(change.Identities) != 1 || w.checks != 1 {
			t.Errorf("%d checks, %+v", w.checks, change)
		}
	})
	t.Run("scenario 80: the identity arrives later than the device", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		phone := alice.Device("PHONE").CrossSigned()
		object := w.kit.KeysQueryObject(alice)
		delete(object, "master_keys")
		delete(object, "self_signing_keys")
		w.learnObject(object)
		w.wantCross(phone, trust.CrossSignatureOtherKey)
		object = w.kit.KeysQueryObject(alice)
		delete(object, "device_keys")
		w.learnObject(object)
		w.wantCross(phone, trust.CrossSignatureValid)
	})
	t.Run("the device is signed again, both in one answer", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		phone := alice.Device("PHONE").CrossSigned()
		w.learn(alice)
		alice.RotateSelfSigning()
		phone.CrossSigned()
		change := w.learn(alice)
		w.wantCross(phone, trust.CrossSignatureValid)
		if len(change.Devices) != 0 || len(change.Identities) != 1 || change.Identities[0].Kind != trust.Changed {
			t.Errorf("%+v", change)
		}
	})
	t.Run("the new content of the device does not hold: the stored one is judged under the new key", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		phone := alice.Device("PHONE").CrossSigned()
		w.learn(alice)
		alice.RotateSelfSigning()
		phone.CrossSigned().CorruptlySelfSigned()
		w.learn(alice)
		w.wantCodes(trust.CodeDeviceSignatureInvalid)
		w.wantCross(phone, trust.CrossSignatureOtherKey)
	})
	t.Run("the new identity does not hold: the device is judged under the old key", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		phone := alice.Device("PHONE")
		w.learn(alice)
		phone.CrossSigned()
		alice.RotateSelfSigning()
		alice.Identity.SelfSigning.CorruptlySigned()
		w.learn(alice)
		w.wantCodes(trust.CodeIdentitySignatureInvalid)
		w.wantCross(phone, trust.CrossSignatureValid)
	})
	t.Run("a new master key over the self-signing key that the old one signed", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		phone := alice.Device("PHONE").CrossSigned()
		w.learn(alice)
		known := alice.Identity
		alice.ResetIdentity()
		alice.Identity.SelfSigning = known.SelfSigning
		w.learn(alice)
		w.wantCodes(trust.CodeIdentitySignatureMissing)
		w.wantMaster(alice, known)
		w.wantCross(phone, trust.CrossSignatureValid)
	})
	t.Run("a missing answer to a check counts as no", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		alice.Device("PHONE").CrossSigned()
		application := w.prepare(w.kit.KeysQuery(alice), 0)
		w.commit(application.Finish(nil))
		w.wantCodes(trust.CodeDeviceSignatureInvalid, trust.CodeIdentitySignatureInvalid)
		if len(w.rows) != 0 {
			t.Error("something was stored")
		}
	})
}

func TestPinsAndWithdrawal(t *testing.T) {
	changedAfter := func(t *testing.T, verified bool) (*world, *testkit.User) {
		w := verifiedWorld(t)
		alice := w.user("alice")
		if verified {
			w.me.Verifies(alice)
		}
		w.learn(alice)
		alice.ResetIdentity()
		w.learn(alice)
		return w, alice
	}
	decide := func(w *world, decision func(ids.UserID, map[ids.UserID]*trust.UserRecord) (*trust.Change, error), user *testkit.User) *trust.Change {
		w.Helper()
		change, err := decision(ids.UserID(user.ID), w.rows)
		if err != nil {
			w.Fatal(err)
		}
		return w.commit(change)
	}
	t.Run("scenario 143: pin violation resolved by pinning", func(t *testing.T) {
		w, alice := changedAfter(t, false)
		decide(w, w.index.PinCurrentIdentity, alice)
		if w.index.PinViolation(ids.UserID(alice.ID)) {
			t.Error("still a pin violation")
		}
		if again := decide(w, w.index.PinCurrentIdentity, alice); !again.Empty() {
			t.Error("pinned twice")
		}
	})
	t.Run("scenario 143: pin violation resolved by verifying", func(t *testing.T) {
		w, alice := changedAfter(t, false)
		w.me.Verifies(alice)
		w.learn(alice)
		w.wantStanding(alice, trust.Verified)
		if w.index.PinViolation(ids.UserID(alice.ID)) {
			t.Error("still a pin violation")
		}
	})
	t.Run("scenarios 143, 144: violation resolved by withdrawing", func(t *testing.T) {
		w, alice := changedAfter(t, true)
		w.wantStanding(alice, trust.Violation)
		change := decide(w, w.index.WithdrawVerification, alice)
		w.wantStanding(alice, trust.Unverified)
		if w.index.PinViolation(ids.UserID(alice.ID)) || len(change.Verifications) != 1 {
			t.Errorf("%+v", change)
		}
	})
	t.Run("scenario 143: pinning does not clear the latch", func(t *testing.T) {
		w, alice := changedAfter(t, true)
		decide(w, w.index.PinCurrentIdentity, alice)
		w.wantStanding(alice, trust.Violation)
	})
	t.Run("violation resolved by verifying the new key", func(t *testing.T) {
		w, alice := changedAfter(t, true)
		w.me.Verifies(alice)
		w.learn(alice)
		w.wantStanding(alice, trust.Verified)
	})
	t.Run("the latch is cleared by no answer", func(t *testing.T) {
		w, alice := changedAfter(t, true)
		for range 3 {
			alice.ResetIdentity()
			w.learn(alice)
			w.wantStanding(alice, trust.Violation)
		}
		alice.Identity, alice.Devices = alice.Previous[0], nil
		alice.Identity.Master.Unsigned()
		w.learn(alice)
		w.wantStanding(alice, trust.Violation)
	})
	t.Run("withdrawing ourselves: everybody whom we had verified falls to violation", func(t *testing.T) {
		w := verifiedWorld(t)
		alice := w.user("alice")
		w.me.Verifies(alice)
		w.learn(alice)
		change := decide(w, w.index.WithdrawVerification, w.me)
		w.wantStanding(w.me, trust.Unverified)
		w.wantStanding(alice, trust.Violation)
		if len(change.Verifications) != 2 {
			t.Errorf("%+v", change)
		}
		if pinned := decide(w, w.index.PinCurrentIdentity, w.me); !pinned.Empty() {
			t.Errorf("our own identity was pinned: %+v", pinned)
		}
	})
	t.Run("nobody to withdraw from or pin", func(t *testing.T) {
		w := verifiedWorld(t)
		bare := w.user("bare").WithoutIdentity()
		bare.Device("PHONE")
		w.learn(bare)
		for _, user := range []ids.UserID{"@nobody:example.org", ids.UserID(bare.ID)} {
			for _, decision := range []func(ids.UserID, map[ids.UserID]*trust.UserRecord) (*trust.Change, error){w.index.WithdrawVerification, w.index.PinCurrentIdentity} {
				_, err := decision(user, w.rows)
				var failed *trust.ApplicationError
				if !errors.As(err, &failed) || failed.Code != trust.CodeIdentityUnknown || failed.Error() == "" {
					t.Errorf("%v", err)
				}
			}
		}
		_, err := w.index.PinCurrentIdentity(ids.UserID(bare.ID), nil)
		var failed *trust.ApplicationError
		if !errors.As(err, &failed) || failed.Code != trust.CodeRecordMissing {
			t.Errorf("%v", err)
		}
	})
}
