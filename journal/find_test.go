package journal

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/triaged-dev/triaged/triage"
)

// matches is the meaning of a ChangeQuery, said once more without SQL.
func matches(q triage.ChangeQuery, c triage.Change) bool {
	u := seconds(c.TimeUncertaintyS)
	from, _, _ := c.StartInterval(triage.AssumedRollout)
	until := c.LastActivity().Add(u)
	text := strings.ToLower(q.Text)
	return (q.To.IsZero() || !from.After(q.To)) && (q.From.IsZero() || !until.Before(q.From)) &&
		(len(q.Services) == 0 || c.Service == "" || c.Global || slices.Contains(q.Services, c.Service)) &&
		(q.Environment == "" || c.Environment == "" || c.Environment == q.Environment) &&
		(q.Kind == "" || c.Kind == q.Kind) &&
		(strings.Contains(strings.ToLower(c.Title), text) || strings.Contains(strings.ToLower(c.Version), text) || strings.Contains(strings.ToLower(c.Service), text))
}

// Every query finds exactly what it means, in order, page by page: short and day-long changes, ends without starts,
// uncertain times, global and nameless ones.
func TestFindChangesProperty(t *testing.T) {
	j := newJournal(t)
	services := []string{"", "checkout", "Pricing", "search"}
	envs := []string{"", "production", "staging"}
	minutes := rapid.IntRange(-3000, 3000)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		// By the writer, which owns its connection, and first of all: so also after a round that failed.
		if err := j.write(t.Context(), "empty", 0, func(w *writer) error { return w.script("DELETE FROM changes; DELETE FROM bodies") }); err != nil {
			rt.Fatal(err)
		}
		var all []triage.Change
		var es []triage.Entry
		for i := range rapid.IntRange(0, 25).Draw(rt, "n") {
			start := at(time.Duration(minutes.Draw(rt, "start")) * time.Minute)
			c := triage.Change{
				ID: triage.ChangeID(fmt.Sprintf("%d-%02d", round, i)), Kind: rapid.SampledFrom(triage.Kinds()[:3]).Draw(rt, "kind"),
				Scope: triage.Scope{Service: rapid.SampledFrom(services).Draw(rt, "service"), Environment: rapid.SampledFrom(envs).Draw(rt, "env"), Global: rapid.Bool().Draw(rt, "global")},
				Title: rapid.SampledFrom([]string{"", "Größer", "100%_x", "v1"}).Draw(rt, "title"), Version: rapid.SampledFrom([]string{"", "v1", "V12"}).Draw(rt, "version"),
				ObservedAt: start.Add(time.Minute), TimeUncertaintyS: float64(rapid.SampledFrom([]int{0, 0, 30, 90000}).Draw(rt, "u")),
			}
			length := time.Duration(rapid.SampledFrom([]int{0, 5, 359, 361, 2000}).Draw(rt, "length")) * time.Minute
			switch rapid.IntRange(0, 3).Draw(rt, "times") {
			case 0:
				c.StartedAt = start
			case 1:
				c.FinishedAt = start
			case 2:
				c.StartedAt, c.FinishedAt = start, start.Add(length)
			case 3:
				c.StartedAt, c.Steps = start, []triage.Step{{At: start.Add(length)}}
			}
			all = append(all, c)
			es = append(es, entry(c))
		}
		if err := j.Append(t.Context(), es); err != nil {
			rt.Fatal(err)
		}
		q := triage.ChangeQuery{
			Services: rapid.SliceOfN(rapid.SampledFrom(services[1:]), 0, 2).Draw(rt, "services"), Environment: rapid.SampledFrom(envs).Draw(rt, "q env"),
			Kind: rapid.SampledFrom([]triage.Kind{"", triage.KindDeploy}).Draw(rt, "q kind"), Text: rapid.SampledFrom([]string{"", "", "v1", "GRÖ", "%", "pricing"}).Draw(rt, "text"),
			Limit: rapid.IntRange(1, 7).Draw(rt, "limit"),
		}
		if rapid.Bool().Draw(rt, "from?") {
			q.From = at(time.Duration(minutes.Draw(rt, "from")) * time.Minute)
		}
		if rapid.Bool().Draw(rt, "to?") {
			q.To = at(time.Duration(minutes.Draw(rt, "to")) * time.Minute)
		}
		var want []triage.Change
		for _, c := range all {
			if matches(q, c) {
				want = append(want, c)
			}
		}
		slices.SortFunc(want, func(a, b triage.Change) int {
			return cmp.Or(a.OccurredAt().Compare(b.OccurredAt()), cmp.Compare(a.ID, b.ID))
		})
		checkCounts(rt, t, j, q, all)
		if q.Newest = rapid.Bool().Draw(rt, "newest"); q.Newest {
			slices.Reverse(want)
		}
		var got []triage.Change
		for {
			page, next, err := j.FindChanges(t.Context(), q)
			if err != nil {
				rt.Fatal(err)
			}
			if len(page) > q.Limit || len(page) == 0 && next != "" {
				rt.Fatalf("page of %d with limit %d, next %q", len(page), q.Limit, next)
			}
			got = append(got, page...)
			if q.After = next; next == "" {
				break
			}
		}
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			rt.Fatalf("found (-want +got):\n%s", diff)
		}
	})
}

