package testkit

// User is a person: a user id, a cross-signing identity and devices.
type User struct {
	ID       string
	Identity *Identity
	Previous []*Identity // identities before resets, oldest first
	Devices  []*Device
	kit      *Kit
}

// Identity is a set of cross-signing keys. Set a key to nil to leave it out of every answer.
type Identity struct {
	Master, SelfSigning, UserSigning *CrossSigningKey
}

// CrossSigningKey is one of the three keys of an identity and the object that publishes it.
type CrossSigningKey struct {
	*SigningKey
	user          string
	usage         string
	before, after []Hook
	signatures    []signed
}

// User makes a person with a fresh identity and no devices.
func (k *Kit) User(id string) *User {
	user := &User{ID: id, kit: k}
	user.Identity = user.newIdentity()
	return user
}

func (u *User) newIdentity() *Identity {
	master := u.newKey("master")
	self, users := u.newKey("self_signing"), u.newKey("user_signing")
	self.SignedBy(u.ID, master.SigningKey)
	users.SignedBy(u.ID, master.SigningKey)
	return &Identity{Master: master, SelfSigning: self, UserSigning: users}
}

func (u *User) newKey(usage string) *CrossSigningKey {
	return &CrossSigningKey{SigningKey: u.kit.signingKey(), user: u.ID, usage: usage}
}

// WithoutIdentity removes the identity: the person never set up cross-signing.
func (u *User) WithoutIdentity() *User {
	u.Identity = &Identity{}
	return u
}

// ResetIdentity replaces all three keys. Devices keep the signatures they had, now by an old key; the signatures other
// people gave the old master key are gone.
func (u *User) ResetIdentity() {
	u.Previous = append(u.Previous, u.Identity)
	u.Identity = u.newIdentity()
}

// RotateSelfSigning replaces the self-signing key only, under the same master key.
func (u *User) RotateSelfSigning() {
	previous := *u.Identity
	u.Previous = append(u.Previous, &previous)
	u.Identity.SelfSigning = u.newKey("self_signing")
	u.Identity.SelfSigning.SignedBy(u.ID, u.Identity.Master.SigningKey)
}

// RotateUserSigning replaces the user-signing key only, under the same master key.
func (u *User) RotateUserSigning() {
	previous := *u.Identity
	u.Previous = append(u.Previous, &previous)
	u.Identity.UserSigning = u.newKey("user_signing")
	u.Identity.UserSigning.SignedBy(u.ID, u.Identity.Master.SigningKey)
}

// Verifies signs other's current master key with the current user-signing key, as a user does who has compared emoji.
func (u *User) Verifies(other *User) {
	other.Identity.Master.SignedBy(u.ID, u.Identity.UserSigning.SigningKey)
}

// SignedBy adds a signature of key, filed under user and the key's own label, to the object. Signatures are made when
// the object is built, so hooks given later are covered too.
func (k *CrossSigningKey) SignedBy(user string, key *SigningKey) *CrossSigningKey {
	k.signatures = append(k.signatures, signed{user: user, label: key.Label(), key: key})
	return k
}

// SignedByDevice adds the signature of a device of the same user, as clients do on the master key.
func (k *CrossSigningKey) SignedByDevice(device *Device) *CrossSigningKey {
	k.signatures = append(k.signatures, signed{user: k.user, label: "ed25519:" + device.ID, key: device.SigningKey})
	return k
}

// Unsigned drops every signature.
func (k *CrossSigningKey) Unsigned() *CrossSigningKey {
	k.signatures = nil
	return k
}

// CorruptlySigned keeps the labels of all signatures and makes each of them wrong.
func (k *CrossSigningKey) CorruptlySigned() *CrossSigningKey {
	for i := range k.signatures {
		k.signatures[i].corrupt = true
	}
	return k
}

// Before adds hooks that change the object before it is signed.
func (k *CrossSigningKey) Before(hooks ...Hook) *CrossSigningKey {
	k.before = append(k.before, hooks...)
	return k
}

// After adds hooks that change the object after it was signed.
func (k *CrossSigningKey) After(hooks ...Hook) *CrossSigningKey {
	k.after = append(k.after, hooks...)
	return k
}

// Usage is a hook for Before that replaces the declared usage.
func Usage(usage ...string) Hook { return Set("usage", usage) }

// Object builds the published object of the key.
func (k *CrossSigningKey) Object() map[string]any {
	return build(map[string]any{
		"user_id": k.user,
		"usage":   []string{k.usage},
		"keys":    map[string]any{k.Label(): k.Public()},
	}, k.before, k.signatures, k.after)
}

// KeysQueryObject builds the answer to /keys/query for users, to be changed at will and encoded with JSON.
func (k *Kit) KeysQueryObject(users ...*User) map[string]any {
	devices, masters, selves, userSigners := map[string]any{}, map[string]any{}, map[string]any{}, map[string]any{}
	publish := func(into map[string]any, user string, key *CrossSigningKey) {
		if key != nil {
			into[user] = key.Object()
		}
	}
	for _, user := range users {
		ofUser := map[string]any{}
		for _, device := range user.Devices {
			ofUser[device.ID] = device.Object()
		}
		devices[user.ID] = ofUser
		publish(masters, user.ID, user.Identity.Master)
		publish(selves, user.ID, user.Identity.SelfSigning)
		publish(userSigners, user.ID, user.Identity.UserSigning)
	}
	return map[string]any{
		"failures":          map[string]any{},
		"device_keys":       devices,
		"master_keys":       masters,
		"self_signing_keys": selves,
		"user_signing_keys": userSigners,
	}
}

// KeysQuery is the body of the answer to /keys/query for users.
func (k *Kit) KeysQuery(users ...*User) []byte { return JSON(k.KeysQueryObject(users...)) }
