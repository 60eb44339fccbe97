package web

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Bounds of what an axis shows, so that no incident makes a page that does not load.
const (
	axisBefore   = 30 * time.Minute // shown before the onset
	axisAfter    = 6 * time.Hour    // shown after it, at most
	maxLines     = 6                // series in one panel
	maxMarks     = 60               // changes on the axis; suspects first, then the nearest to the onset
	maxSuspects  = 3                // suspects with a colour and a panel of their own
	mentionFrom  = 0.03             // probability below which a suspect is only counted, unless it leads
	minAxisWidth = 8 * time.Minute
)

// axis is everything the incident's picture shows, on one time axis, before it is laid out.
type axis struct {
	From, To time.Time
	Onset    triage.Interval
	Panels   []panel
	Marks    []mark
	Flags    []flag
	Head     []string // lines above the picture, for the PNG that stands alone
}

// panel is one measured signal.
type panel struct {
	Title, Metric string
	Ranks         []int // suspects whose own signal this is; none: the symptom
	Lines         []plot
	Unit          triage.Unit
	Threshold     *float64
}

// plot is one series of a panel.
type plot struct {
	Label string
	Muted bool
	triage.Series
}

// mark is one change.
type mark struct {
	Change   triage.Change
	Rank     int // 1 to maxSuspects, 0: not a suspect worth a colour
	Role     role
	Label    string
	From, To time.Time // equal: a moment
	Lo, Hi   time.Time // between which it began; equal to From where that is known
	Open     bool      // still going on
}

// role is what a change is to the incident.
type role int

const (
	roleOther  role = iota // before the onset, or at it
	roleDuring             // began after the onset
	roleUndo               // takes a suspect back
)

// flag is a moment that belongs to the whole picture.
type flag struct {
	At    time.Time
	Label string
	Class string // page, report, undo, recovered
}

// axisInput is what an axis is made from. Only Report and Case are needed.
type axisInput struct {
	Report    triage.Report
	Case      triage.Case
	More      []triage.Change // around the incident, from the journal
	Recovered time.Time
	Until     time.Time // how far the story goes; zero: the report
}

// newAxis gathers. It is pure.
func newAxis(in axisInput) axis {
	r := in.Report
	a := axis{Onset: r.Onset.Interval}
	paged := pagedAt(in.Case.Alerts)
	begin := firstTime(r.Onset.Earliest, paged, r.CreatedAt)
	if a.Onset.IsZero() {
		a.Onset = triage.Interval{}
	}
	a.From = begin.Add(-axisBefore)
	a.To = lastTime(r.CreatedAt, in.Recovered, in.Until, paged)
	if limit := begin.Add(axisAfter); a.To.After(limit) {
		a.To = limit
	}
	if a.To.Sub(a.From) < axisBefore+minAxisWidth {
		a.To = a.From.Add(axisBefore + minAxisWidth)
	}
	a.To = a.To.Add(a.To.Sub(a.From) / 12) // room for the labels of what happened last

	if p, ok := symptomPanel(r, in.Case); ok {
		a.Panels = append(a.Panels, p)
	}
	a.Panels = append(a.Panels, ownPanels(r, in.Case, a.Panels)...)
	a.Marks = marks(in, a.From, a.To)
	a.flags(in, paged)
	return a
}

func (a *axis) flags(in axisInput, paged time.Time) {
	add := func(at time.Time, label, class string) {
		if !at.IsZero() && !at.Before(a.From) && !at.After(a.To) {
			a.Flags = append(a.Flags, flag{at, label, class})
		}
	}
	add(in.Report.Onset.Best, "began", "onset")
	add(paged, "paged", "page")
	for _, m := range a.Marks {
		if m.Role == roleUndo {
			add(m.From, "undone", "undo")
		}
	}
	add(in.Recovered, "recovered", "recovered")
	slices.SortStableFunc(a.Flags, func(x, y flag) int { return x.At.Compare(y.At) })
}

// pagedAt is when the first alert fired.
func pagedAt(alerts []triage.Alert) time.Time {
	var t time.Time
	for _, a := range alerts {
		if t.IsZero() || a.StartsAt.Before(t) {
			t = a.StartsAt
		}
	}
	return t
}

