package collector

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// A sender that repeats a result with every interval, as Flux does, must not move the end for ever: each system that is quiet would
// look freshly deployed, after a restart and through Kafka as well. So of each sender's result the first end counts, and of several
// results the last one. All of them are kept in a label where there is more to keep than the Change says itself, or the outcome would
// depend on the order of reports.

// labelEnds are the results told: "succeeded/ci@2026-03-01T03:02:10Z", with ± seconds where no start is known; with commas.
const labelEnds = "ends"

// maxEnds bounds them: more senders of one Change there are not.
const maxEnds = 12

// end is one sender's result, as first told.
type end struct {
	status triage.Status
	source string
	at     time.Time
	unsure float64
}

// endsOf are the results of a normal Change, each once.
func endsOf(c triage.Change) []end {
	text := c.Labels[labelEnds]
	if text == "" {
		e := end{status: c.Status, source: c.Source, at: c.FinishedAt}
		if c.StartedAt.IsZero() {
			e.unsure = c.TimeUncertaintyS
		}
		return []end{e}
	}
	var out []end
	for part := range strings.SplitSeq(text, ",") {
		who, rest, _ := strings.Cut(part, "@")
		status, source, _ := strings.Cut(who, "/")
		when, unsure, _ := strings.Cut(rest, "±")
		e := end{status: triage.Status(status)}
		e.source, _ = url.QueryUnescape(source)
		e.at, _ = time.Parse(time.RFC3339Nano, when) // without one it is a result without a time
		e.unsure, _ = strconv.ParseFloat(unsure, 64)
		out = append(out, e)
	}
	return out
}

// mergeEnds gives m the result that stands, and notes all of them where that would else be lost.
func mergeEnds(m *triage.Change, a, b triage.Change) {
	var first []end
	for _, e := range append(endsOf(a), endsOf(b)...) {
		if !m.StartedAt.IsZero() {
			e.unsure = 0 // the one uncertainty is that of the start
		}
		if i := slices.IndexFunc(first, func(o end) bool { return o.status == e.status && o.source == e.source }); i < 0 {
			first = append(first, e)
		} else if e.before(first[i]) {
			first[i] = e
		}
	}
	slices.SortFunc(first, func(a, b end) int { return -a.compare(b) })
	stands := first[0]
	m.Status, m.FinishedAt = stands.status, stands.at
	if m.StartedAt.IsZero() {
		m.TimeUncertaintyS = stands.unsure
	}
	// A beginning is no result, and being superseded has no time: of these the Change says enough itself.
	kept := slices.DeleteFunc(first, func(e end) bool { return statusClass(e.status) < 2 })
	if len(kept) == 0 || len(kept) == 1 && kept[0].source == m.Source {
		if m.Labels[labelEnds] != "" {
			m.Labels = without(m.Labels, labelEnds)
		}
		return
	}
	var text []string
	for _, e := range kept[:min(len(kept), maxEnds)] {
		text = append(text, e.text())
	}
	m.Labels = with(m.Labels, labelEnds, strings.Join(text, ","))
}

func (e end) text() string {
	t := string(e.status) + "/" + url.QueryEscape(e.source) + "@"
	if !e.at.IsZero() {
		t += e.at.Format(time.RFC3339Nano)
	}
	if e.unsure != 0 {
		t += "±" + strconv.FormatFloat(e.unsure, 'g', -1, 64)
	}
	return t
}

// before orders two ends of one result: what has a time, the earlier, the surer.
func (e end) before(o end) bool {
	if e.at.IsZero() != o.at.IsZero() {
		return o.at.IsZero()
	}
	return cmp.Or(e.at.Compare(o.at), cmp.Compare(e.unsure, o.unsure)) < 0
}

// compare orders results by which stands: a real end over superseded over running, then the later, then the worse. So a terminal
// status is never taken back, and "superseded" never hides how it really went.
func (e end) compare(o end) int {
	return cmp.Or(cmp.Compare(statusClass(e.status), statusClass(o.status)), e.at.Compare(o.at), cmp.Compare(statusRank(e.status), statusRank(o.status)),
		-cmp.Compare(e.unsure, o.unsure), strings.Compare(e.source, o.source))
}
