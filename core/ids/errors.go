package ids

// The codes an *Error can carry.
const (
	CodeBadUserID   = "bad_user_id"
	CodeBadDeviceID = "bad_device_id"
	CodeBadRoomID   = "bad_room_id"
	CodeBadEventID  = "bad_event_id"
)

// Error says that a text is not the identifier it was taken for. The text itself is not repeated: it may be of any length and content.
type Error struct {
	Kind   string // what was expected: "user id", "device id", "room id", "event id"
	Code   string // one of the codes above
	Reason string // what is wrong with it, as the end of a sentence
}

func (e *Error) Error() string { return "not a valid " + e.Kind + ": " + e.Reason }

// ErrorCode is the stable name of what went wrong.
func (e *Error) ErrorCode() string { return e.Code }