func firstTime(ts ...time.Time) time.Time {
	for _, t := range ts {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

func lastTime(ts ...time.Time) time.Time {
	return slices.MaxFunc(ts, time.Time.Compare)
}

// named are the suspects that get a colour: the leader, and who is near enough to be worth a look.
func named(r triage.Report) []triage.Suspect {
	n := 0
	for n < len(r.Suspects) && n < maxSuspects && (n == 0 || r.Suspects[n].Probability >= mentionFrom) {
		n++
	}
	return r.Suspects[:n]
}

// symptomPanel shows the alert's own series, or the signal of the service in trouble where the rule could not be read.
func symptomPanel(r triage.Report, c triage.Case) (panel, bool) {
	p := panel{Title: strings.TrimSpace(r.Symptom.Service + " " + string(r.Symptom.Signal))}
	var found []triage.Series
	if c.Symptom != nil {
		found, p.Threshold = c.Symptom.Series, c.Symptom.Threshold
	}
	if len(found) == 0 {
		for _, s := range c.Series {
			if s.Role == triage.RoleSymptom {
				found = append(found, s)
			}
		}
	}
	if len(found) == 0 {
		for _, s := range c.Series {
			if s.Labels["service"] == r.Symptom.Service && s.Signal == r.Symptom.Signal && s.Labels["version"] == "" {
				found = append(found, s)
			}
		}
	}
	p.plot(found, r.Onset.Interval)
	return p, len(p.Lines) > 0
}

// plot adds series, the one that moved most first and in full colour, and labels what tells them apart.
func (p *panel) plot(found []triage.Series, onset triage.Interval) {
	found = slices.DeleteFunc(slices.Clone(found), func(s triage.Series) bool { return len(s.Values) < 2 || s.StepS <= 0 })
	slices.SortStableFunc(found, func(x, y triage.Series) int { return cmp.Compare(shift(y, onset), shift(x, onset)) })
	for i, s := range found {
		if i == maxLines {
			break
		}
		p.Lines = append(p.Lines, plot{Label: distinct(s, found), Muted: i > 0, Series: s})
	}
	if len(p.Lines) > 0 {
		p.Metric = metricName(p.Lines[0].Metric)
		p.Unit = p.Lines[0].Measured()
		if p.Title == "" {
			p.Title = p.Metric
		}
	}
}

// metricName drops what some sources repeat in brackets: "name (name)".
func metricName(s string) string {
	if name, rest, ok := strings.Cut(s, " ("); ok && strings.TrimSuffix(rest, ")") == name {
		return name
	}
	return s
}

// distinct is the label values by which s differs from the others.
func distinct(s triage.Series, all []triage.Series) string {
	if len(all) < 2 {
		return ""
	}
	var parts []string
	for _, k := range []string{"region", "cluster", "environment", "namespace", "version", "service", "route", "code", "instance", "pod"} {
		if s.Labels[k] != "" && slices.ContainsFunc(all, func(o triage.Series) bool { return o.Labels[k] != s.Labels[k] }) {
			parts = append(parts, s.Labels[k])
		}
	}
	return strings.Join(parts, " ")
}

// shift is how far a series moved at the onset, in units of its own spread before; 0 where it cannot be said.
func shift(s triage.Series, onset triage.Interval) float64 {
	var before, after []float64
	for i, v := range s.Values {
		t := s.Start.Add(time.Duration(i) * s.Step())
		switch {
		case math.IsNaN(v):
		case t.Before(onset.Earliest):
			before = append(before, v)
		case t.After(onset.Best):
			after = append(after, v)
		}
	}
	if len(before) == 0 || len(after) == 0 {
		return 0
	}
	m := median(before)
	var dev []float64
	for _, v := range before {
		dev = append(dev, math.Abs(v-m))
	}
	spread := 1.5*median(dev) + 0.05*math.Abs(m) + 1e-9
	return min(math.Abs(median(after)-m)/spread, 1000)
}

func median(vs []float64) float64 {
	vs = slices.Sorted(slices.Values(vs))
	return vs[len(vs)/2]
}

// ownPanels shows one signal of each named suspect's service: the one its evidence speaks of, else the one that moved most.
// Suspects on one service share it; what the symptom's panel shows already is not shown twice.
func ownPanels(r triage.Report, c triage.Case, shown []panel) []panel {
	var out []panel
	byService := make(map[string]int)
	for _, s := range named(r) {
		service := suspectScope(s).Service
		if service == "" {
			continue
		}
		if i, ok := byService[service]; ok {
			if i >= 0 {
				out[i].Ranks = append(out[i].Ranks, s.Rank)
			}
			continue
		}
		best, bestScore := -1, 0.0
		for i, o := range c.Series {
			if o.Labels["service"] != service || o.Labels["version"] != "" || o.Role == triage.RoleSymptom || len(o.Values) < 2 {
				continue
			}
			score := min(shift(o, r.Onset.Interval), 50)
			if o.Signal == r.Symptom.Signal {
				score += 10
			}
			if slices.ContainsFunc(s.For, func(e triage.Evidence) bool {
				return e.Direct && e.Service == service && e.Metric == o.Metric && (e.Signal == o.Signal || e.Signal == "")
			}) {
				score += 100
			}
			if score > bestScore {
				best, bestScore = i, score
			}
		}
		byService[service] = -1
		if best < 0 {
			continue
		}
		p := panel{Title: strings.TrimSpace(service + " " + string(c.Series[best].Signal)), Ranks: []int{s.Rank}}
		p.plot(c.Series[best:best+1], r.Onset.Interval)
		if len(shown) > 0 && shown[0].Title == p.Title && shown[0].Metric == p.Metric {
			continue
		}
		byService[service] = len(out)
		out = append(out, p)
	}
	return out
}

func suspectScope(s triage.Suspect) triage.Scope {
	switch {
	case s.Change != nil:
		return s.Change.Scope
	case s.Anomaly != nil:
		return s.Anomaly.Scope
	}
	return triage.Scope{}
}