// checkCounts holds the counts of a query against the changes themselves.
func checkCounts(rt *rapid.T, t *testing.T, j *Journal, q triage.ChangeQuery, all []triage.Change) {
	const bins = 7
	q.From, q.To = at(-1500*time.Minute), at(1500*time.Minute)
	width := (q.To.Sub(q.From) + bins - 1) / bins
	filter := q
	filter.From, filter.To = time.Time{}, time.Time{}
	want, total := make(map[string][]int), make([]int, bins)
	for _, c := range all {
		if o := c.OccurredAt(); matches(filter, c) && !o.Before(q.From) && o.Before(q.To) {
			if want[string(c.Kind)] == nil {
				want[string(c.Kind)] = make([]int, bins)
			}
			bin := int(o.Sub(q.From) / width)
			want[string(c.Kind)][bin]++
			total[bin]++
		}
	}
	got, err := j.CountChanges(t.Context(), q, bins, triage.CountByKind)
	if diff := gocmp.Diff(want, got); err != nil || diff != "" {
		rt.Fatalf("counts by kind: %v (-want +got):\n%s", err, diff)
	}
	got, err = j.CountChanges(t.Context(), q, bins, triage.CountAll)
	if len(want) == 0 {
		total = nil
	}
	if diff := gocmp.Diff(total, got[""]); err != nil || diff != "" {
		rt.Fatalf("counts: %v (-want +got):\n%s", err, diff)
	}
}

// The planner must use the index by time for both halves of a query, in either order, and not sort what it finds; counting
// without filters must read the index alone.
func TestFindChangesPlan(t *testing.T) {
	j := newJournal(t)
	for _, newest := range []bool{false, true} {
		query, args := eitherReach("changes", "occurred_at", triage.ChangeQuery{From: t0, To: at(time.Hour), Newest: newest}, lowest, 100, "", nil)
		if plan := planOf(t, j, query, args...); strings.Count(plan, "USING INDEX changes_by_time (far=? AND ") != 2 || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("newest %t: plan:\n%s", newest, plan)
		}
	}
	plan := planOf(t, j, `SELECT '' AS name, (occurred_at - ?1) / ?2 AS bin, count(*) FROM changes WHERE far IN (0, 1) AND occurred_at >= ?1 AND occurred_at < ?3 GROUP BY 1, 2`, 1, 1, 2)
	if !strings.Contains(plan, "USING COVERING INDEX changes_by_time (far=? AND ") {
		t.Errorf("plan of counting:\n%s", plan)
	}
}

