package say

import (
	"fmt"
	"time"
)

// The layouts of a moment. All are in UTC; whoever shows one alone says so once.
const (
	ClockLayout    = "15:04:05"
	DayClockLayout = "2 Jan 15:04:05"
)

// Clock is a time of day.
func Clock(t time.Time) string { return t.UTC().Format(ClockLayout) }

// Minute is a time of day to the minute, for what was never known better: when a page went out, by when to look again.
func Minute(t time.Time) string { return t.UTC().Format("15:04") }

// Moment is Clock, with the date where t is not on the day of ref.
func Moment(t, ref time.Time) string {
	if t.UTC().Format(time.DateOnly) != ref.UTC().Format(time.DateOnly) {
		return t.UTC().Format(DayClockLayout)
	}
	return Clock(t)
}

// Span says how long, without a sign: 95 s, 12 min, 3 h 20 min, 5 days.
func Span(d time.Duration) string {
	d = d.Abs()
	switch s := d.Round(time.Second); {
	case s < 2*time.Minute:
		return fmt.Sprintf("%d s", s/time.Second)
	case d.Round(time.Minute) < 2*time.Hour:
		return fmt.Sprintf("%d min", d.Round(time.Minute)/time.Minute)
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		if m := d % time.Hour / time.Minute; m != 0 {
			return fmt.Sprintf("%d h %d min", d/time.Hour, m)
		}
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// Seconds is a number of seconds as a duration.
func Seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
