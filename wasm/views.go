//go:build js && wasm

package main

import (
	"knownsender/core"
	"knownsender/core/keys"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
	"knownsender/core/trust"
)

// The JSON that JavaScript sees of our values, in the append style. The shapes are those of web/src/types.ts, member for member.

// object writes { members }.
func object(dst []byte, members func(dst []byte) []byte) []byte {
	return append(members(append(dst, '{')), '}')
}

// array writes [ items ].
func array(dst []byte, count int, item func(dst []byte, i int) []byte) []byte {
	dst = append(dst, '[')
	for i := range count {
		dst = item(signedjson.AppendComma(dst), i)
	}
	return append(dst, ']')
}

func name(dst []byte, name string) []byte { return signedjson.AppendName(dst, name) }

func text(dst []byte, member, value string) []byte {
	return signedjson.AppendString(name(dst, member), value)
}

// textOrNull writes null for an empty string.
func textOrNull(dst []byte, member, value string) []byte {
	if value == "" {
		return append(name(dst, member), "null"...)
	}
	return text(dst, member, value)
}

func flag(dst []byte, member string, value bool) []byte {
	return signedjson.AppendBool(name(dst, member), value)
}

func number(dst []byte, member string, value int64) []byte {
	return signedjson.AppendInt(name(dst, member), value)
}

func appendSenderData(dst []byte, d *sender.Data) []byte {
	return object(dst, func(dst []byte) []byte {
		dst = text(dst, "type", d.Kind.String())
		if d.UserID != "" {
			dst = text(dst, "userId", string(d.UserID))
		}
		if d.DeviceID != "" {
			dst = text(dst, "deviceId", string(d.DeviceID))
		}
		if d.MasterKey != (keys.Ed25519{}) {
			dst = text(dst, "masterKey", d.MasterKey.String())
		}
		if d.OwnerCheckFailed {
			dst = flag(dst, "ownerCheckFailed", true)
		}
		return dst
	})
}

func appendCopyKey(dst []byte, key *sender.CopyKey) []byte {
	dst = text(dst, "roomId", string(key.RoomID))
	dst = text(dst, "sessionId", key.SessionID.String())
	return text(dst, "senderKey", key.SenderKey.String())
}

func appendShield(dst []byte, s policy.Shield) []byte {
	return object(dst, func(dst []byte) []byte {
		return textOrNull(text(dst, "color", s.Color.String()), "code", s.Code)
	})
}

func appendVerdict(dst []byte, v *policy.Verdict) []byte {
	return object(dst, func(dst []byte) []byte {
		dst = flag(dst, "shown", v.Shown)
		dst = text(dst, "state", v.State.String())
		dst = textOrNull(dst, "code", v.Code)
		dst = appendShield(name(dst, "shield"), v.Shield)
		dst = appendShield(name(dst, "strictShield"), v.Strict)
		dst = flag(dst, "ambiguousOwner", v.AmbiguousOwner)
		return object(name(dst, "names"), func(dst []byte) []byte {
			var refused policy.PeerNames
			if !v.Shown {
				refused, _ = policy.CodeNames(v.Code)
			}
			shield, _ := policy.ShieldNames(v.Shield.Code)
			dst = textOrNull(dst, "decryptionErrorCode", refused.MatrixSDKCrypto)
			dst = textOrNull(dst, "decryptionFailureCode", refused.MatrixJSSDK)
			return textOrNull(dst, "eventShieldReason", shield.MatrixJSSDK)
		})
	})
}

func appendInfo(dst []byte, info *core.EncryptionInfo) []byte {
	return object(dst, func(dst []byte) []byte {
		dst = text(dst, "sender", string(info.Sender))
		dst = text(dst, "sessionId", info.SessionID.String())
		if c := info.Verdict.Chosen; c != nil {
			dst = text(dst, "senderKey", c.SenderKey.String())
			dst = textOrNull(dst, "senderDevice", string(c.Current.DeviceID))
			dst = appendSenderData(name(dst, "senderData"), &c.Current)
			dst = appendSenderData(name(dst, "atReception"), &c.AtReception)
			dst = flag(dst, "legacySession", c.Legacy)
			dst = text(dst, "provenance", c.Provenance.String())
			dst = appendForwarder(dst, c)
		} else {
			for _, member := range []string{"senderKey", "senderDevice", "senderData", "atReception", "forwarder"} {
				dst = textOrNull(dst, member, "")
			}
			dst = textOrNull(flag(dst, "legacySession", false), "provenance", "")
		}
		dst = appendHint(name(dst, "hint"), info.Hint)
		return appendVerdict(name(dst, "verdict"), &info.Verdict)
	})
}

