package journal

import (
	"math"
	"time"
)

// The times that fit into int64 nanoseconds: 1677 to 2262. Others are stored as the nearest that fits;
// bodies keep them exactly.
var (
	firstTime = time.Unix(0, math.MinInt64)
	lastTime  = time.Unix(0, math.MaxInt64)
)

// nanos is a time as it is stored: unix nanoseconds, 0 for the zero time.
func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Before(firstTime):
		return math.MinInt64
	case t.After(lastTime):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// timed returns t, or now where t is not known: what nobody dated is kept, and removed, as from when it was stored.
func timed(t, now time.Time) time.Time {
	if t.IsZero() {
		return now.UTC()
	}
	return t
}

// instant is nanos undone, in UTC.
func instant(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// nanosFrom and nanosTo are a bound of a query: the zero time leaves that side open.
func nanosFrom(t time.Time) int64 {
	if t.IsZero() {
		return math.MinInt64
	}
	return nanos(t)
}

func nanosTo(t time.Time) int64 {
	if t.IsZero() {
		return math.MaxInt64
	}
	return nanos(t)
}
