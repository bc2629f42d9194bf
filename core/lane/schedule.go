package lane

import "time"

// Schedule is when a copy whose sender is unknown is to be asked about again. It lies with the copy, so a restart goes on where an earlier run
// stopped. The zero Schedule is a copy that was never asked about: it is due.
type Schedule struct {
	Tries uint8 // how often the sender was asked about in vain; saturates at 255
	Next  int64 // not before this time, in milliseconds since 1970; 0: now
}

// The delays of decision 18: doubling from 15 seconds to 15 minutes for the first eight tries, then three steps down to once a day.
const (
	firstDelay = 15 * time.Second
	cappedAt   = 15 * time.Minute
	quickTries = 8
	// MaxDelay is the longest delay there is, jitter included. A time further ahead than this was written by a clock that was wrong.
	MaxDelay = 24*time.Hour + 24*time.Hour/jitterParts
	// jitterParts: a delay is made up to one fifth longer, so that clients do not ask in step.
	jitterParts = 5
)

var lateDelays = [...]time.Duration{time.Hour, 6 * time.Hour, 24 * time.Hour}

// Delay is how long to wait after so many tries in vain. jitter is a random number from 0 up to but not 1.
func Delay(tries uint8, jitter float64) time.Duration {
	var delay time.Duration
	switch {
	case tries == 0:
		return 0
	case tries <= quickTries:
		delay = min(firstDelay<<(tries-1), cappedAt)
	default:
		delay = lateDelays[min(int(tries)-quickTries-1, len(lateDelays)-1)]
	}
	return delay + time.Duration(float64(delay/jitterParts)*jitter)
}

// After is the schedule once another try at now was in vain. notBefore is when the server wants to be asked again at the earliest (a 429's
// retry_after_ms), 0 when it said nothing; it counts even where it is later than any delay of ours, up to MaxDelay.
func (s Schedule) After(now, notBefore int64, jitter float64) Schedule {
	if s.Tries < 255 {
		s.Tries++
	}
	s.Next = max(now+Delay(s.Tries, jitter).Milliseconds(), min(notBefore, now+MaxDelay.Milliseconds()))
	return s
}

// Nudged is the schedule when there is news of the sender: due now. What was tried in vain is forgotten, for it was tried in another world.
func (s Schedule) Nudged() Schedule { return Schedule{} }

// Join is the schedule of two copies put together: that of the one asked about more often, and of two alike the later. A key that is delivered
// again is no news of its sender.
func (s Schedule) Join(other Schedule) Schedule {
	if s.Tries > other.Tries || s.Tries == other.Tries && s.Next >= other.Next {
		return s
	}
	return other
}

// Due says whether it is time. A time further ahead than any delay comes from a clock that has since been put back; the copy is due then,
// rather than never (F28).
func (s Schedule) Due(now int64) bool {
	return s.Next <= now || s.Next > now+MaxDelay.Milliseconds()
}
