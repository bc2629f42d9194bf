package signedjson

// The codes an *Error can carry.
const (
	CodeBadJSON           = "bad_json"            // not JSON (RFC 8259), or something follows it
	CodeByteOrderMark     = "byte_order_mark"     // U+FEFF before the JSON: some readers skip it, some do not
	CodeBadUTF8           = "bad_utf8"            // bytes that are no UTF-8, or the escape of half a surrogate pair
	CodeDuplicateMember   = "duplicate_member"    // one name twice in one object: readers differ in which they take
	CodeTooDeep           = "too_deep"            // more than MaxDepth levels
	CodeTooLarge          = "too_large"           // more bytes than the limit
	CodeMissingMember     = "missing_member"      // a required member is absent
	CodeWrongType         = "wrong_type"          // a member, or the whole, is of another JSON type
	CodeBadNumber         = "bad_number"          // not an integer within ±(2^53 - 1) in its shortest form
	CodeNULCharacter      = "nul_character"       // U+0000 in a text that is read: readers written in C end there
	CodeCaseVariantMember = "case_variant_member" // a name that equals a known one but for case
	CodeBadSignature      = "bad_signature"       // a signature that is present but is not one
)

// Error says why JSON was refused or a member could not be read. It names only members its caller asked for and never repeats what the
// sender wrote.
type Error struct {
	Code     string // one of the codes above
	Member   string // the member that was asked for, "" when it is about the whole
	Expected string // what would have been accepted, may be ""
	Got      string // what kind of thing was there instead, when something was expected; may be ""
	Offset   int    // where in the text, for bad_json; else 0
}

func (e *Error) Error() string {
	text := "JSON refused: " + e.Code
	if e.Member != "" {
		text += " at member " + e.Member
	}
	if e.Expected != "" {
		text += ": expected " + e.Expected
		if e.Got != "" {
			text += ", got " + e.Got
		}
	}
	return text
}

// ErrorCode is the stable name of what went wrong.
func (e *Error) ErrorCode() string { return e.Code }
