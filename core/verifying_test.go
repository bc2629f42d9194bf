package core_test

import (
	"context"
	"strings"
	"testing"

	"knownsender/core"
	"knownsender/core/crosssigning"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/record"
	"knownsender/core/store"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// What the user has compared is signed, and nothing else is.

const her = ids.UserID("@alice:example.org")

// master is the public master key of an identity.
func master(of *testkit.User) keys.Ed25519 {
	return must(keys.ParseEd25519(of.Identity.Master.Public()))
}

// setUp is a device whose identity is set up here, and Alice, whose list it knows.
func setUp(t *testing.T) (d *device, s *directory, alice *testkit.User) {
	t.Helper()
	d = withAccount(t)
	alice = d.kit.User(string(her))
	alice.Device("PHONE").CrossSigned()
	s = newDirectory(t, alice)
	d.bootstraps(s, false)
	d.asks(s, me)
	if err := d.machine.TrackUsers(context.Background(), []ids.UserID{her}); err != nil {
		t.Fatal(err)
	}
	d.pumps(s)
	return d, s, alice
}

func (d *device) verifies(user ids.UserID, master keys.Ed25519) *lane.Request {
	d.t.Helper()
	request, err := d.machine.VerifyIdentity(context.Background(), user, master)
	if err != nil {
		d.t.Fatal(err)
	}
	return request
}

// verifiesNot holds the error of a VerifyIdentity or VerifyDevice against its code; and nothing is sent.
func (d *device) verifiesNot(what, code string, err error) {
	d.t.Helper()
	if err == nil || codeOf(d.t, err) != code {
		d.t.Errorf("%s: %v, want %s", what, err, code)
	}
	if len(d.requests(lane.SignatureUpload)) != 0 {
		d.t.Errorf("%s: a signature is on the list", what)
	}
}

func (d *device) standing(user ids.UserID) trust.Verification {
	_, verification, _, _ := d.machine.Identity(user)
	return verification
}

// Given Alice's master key, compared, when it is confirmed, then it is signed, the next answer shows it and she is verified; for a key that is not hers now
// nothing is signed. When she gets another identity that is a violation, which taking it back ends; and with a signature of ours that stands she is
// verified whatever was taken back.
func TestVerifyIdentity(t *testing.T) {
	d, s, alice := setUp(t)
	ctx := context.Background()
	_, err := d.machine.VerifyIdentity(ctx, her, master(d.kit.User(string(her))))
	d.verifiesNot("another key", core.CodeIdentityMismatch, err)
	_, err = d.machine.VerifyIdentity(ctx, "@bob:example.org", master(alice))
	d.verifiesNot("nobody", trust.CodeIdentityUnknown, err)

	request := d.verifies(her, master(alice))
	if again := d.verifies(her, master(alice)); again.ID != request.ID {
		t.Error("the same signature is on the list twice")
	}
	if d.standing(her) != trust.Unverified {
		t.Error("she is verified before the server has the signature")
	}
	d.pumps(s)
	if d.standing(her) != trust.Verified {
		t.Fatalf("she is %v", d.standing(her))
	}
	if err := d.machine.WithdrawVerification(ctx, her); err != nil || d.standing(her) != trust.Verified {
		t.Errorf("%v, %v", err, d.standing(her))
	}
	d.asks(s, her) // latched again
	alice.ResetIdentity()
	s.lists(alice)
	d.asks(s, her)
	if d.standing(her) != trust.Violation {
		t.Errorf("she is %v", d.standing(her))
	}
	if err := d.machine.WithdrawVerification(ctx, her); err != nil || d.standing(her) != trust.Unverified {
		t.Errorf("%v, %v", err, d.standing(her))
	}
	d.verifies(her, master(alice))
	d.pumps(s)
	if d.standing(her) != trust.Verified {
		t.Errorf("she is %v", d.standing(her))
	}
}

// Given somebody whose list nobody follows, when the identity is confirmed, then the list is followed, for else nobody would hear that it is signed.
func TestWhomWeVerifyWeFollow(t *testing.T) {
	d, s, _ := setUp(t)
	bob := d.kit.User("@bob:example.org")
	s.lists(bob)
	d.answer(bob)
	d.verifies("@bob:example.org", master(bob))
	d.pumps(s)
	if d.standing("@bob:example.org") != trust.Verified {
		t.Errorf("he is %v", d.standing("@bob:example.org"))
	}
}

// Given a master key that nobody can sign, for it has no canonical form, when it is confirmed, then that is said.
func TestMasterKeyThatCannotBeSigned(t *testing.T) {
	d, _, _ := setUp(t)
	bob := d.kit.User("@bob:example.org")
	bob.Identity.Master.After(testkit.Set("fraction", 1.5))
	d.answer(bob)
	_, err := d.machine.VerifyIdentity(context.Background(), "@bob:example.org", master(bob))
	d.verifiesNot("a fraction", crosssigning.CodeNotSignable, err)
}

// Given a master key in an object that the server has written more into, when it is confirmed, then nothing is signed: the user has compared the key, and a
// `key` beside it would be a one-time key of this device's, by our own signature.
func TestMasterKeyWithMoreBesideIt(t *testing.T) {
	d := withAccount(t)
	bob := d.kit.User("@bob:example.org")
	for _, user := range []*testkit.User{d.me, bob} {
		user.Identity.Master.After(testkit.Set("key", "3C5BFWi2Y8MaVvjM8M22DBmh24PmgR0nPvJOIArzgyI"))
	}
	d.answer(d.me, bob)
	_, err := d.machine.VerifyIdentity(context.Background(), me, master(d.me))
	d.verifiesNot("our own", crosssigning.CodeNotSignable, err)
	must(d.machine.ImportCrossSigningKeys(context.Background(), seeds(d.me.Identity)))
	for _, request := range d.requests(lane.SignatureUpload) {
		if err := d.mark(request.ID, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	_, err = d.machine.VerifyIdentity(context.Background(), "@bob:example.org", master(bob))
	d.verifiesNot("somebody's", crosssigning.CodeNotSignable, err)
}

// Given our own identity and no private key of it, when the user confirms it, then it is trusted and this device signs its master key; other people cannot
// be signed from here. With private keys, what the user takes back stays so until they are imported again.
func TestVerifyOurselves(t *testing.T) {
	d := withAccount(t)
	alice := d.kit.User(string(her))
	phone := d.me.Device("MYPHONE")
	s := newDirectory(t, d.me, alice)
	d.answer(alice)
	_, err := d.machine.VerifyIdentity(context.Background(), me, master(d.me))
	d.verifiesNot("not known yet", trust.CodeOwnIdentityUnknown, err)
	d.pumps(s)
	_, err = d.machine.VerifyIdentity(context.Background(), me, master(alice))
	d.verifiesNot("another key", trust.CodeOwnIdentityMismatch, err)
	_, err = d.machine.VerifyIdentity(context.Background(), her, master(alice))
	d.verifiesNot("without user-signing key", crosssigning.CodeMissingKey, err)
	_, err = d.machine.VerifyDevice(context.Background(), "MYPHONE", must(keys.ParseEd25519(phone.Ed25519())))
	d.verifiesNot("without self-signing key", crosssigning.CodeMissingKey, err)

	d.verifies(me, master(d.me))
	if d.standing(me) != trust.Verified {
		t.Errorf("we are %v", d.standing(me))
	}
	d.pumps(s)
	if signatures := s.keys["master_keys"][d.me.ID]["signatures"].(map[string]any)[d.me.ID].(map[string]any); signatures["ed25519:MYDEVICE"] == nil {
		t.Errorf("the master key is signed by %v", signatures)
	}

	must(d.machine.ImportCrossSigningKeys(context.Background(), seeds(d.me.Identity)))
	d.pumps(s)
	if err := d.machine.WithdrawVerification(context.Background(), me); err != nil {
		t.Fatal(err)
	}
	d.asks(s, me)
	d.stands("taken back", 3, trust.Unverified, trust.CrossSignatureValid)
	must(d.machine.ImportCrossSigningKeys(context.Background(), seeds(d.me.Identity)))
	d.stands("imported again", 3, trust.Verified, trust.CrossSignatureValid)
}

// Given another device of ours, when its fingerprint is confirmed, then it is signed as the server lists it, members included of which we know nothing.
func TestVerifyDevice(t *testing.T) {
	d, s, alice := setUp(t)
	phone := d.me.Device("MYPHONE").Before(testkit.Set("unknown member", 1)).Named("my phone")
	fingerprint := must(keys.ParseEd25519(phone.Ed25519()))
	s.devices[d.me.ID]["MYPHONE"] = phone.Object()
	_, err := d.machine.VerifyDevice(context.Background(), "MYPHONE", fingerprint)
	d.verifiesNot("not known yet", core.CodeUnknownDevice, err)
	d.asks(s, me)
	_, err = d.machine.VerifyDevice(context.Background(), "MYPHONE", master(alice))
	d.verifiesNot("another fingerprint", core.CodeDeviceMismatch, err)
	must(d.machine.VerifyDevice(context.Background(), "MYPHONE", fingerprint))
	d.pumps(s)
	if got := core.KnownDevice(d.machine, me, "MYPHONE").CrossSigned; got != trust.CrossSignatureValid {
		t.Errorf("the device's cross-signature is %v", got)
	}
}

// Given a server that does not take a signature, when it says so, then that is told, once, and the request does not come again; an answer that is none
// leaves it where it was.
func TestSignatureRefused(t *testing.T) {
	d, s, alice := setUp(t)
	request := d.verifies(her, master(alice))
	for _, none := range []string{`[]`, `{"failures":1}`, `{"failures":{},"failures":{}}`} {
		if _, err := d.machine.MarkRequestAsSent(context.Background(), request.ID, []byte(none)); err == nil || codeOf(t, err) != core.CodeBadUpload {
			t.Errorf("%s: %v", none, err)
		}
	}
	s.refuses = "M_INVALID_SIGNATURE"
	answer := must(s.Send(context.Background(), request))
	_, err := d.machine.MarkRequestAsSent(context.Background(), request.ID, answer)
	if err == nil || codeOf(t, err) != core.CodeSignatureRefused {
		t.Fatal(err)
	}
	if _, got := err.(*core.CrossSigningError).ErrorDetail(); got != "M_INVALID_SIGNATURE" {
		t.Errorf("the server said %q", got)
	}
	if len(d.requests(lane.SignatureUpload)) != 0 {
		t.Error("it is on the list again")
	}
	d.pumps(s)
	if d.standing(her) != trust.Unverified {
		t.Errorf("she is %v", d.standing(her))
	}
}

// failing is a connection that may be down.
type failing struct {
	*directory
	down bool
}

func (f *failing) Send(ctx context.Context, r *lane.Request) ([]byte, error) {
	if f.down {
		return nil, &lane.FetchError{Code: lane.CodeFetchFailed}
	}
	return f.directory.Send(ctx, r)
}

// Given the client's own connection, when somebody is confirmed, then the signature is sent before the call returns; when it fails it stays on the list.
func TestSignaturesAreDelivered(t *testing.T) {
	d, s, alice := setUp(t)
	connection := &failing{directory: s, down: true}
	d.fetcher, d.spawn = connection, func(func()) {}
	d.reopen()
	_, err := d.machine.VerifyIdentity(context.Background(), her, master(alice))
	if err == nil || codeOf(t, err) != lane.CodeFetchFailed {
		t.Fatal(err)
	}
	connection.down = false
	if request := d.verifies(her, master(alice)); request != nil {
		t.Error("what was sent is handed out to be sent")
	}
	s.refuses = "M_UNKNOWN"
	if _, err := d.machine.VerifyIdentity(context.Background(), her, master(alice)); err == nil || codeOf(t, err) != core.CodeSignatureRefused {
		t.Error(err)
	}
	d.pumps(s)
	if d.standing(her) != trust.Verified {
		t.Errorf("she is %v", d.standing(her))
	}
	count := 0
	for _, kind := range s.sent {
		if kind == lane.SigningKeysUpload {
			count++
		}
	}
	if count != 1 {
		t.Errorf("signing keys were uploaded %d times", count)
	}
}

// Given a stored signature over our device that does not hold over what we say of it, when the machine is opened, then it goes with nothing we send: whoever
// got it would refuse our messages.
func TestCrossSignatureThatDoesNotHold(t *testing.T) {
	d := withAccount(t)
	s := newDirectory(t, d.me)
	phone := d.talksTo(s)
	row := must(d.rows.Get(context.Background(), store.Meta, []store.Key{record.AccountKey()}))[0]
	account := must(record.DecodeAccount(row))
	account.CrossSigner = must(keys.ParseEd25519(d.me.Identity.SelfSigning.Public()))
	account.CrossSignature = account.Sign([]byte("something else"))
	d.rot(store.Meta, record.AccountKey(), record.AccountRow(account).Value)
	d.reopen()
	if outcome := d.crossSigned(d.saysOfItself(phone)); outcome != trust.CrossSignatureAbsent {
		t.Errorf("the device says of itself: %v", outcome)
	}
}

// A seed that is imported is in no error and in nothing that is printed.
func TestSeedsAreNotPrinted(t *testing.T) {
	s := &spy{t: t}
	d := withAccount(t)
	from := seeds(d.me.Identity)
	status, err := d.machine.ImportCrossSigningKeys(context.Background(), from)
	exported, _ := d.machine.ExportCrossSigningKeys(context.Background())
	requests, _ := d.machine.BootstrapCrossSigning(context.Background(), false)
	s.hears("what comes back", status, err, exported, requests, d.machine)
	var secrets []string
	for _, seed := range []string{from.Master, from.SelfSigning, from.UserSigning} {
		secrets = append(secrets, spellings(must(keys.DecodeBase64(seed)))...)
	}
	s.heardNone(secrets)
	if strings.Contains(string(requests.UploadSigningKeys.Body), from.Master) {
		t.Error("the seed is uploaded")
	}
}
