package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// Would it have turned without the undo? A person who acts on a guess does not make the guess truer: what is measured after it
// must be something that nothing else explains.

// leastFar is how many services that nothing joins with the incident must have turned too: one may be a coincidence.
const leastFar = 2

// together is within what time two recoveries are one: the same minute, as far as scrapes can tell.
const together = time.Minute

// anyway says what speaks for the symptom having turned by itself, a clause each.
func anyway(in Input, symptom level) []string {
	var out []string
	if s := turnedToo(in, symptom); s != "" {
		out = append(out, s)
	}
	if s := clearsAnyway(in, symptom.turned); s != "" {
		out = append(out, s)
	}
	return out
}

// turnedToo finds services that the undone change cannot reach, and vendors, that were in trouble at the same time and came
// back before the symptom or with it: then what ended theirs may have ended it all.
func turnedToo(in Input, symptom level) string {
	byService := make(map[string][]triage.Series)
	for _, s := range in.Controls {
		byService[s.Labels["service"]] = append(byService[s.Labels["service"]], s)
	}
	type turn struct {
		service string
		at      time.Time
	}
	var found []turn
	for name, series := range byService {
		l, ok := gauge(series, view{onset: in.Onset, undo: in.Undo.EffectAt(), now: in.Now, hold: together})
		if ok && !l.turned.IsZero() && !l.turned.After(symptom.turned.Add(max(together, 2*l.step))) {
			found = append(found, turn{name, l.turned})
		}
	}
	far := func(t turn) bool { return slices.Contains(in.Far, t.service) }
	if n := len(found); n == 0 || n < leastFar && !slices.ContainsFunc(found, func(t turn) bool { return !far(t) }) {
		return ""
	}
	slices.SortFunc(found, func(a, b turn) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.service, b.service)) })
	names := make([]string, 0, 2)
	for _, f := range found[:min(len(found), 2)] {
		names = append(names, say.Clean(f.service, say.MaxName)+" at "+say.Clock(f.at))
	}
	text := strings.Join(names, " and ") + " turned too"
	if slices.Contains(in.Vendors, found[0].service) {
		return text + ", and is a vendor's own"
	}
	return text + ", where what was undone does not reach"
}

// leastEarlier is how many earlier firings must have lasted as long for their ends to say something; clearsShare is the share
// of them that must have ended within the time this one took.
const (
	leastEarlier = 3
	clearsShare  = 0.5
)

// clearsAnyway asks the alert's own past: of the earlier firings that had lasted as long as this one had when it was undone,
// how many were over within the time that it then took? Where too few lasted as long, how many were over by then at all.
//
// Worked example: undone 12 min after it began, turned 3 min later. Of nine earlier firings six lasted longer than 12 min, and
// four of those ended before 15 min: two in three would have turned just so.
func clearsAnyway(in Input, turned time.Time) string {
	began := in.Onset.Best
	if began.IsZero() {
		began = in.Onset.Latest
	}
	undone, total := in.Undo.EffectAt().Sub(began), turned.Sub(began)
	var lasted []time.Duration
	for _, a := range in.Earlier {
		if d := a.EndsAt.Sub(a.StartsAt); !a.EndsAt.IsZero() && d > 0 && a.StartsAt.Before(began) {
			lasted = append(lasted, d)
		}
	}
	over := func(least time.Duration) (k, n int) {
		for _, d := range lasted {
			if d < least {
				continue
			}
			n++
			if d <= total+together {
				k++
			}
		}
		return k, n
	}
	if k, n := over(undone); n >= leastEarlier {
		if float64(k) >= clearsShare*float64(n) {
			return fmt.Sprintf("%d of the %d earlier firings that had lasted as long ended within this time too", k, n)
		}
		return ""
	}
	if k, n := over(0); n >= leastEarlier && float64(k) >= clearsShare*float64(n) {
		return fmt.Sprintf("%d of %d earlier firings were over within %s too", k, n, say.Span(total))
	}
	return ""
}
