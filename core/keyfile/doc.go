// Package keyfile reads and writes room keys outside of Olm: key-export files, server-side backups and history bundles.
//
// The rule of this package: whatever comes out of a file is a claim. A file is as authentic as its passphrase, a backup can be added to by
// whoever knows its public key, which the server does, and a bundle is somebody's word. So every entry gives a claimed copy, whose sender is
// not known, whatever is written beside it; the one exception is sender data under a MAC that only the user's own devices can make, and those
// are handed out apart (Entry.Evidence), never inside the copy.
//
//	key file  ──DecryptFile──▶ JSON array ──Splitter──▶ element ──ParseEntry────────▶ Entry ──Copy──▶ sender.Copy
//	backup    ──EachBackupSession──▶ SealedSession ──Open──▶ payload ──ParseBackupEntry──▶ Entry
//	bundle    ──OpenBundle──▶ JSON ──EachBundleItem─────────────────────────────────▶ Entry
//
// One bad entry costs itself and nothing else (T40). What is slow or better done by a browser (PBKDF2, AES over megabytes, X25519) goes
// through an interface: Cipher, Agreement. Both have an implementation on the Go library.
package keyfile