func appendForwarder(dst []byte, c *sender.Copy) []byte {
	if c.Forwarder == nil {
		return textOrNull(dst, "forwarder", "")
	}
	return appendSenderData(name(dst, "forwarder"), &c.Forwarder.Data)
}

// coded is what every error of ours offers.
type coded interface {
	error
	ErrorCode() string
}

func appendRefusal(dst []byte, err error) []byte {
	return object(dst, func(dst []byte) []byte { return appendCoded(dst, err) })
}

func appendCoded(dst []byte, err error) []byte {
	code := "internal"
	if c, ok := err.(coded); ok {
		code = c.ErrorCode()
	}
	return text(text(dst, "code", code), "message", err.Error())
}

// verdictsOf asks each policy about an event of the copy from its owner.
func verdictsOf(dst []byte, c *sender.Copy) []byte {
	return object(dst, func(dst []byte) []byte {
		question := policy.Question{Sender: c.OlmUser, Copies: []*sender.Copy{c}}
		for r := range policy.TrustRequirement(policy.Requirements) {
			question.Requirement = r
			code := ""
			if verdict := policy.Judge(&question); !verdict.Shown {
				code = verdict.Code
			}
			dst = textOrNull(dst, r.String(), code)
		}
		return dst
	})
}

func appendReceipt(dst []byte, r *core.Receipt) []byte {
	return object(dst, func(dst []byte) []byte {
		if c := r.Copy; c != nil {
			dst = appendCopyKey(flag(dst, "accepted", true), &c.CopyKey)
			dst = text(dst, "lane", r.Lane.String())
			dst = appendSenderData(name(dst, "senderData"), &c.Current)
			dst = flag(dst, "suspended", c.Suspended)
			dst = verdictsOf(name(dst, "verdicts"), c)
			return text(dst, "step", string(rune(r.Finding.Step)))
		}
		dst = flag(dst, "accepted", false)
		dst = flag(dst, "discarded", r.Tombstone != nil)
		if r.Tombstone == nil {
			return appendRefusal(name(dst, "refusal"), r.Err)
		}
		return object(name(dst, "refusal"), func(dst []byte) []byte {
			return text(text(dst, "code", r.Tombstone.Reason), "message",
				"the sender's own message carries a wrong cross-signature; the room key was discarded")
		})
	})
}

func appendSettled(dst []byte, s *core.Settled) []byte {
	return object(dst, func(dst []byte) []byte {
		dst = appendCopyKey(dst, &s.CopyKey)
		dst = appendSenderData(name(dst, "senderData"), &s.Data)
		return flag(dst, "known", s.Known)
	})
}

func appendDecrypted(dst []byte, e *core.DecryptedEvent) []byte {
	return object(dst, func(dst []byte) []byte {
		dst = append(name(dst, "clearEvent"), e.ClearEvent...)
		dst = number(dst, "messageIndex", int64(e.MessageIndex))
		dst = appendInfo(name(dst, "encryptionInfo"), &e.Info)
		return array(name(dst, "unsigned"), len(e.Nested), func(dst []byte, i int) []byte {
			n := &e.Nested[i]
			return object(dst, func(dst []byte) []byte {
				dst = text(dst, "location", n.Location)
				if n.Err != nil {
					dst = append(name(dst, "event"), "null"...)
					return appendRefusal(name(dst, "refusal"), n.Err)
				}
				dst = appendDecrypted(name(dst, "event"), n.Event)
				return append(name(dst, "refusal"), "null"...)
			})
		})
	})
}

// appendUndecrypted writes an error of decryption with what the policy knew.
func appendUndecrypted(dst []byte, e *core.DecryptionError) []byte {
	return object(dst, func(dst []byte) []byte {
		dst = text(text(dst, "code", e.Code), "message", e.Error())
		dst = textOrNull(dst, "reason", e.Reason)
		dst = textOrNull(dst, "expected", e.Expected)
		dst = textOrNull(dst, "got", e.Got)
		if e.Info != nil {
			dst = appendInfo(name(dst, "encryptionInfo"), e.Info)
		} else {
			dst = append(name(dst, "encryptionInfo"), "null"...)
		}
		return appendWithheld(name(dst, "withheld"), e.Withheld)
	})
}

