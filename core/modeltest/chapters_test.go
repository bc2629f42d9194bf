package modeltest

// Chapters: some letters of the alphabet each, few enough to be walked to their end.

var chapters = map[string][]string{
	"whose phone is it": {
		"key at 0", "key at 2", "key at 0, device unsigned", "key at 2, device signed", "key at 0, device forged", "key at 2, device signed by the second",
		"answer: alice gone", "answer: alice unsigned", "answer: alice unsigned, identity", "answer: alice signed", "answer: alice forged",
		"answer: alice rotated", "answer: alice rotated, signed", "answer: alice is mallory",
		"a day without network", "a day, and alice is signed", "restart",
	},
	"whom do we trust": {
		"key at 0", "key at 2, device signed by the second",
		"answer: alice signed", "answer: alice verified", "answer: alice verified by both", "answer: alice rotated, signed", "answer: alice rotated, verified",
		"answer: me", "answer: me reset", "we trust our identity", "we trust our reset identity",
		"we withdraw from alice", "we withdraw from our own", "we accept alice's identity", "restart",
	},
	"six copies": {
		"key at 0", "key at 2", "another ratchet at 0", "mallory's at 0", "mallory's at 2, device signed", "mallory's at 0, other room",
		"mallory's at 0, alice's fingerprint", "mallory's at 0, alice's device",
		"claim of alice's at 0", "claim of alice's at 2", "claim of mallory's at 0", "forwarded claim of a stranger's, another ratchet",
		"answer: alice signed", "answer: alice forged", "answer: mallory", "answer: mallory the thief", "restart",
	},
	"who took the index": {
		"key at 2", "key at 0, device forged", "mallory's at 0", "claim of alice's at 0", "answer: alice signed", "answer: alice forged",
		"alice's message at 2", "the same ciphertext as another event", "restart",
	},
}

// chapter is the letters of a chapter.
func (w *world) chapter(name string) []*letter {
	var letters []*letter
	for _, letter := range chapters[name] {
		letters = append(letters, w.letter(letter))
	}
	if letters == nil {
		panic("there is no chapter " + name)
	}
	return letters
}
