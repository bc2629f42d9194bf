package sender

// Forwarder is who handed a claimed copy over: the sender of a history bundle (MSC4268), or the device of ours that answered a request for the
// key (m.forwarded_room_key). It never raises what is known of the key's sender.
type Forwarder struct {
	Data Data // SenderUnverified or SenderVerified, nothing else
}

// ForwarderOf makes sender data into a forwarder. Only a user whose identity is in order can be one: false for all but SenderUnverified and
// SenderVerified.
func ForwarderOf(d Data) (Forwarder, bool) {
	if d.Kind != SenderUnverified && d.Kind != SenderVerified {
		return Forwarder{}, false
	}
	return Forwarder{Data: d}, true
}