func appendWithheld(dst []byte, w *core.Withheld) []byte {
	if w == nil {
		return append(dst, "null"...)
	}
	return object(dst, func(dst []byte) []byte {
		return text(text(text(dst, "code", w.Code), "reason", w.Reason), "sender", string(w.Sender))
	})
}

func appendChange(dst []byte, r *core.KeysQueryResult) []byte {
	return object(dst, func(dst []byte) []byte {
		dst = array(name(dst, "devices"), len(r.Devices), func(dst []byte, i int) []byte {
			d := &r.Devices[i]
			return object(dst, func(dst []byte) []byte {
				return text(text(text(dst, "userId", string(d.UserID)), "deviceId", string(d.DeviceID)), "change", d.Kind.String())
			})
		})
		dst = array(name(dst, "identities"), len(r.Identities), func(dst []byte, i int) []byte {
			return object(dst, func(dst []byte) []byte {
				return text(text(dst, "userId", string(r.Identities[i].UserID)), "change", r.Identities[i].Kind.String())
			})
		})
		dst = array(name(dst, "verification"), len(r.Verifications), func(dst []byte, i int) []byte {
			return signedjson.AppendString(dst, string(r.Verifications[i].UserID))
		})
		dst = array(name(dst, "problems"), len(r.Problems), func(dst []byte, i int) []byte {
			p := &r.Problems[i]
			return object(dst, func(dst []byte) []byte {
				dst = text(dst, "userId", string(p.UserID))
				if p.DeviceID != "" {
					dst = text(dst, "deviceId", string(p.DeviceID))
				}
				return text(text(dst, "code", p.Code), "message", p.Message)
			})
		})
		return number(dst, "roomKeys", int64(r.RoomKeys))
	})
}

func verificationName(v trust.Verification) string {
	switch v {
	case trust.Verified:
		return "Verified"
	case trust.Violation:
		return "VerificationViolation"
	}
	return "Unverified"
}

func appendExplanation(dst []byte, e *core.Explanation) []byte {
	return object(dst, func(dst []byte) []byte {
		dst = text(text(dst, "roomId", string(e.RoomID)), "sessionId", e.SessionID.String())
		dst = array(name(dst, "copies"), len(e.Copies), func(dst []byte, i int) []byte {
			c := &e.Copies[i]
			return object(dst, func(dst []byte) []byte {
				dst = text(text(dst, "senderKey", c.SenderKey.String()), "provenance", c.Provenance.String())
				dst = number(dst, "firstKnownIndex", int64(c.Session.FirstKnownIndex()))
				dst = appendSenderData(name(dst, "senderData"), &c.Current)
				dst = appendSenderData(name(dst, "atReception"), &c.AtReception)
				dst = flag(flag(dst, "legacySession", c.Legacy), "suspended", c.Suspended)
				dst = number(dst, "receivedAt", c.ReceivedAt)
				dst = appendHint(name(appendForwarder(dst, c.Copy), "hint"), c.Hint)
				if c.Waiting() {
					dst = object(name(dst, "schedule"), func(dst []byte) []byte {
						return number(number(dst, "tries", int64(c.Schedule.Tries)), "next", c.Schedule.Next)
					})
				} else {
					dst = textOrNull(dst, "schedule", "")
				}
				dst = array(name(dst, "steps"), len(c.Finding.Trace), func(dst []byte, i int) []byte {
					step := &c.Finding.Trace[i]
					return object(dst, func(dst []byte) []byte {
						dst = text(text(dst, "step", string(rune(step.Letter))), "evidence", step.Word)
						return textOrNull(dst, "device", step.Device)
					})
				})
				return text(text(textOrNull(dst, "why", c.Why), "wouldChange", c.WouldChange), "remedy", string(c.Remedy))
			})
		})
		dst = array(name(dst, "tombstones"), len(e.Tombstones), func(dst []byte, i int) []byte {
			t := e.Tombstones[i]
			return object(dst, func(dst []byte) []byte {
				return number(text(text(dst, "senderKey", t.SenderKey.String()), "reason", t.Reason), "at", t.At)
			})
		})
		return appendWithheld(name(dst, "withheld"), e.Withheld)
	})
}
