package alerting

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/triaged-dev/triaged/triage"
)

// Bounds on what is taken from outside for one card, in characters.
const (
	maxName     = 60
	maxPhrase   = 120
	maxSentence = 200
	maxChecked  = 320 // what an undo did, with what speaks against it
)

// clean makes a string from outside fit to stand on a line: no control or direction characters, no line breaks, no words
// that call a whole channel, at most n characters.
func clean(s string, n int) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r):
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	for _, w := range []string{"@here", "@channel", "@everyone"} {
		s = replaceFold(s, w, w[1:])
	}
	runes := []rune(s)
	if len(runes) > n {
		s = strings.TrimRight(string(runes[:n-1]), " ,;:·") + "…"
	}
	return s
}

// replaceFold replaces old, in any case.
func replaceFold(s, old, with string) string {
	for {
		i := strings.Index(strings.ToLower(s), old)
		if i < 0 || len(strings.ToLower(s)) != len(s) {
			return s
		}
		s = s[:i] + with + s[i+len(old):]
	}
}

// cleanURL keeps http and https addresses without spaces or control characters; anything else is dropped.
func cleanURL(s string) string {
	if len(s) > triage.MaxURL || (!strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://")) {
		return ""
	}
	if strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("<>|\"`", r)
	}) {
		return ""
	}
	return s
}

// describeChange names a change in a few words: "flag new-pricing 0 → 100 %", "deploy pricing v811 → v812".
func describeChange(c *triage.Change) string {
	what := string(c.Kind)
	name := c.Service
	if c.Kind == triage.KindFlag || c.Kind == triage.KindConfig {
		if f := firstOf(c.Labels, "flag", "key", "config"); f != "" {
			name = f
		} else if c.Title != "" {
			name = ""
		}
	}
	moved := moves(values(c))
	title := clean(c.Title, maxPhrase)
	if title != "" && (moved == "" || name == "") {
		if c.Kind == triage.KindDeploy && moved == "" && name != "" && !strings.Contains(title, name) {
			title = clean(name, maxName) + ": " + title
		}
		if strings.HasPrefix(strings.ToLower(title), what) {
			return title
		}
		return what + " " + title
	}
	return strings.TrimSpace(what + " " + strings.TrimSpace(clean(name, maxName)+" "+moved))
}

// values are where a change came from and went to, as far as it says.
func values(c *triage.Change) (from, to string) {
	from, to = c.PreviousVersion, c.Version
	if c.Kind != triage.KindFlag && c.Kind != triage.KindConfig {
		return from, to
	}
	return firstNonEmpty(firstOf(c.Labels, "from", "rollout_from"), from), firstNonEmpty(firstOf(c.Labels, "to", "rollout_to"), to)
}

func moves(from, to string) string {
	from, to = clean(from, maxName), clean(to, maxName)
	switch {
	case from != "" && to != "":
		return from + " → " + to
	case to != "":
		return to
	case from != "":
		return "from " + from
	}
	return ""
}

func firstOf(m map[string]string, names ...string) string {
	for _, n := range names {
		if m[n] != "" {
			return m[n]
		}
	}
	return ""
}

// describeSuspect is describeChange, or the same for an anomaly that is suspected itself.
func describeSuspect(s triage.Suspect) string {
	if s.Change != nil {
		return describeChange(s.Change)
	}
	if a := s.Anomaly; a != nil {
		return strings.TrimSpace(string(a.Signal) + " shift on " + clean(a.Service, maxName))
	}
	return "something unnamed"
}

// suspectAt is when a suspect began to act.
func suspectAt(s triage.Suspect) time.Time {
	switch {
	case s.Change != nil:
		return s.Change.OccurredAt()
	case s.Anomaly != nil:
		return s.Anomaly.Onset.Best
	}
	return time.Time{}
}

// whenOf places a suspect against the onset: "at 03:01:30, 40 s before the errors".
func whenOf(s triage.Suspect, r triage.Report) string {
	at := suspectAt(s)
	if at.IsZero() {
		return "at an unknown time"
	}
	begin := "at " + clockDay(at, r.CreatedAt)
	if s.Change != nil && s.Change.StartedAt.IsZero() {
		begin = "finished " + clockDay(at, r.CreatedAt) + ", start not known"
	}
	if r.Onset.Best.IsZero() {
		return begin
	}
	gap := r.Onset.Best.Sub(at)
	switch {
	case gap > -time.Second && gap < time.Second:
		return begin + ", together with " + symptomNoun(r)
	case gap < 0:
		return begin + ", " + span(-gap) + " after " + symptomNoun(r) + " began"
	}
	return begin + ", " + span(gap) + " before " + symptomNoun(r)
}

func symptomNoun(r triage.Report) string {
	switch r.Symptom.Signal {
	case triage.SignalErrors:
		return "the errors"
	case triage.SignalLatency:
		return "the slowdown"
	case triage.SignalTraffic:
		return "the traffic shift"
	case triage.SignalSaturation:
		return "the saturation"
	default: // nothing to do for the others
	}
	return "the symptom"
}

// place is where something is: environment and region or cluster, then namespace where nothing else is known.
func place(s triage.Scope) string {
	var parts []string
	for _, p := range []string{s.Environment, firstNonEmpty(s.Region, s.Cluster)} {
		if p = clean(p, maxName); p != "" {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		return clean(s.Namespace, maxName)
	}
	return strings.Join(parts, "/")
}

func firstNonEmpty(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}

// clock prints a time of day in UTC.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// clockDay adds the date when t is not on the day of the report.
func clockDay(t, report time.Time) string {
	if t.UTC().Format(time.DateOnly) != report.UTC().Format(time.DateOnly) {
		return t.UTC().Format("Jan 2 15:04:05")
	}
	return clock(t)
}

// span prints a duration as a person says it: 40 s, 12 min, 3 h 20 min.
func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second)/time.Second))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute)/time.Minute))
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		if m := d % time.Hour / time.Minute; m != 0 {
			return fmt.Sprintf("%d h %d min", d/time.Hour, m)
		}
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// odds is a probability in words, or in per cent where enough of the team's own labels stand behind it.
func odds(p float64, percentages bool) string {
	switch {
	case percentages:
		return fmt.Sprintf("%.0f %%", 100*p)
	case p >= triage.PossibleFrom:
		return "possible"
	}
	return "unlikely"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func secs(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