func planOf(t *testing.T, j *Journal, query string, args ...any) string {
	t.Helper()
	rows, err := j.rdb.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var a, b, c any
		var line string
		if err := rows.Scan(&a, &b, &c, &line); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&plan, line)
	}
	return plan.String()
}

func anomaly(id string, onset time.Duration) triage.Anomaly {
	return triage.Anomaly{
		ID: triage.AnomalyID(id), Source: "prometheus", Scope: triage.Scope{Service: "checkout", Environment: "production"}, Signal: triage.SignalErrors,
		Series: "rate(http_errors[5m])", Onset: triage.Interval{Earliest: at(onset - time.Minute), Best: at(onset), Latest: at(onset + time.Minute)},
		ObservedAt: at(onset + 2*time.Minute), From: .2, To: 14, Effect: 9.5, Labels: map[string]string{"region": "eu1"},
	}
}

func TestFindAnomalies(t *testing.T) {
	j := newJournal(t)
	a, b, c := anomaly("a", 0), anomaly("b", time.Hour), anomaly("c", 2*time.Hour)
	b.Service, b.Global = "dns", true
	c.EndedAt = at(30 * time.Hour)
	for _, x := range []triage.Anomaly{c, a, b} {
		mustAppend(t, j, triage.Entry{Event: triage.Event{Anomaly: &x}})
	}
	a.To = 20 // seen again
	mustAppend(t, j, triage.Entry{Event: triage.Event{Anomaly: &a}})
	for _, tc := range []struct {
		name string
		q    triage.ChangeQuery
		want []triage.Anomaly
	}{
		{"all", triage.ChangeQuery{}, []triage.Anomaly{a, b, c}},
		{"service, and what is global", triage.ChangeQuery{Services: []string{"checkout"}}, []triage.Anomaly{a, b, c}},
		{"another service", triage.ChangeQuery{Services: []string{"search"}}, []triage.Anomaly{b}},
		{"until last observed", triage.ChangeQuery{From: at(2 * time.Minute), To: at(10 * time.Minute)}, []triage.Anomaly{a}},
		{"after it", triage.ChangeQuery{From: at(121 * time.Second), To: at(10 * time.Minute)}, nil},
		{"one that lasts", triage.ChangeQuery{From: at(29 * time.Hour), To: at(29 * time.Hour)}, []triage.Anomaly{c}},
		{"text", triage.ChangeQuery{Text: "HTTP_errors", Services: []string{"dns"}}, []triage.Anomaly{b}},
		{"environment", triage.ChangeQuery{Environment: "staging"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, next, err := j.FindAnomalies(t.Context(), tc.q)
			if diff := gocmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" || next != "" || err != nil {
				t.Errorf("found (-want +got):\n%s next %q, %v", diff, next, err)
			}
		})
	}
}

// No list returns more than 1000 rows, and 100 where none are asked for.
func TestLimits(t *testing.T) {
	j := newJournal(t)
	bulk(t, j, 1005)
	for limit, want := range map[int]int{0: 100, -1: 100, 7: 7, 5000: 1000} {
		got, next, err := j.FindChanges(t.Context(), triage.ChangeQuery{Limit: limit})
		if err != nil || len(got) != want || next == "" {
			t.Errorf("limit %d: want %d, got %d, next %q, %v", limit, want, len(got), next, err)
		}
	}
}

// A cursor that is not ours is the caller's mistake and said so.
func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("%%%")
	f.Add(position{key: -5, id: "x"}.cursor(listChanges))
	f.Add(position{key: 5}.cursor(listIncidents))
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parseCursor(s, listChanges, lowest)
		if fe, ok := errors.AsType[*triage.FieldError](err); err != nil && (!ok || fe.Field != "after") {
			t.Errorf("error: %v", err)
		}
		if err == nil && s != "" {
			if again, err := parseCursor(p.cursor(listChanges), listChanges, lowest); err != nil || again != p {
				t.Errorf("cursor does not come back: %v, %v, %v", p, again, err)
			}
		}
	})
}
