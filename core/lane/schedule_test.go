package lane_test

import (
	"testing"
	"time"

	"knownsender/core/lane"
)

// Scenario 70: back-off grows, is capped, and the count of tries saturates.
func TestDelaysGrowAndAreCapped(t *testing.T) {
	want := []time.Duration{
		0, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute,
		time.Hour, 6 * time.Hour, 24 * time.Hour, 24 * time.Hour,
	}
	for tries, delay := range want {
		if got := lane.Delay(uint8(tries), 0); got != delay {
			t.Errorf("after %d tries: %v, want %v", tries, got, delay)
		}
		if most := lane.Delay(uint8(tries), 0.999999); most < delay || most > delay+delay/5 {
			t.Errorf("after %d tries jitter makes %v of %v", tries, most, delay)
		}
	}
	s := lane.Schedule{Tries: 255}
	if got := s.After(1000, 0, 0); got.Tries != 255 || got.Next != 1000+lane.Delay(255, 0).Milliseconds() {
		t.Errorf("after 255 tries: %+v", got)
	}
}

func TestTheServersWishCounts(t *testing.T) {
	s := lane.Schedule{}
	if got := s.After(1000, 61_000, 0); got.Next != 61_000 {
		t.Errorf("retry_after of a minute: next at %d", got.Next)
	}
	if got := s.After(1000, 5_000, 0); got.Next != 16_000 {
		t.Errorf("a wish shorter than our own delay: next at %d", got.Next)
	}
	if got := s.After(1000, 1<<62, 0); got.Next != 1000+lane.MaxDelay.Milliseconds() {
		t.Errorf("a wish beyond all measure: next at %d", got.Next)
	}
}

// Scenario 76, F28: clocks jump, and nobody starves or storms.
func TestClockJumps(t *testing.T) {
	const year = 365 * 24 * 3600 * 1000
	now := int64(1_700_000_000_000)
	s := lane.Schedule{}.After(now, 0, 0.5)
	if s.Due(now) {
		t.Error("due at once after a try in vain")
	}
	if !s.Due(now + 10*year) {
		t.Error("not due when the clock has jumped ahead")
	}
	if !s.Due(now - 10*year) {
		t.Error("starved by a clock that was put back")
	}
	if again := s.After(now-10*year, 0, 0); again.Due(now - 10*year) {
		t.Error("a try in vain under the new clock is due at once: a storm")
	}
	if !(lane.Schedule{}).Due(0) {
		t.Error("a copy nobody asked about is not due")
	}
	if !s.Nudged().Due(now) {
		t.Error("news did not make it due")
	}
}
