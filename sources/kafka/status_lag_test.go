package kafka

import (
	"testing"
	"time"
)

// A source that has taken all it lagged behind must not stay late until the lag is measured again.
func TestLagShrinksWithWhatIsTaken(t *testing.T) {
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	var s status
	s.connected(now)
	s.setLag(5, now)
	s.accepted(3, 3, 0, now.Add(-time.Hour), now)
	if s.lag != 2 || s.lagAge(now) != time.Hour {
		t.Errorf("want 2 records, an hour behind; got %d, %s", s.lag, s.lagAge(now))
	}
	s.accepted(2, 2, 0, now.Add(-time.Hour), now)
	if s.lag != 0 || s.lagAge(now) != 0 {
		t.Errorf("want no lag; got %d, %s", s.lag, s.lagAge(now))
	}
}
