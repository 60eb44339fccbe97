package verify

import (
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// presence says whether a service is there. "No metrics" and "dead" look alike in its own series and are kept apart: by up, by
// whether others are still measured, and by restarts.
type presence struct {
	state presenceState
	since time.Time
	why   string // a clause without the service's name
}

type presenceState int

const (
	present    presenceState = iota // or nothing is known of it
	dead                            // its processes are gone
	unmeasured                      // its metrics ended; whether it is dead is not known, or it is known to run
	unscraped                       // nothing at all is measured any more: the fault may be the measuring's
)

// presenceOf reads whether a service is there now from series of its own (traffic, what it uses, up, restarts) and of others.
func presenceOf(service string, series []triage.Series, now time.Time) presence {
	var ended time.Time
	known, lives, othersLive, running, restarts := false, false, false, false, false
	for _, s := range series {
		mine := s.Labels["service"] == service
		fresh := freshAt(s, now)
		switch {
		case !mine:
			othersLive = othersLive || fresh
		case strings.HasPrefix(s.Metric, "restarts"):
			restarts = restarts || recent(s, now) > 0
		case isUp(s):
			last, since := lastLow(s, now)
			if fresh && last < aliveFrom {
				return presence{state: dead, since: since, why: "up is 0" + sinceClock(since)}
			}
			if at := endOf(s, now); !at.IsZero() {
				known, ended = true, latest(ended, at)
			}
			running = running || fresh
		case presents(s):
			if at := endOf(s, now); !at.IsZero() {
				known, ended = true, latest(ended, at)
			}
			lives = lives || fresh
		}
	}
	switch {
	case lives || !known:
		return presence{}
	case running:
		return presence{unmeasured, ended, "its metrics ended" + atClock(ended) + ", while up is 1: it runs and is not measured"}
	case !othersLive:
		return presence{unscraped, ended, "its metrics ended" + atClock(ended) + ", and so did those of others: the measuring itself may have failed"}
	case restarts:
		return presence{dead, ended, "its metrics ended" + atClock(ended) + " and it keeps restarting"}
	case hasUp(service, series): // its targets were taken away with it
		return presence{dead, ended, "its metrics and its targets ended" + atClock(ended)}
	}
	return presence{unmeasured, ended, "its metrics ended" + atClock(ended) + ", while others go on: whether it is dead is not known"}
}

// aliveFrom is the share of a service's processes that must be up for it not to be dead.
const aliveFrom = 0.01

func isUp(s triage.Series) bool { return s.Metric == "up" }

func hasUp(service string, series []triage.Series) bool {
	for _, s := range series {
		if isUp(s) && s.Labels["service"] == service {
			return true
		}
	}
	return false
}

// freshAt reports whether a series has a sample of late.
func freshAt(s triage.Series, now time.Time) bool {
	return len(between(s, now.Add(-max(3*s.Step(), endedAfter)), now)) > 0
}

// recent is the largest value of late.
func recent(s triage.Series, now time.Time) float64 {
	out := 0.0
	for _, p := range between(s, now.Add(-10*time.Minute), now) {
		out = max(out, p.v)
	}
	return out
}

// lastLow is the latest value, and since when it has been this low.
func lastLow(s triage.Series, now time.Time) (last float64, since time.Time) {
	points := between(s, time.Time{}, now)
	for i, point := range slices.Backward(points) {
		if i == len(points)-1 {
			last = point.v
		}
		if point.v >= aliveFrom {
			break
		}
		since = point.at
	}
	return last, since
}

func sinceClock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " since " + say.Clock(t)
}

func atClock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " at " + say.Clock(t)
}
