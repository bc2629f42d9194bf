package megolm

// Ordering is how one session stands to another, seen from the first.
type Ordering uint8

// The names are vodozemac's.
const (
	// Unconnected sessions have different ids, or ratchets of which neither leads to the other.
	Unconnected Ordering = iota
	// Equal sessions open the same messages.
	Equal
	// Better is the session with the lower first index.
	Better
	// Worse is the session with the higher first index.
	Worse
)

func (o Ordering) String() string {
	switch o {
	case Equal:
		return "equal"
	case Better:
		return "better"
	case Worse:
		return "worse"
	default:
		return "unconnected"
	}
}

// Compare says how s stands to other: the earlier ratchet is moved on to the index of the later one, and must then be the same.
func (s *InboundSession) Compare(other *InboundSession) Ordering {
	if s.id != other.id {
		return Unconnected
	}
	early, late, ordering := &s.first, &other.first, Better
	switch {
	case early.index == late.index:
		ordering = Equal
	case early.index > late.index:
		early, late, ordering = late, early, Worse
	}
	moved := *early
	moved.advanceTo(late.index)
	defer moved.wipe()
	if !moved.equal(late) {
		return Unconnected
	}
	return ordering
}

// Merge joins two sessions into a new one that opens what either opens: the lower first index wins, and the result is signed if
// either is, for an early ratchet that leads to a signed one could not have been found without knowing it. The error is a
// *MergeError, unconnected_sessions; then neither may stand in for the other.
func Merge(a, b *InboundSession) (*InboundSession, error) {
	first := &a.first
	switch a.Compare(b) {
	case Unconnected:
		return nil, &MergeError{Code: CodeUnconnectedSessions}
	case Worse:
		first = &b.first
	}
	return newInboundSession(a.id, *first, a.signed || b.signed), nil
}
