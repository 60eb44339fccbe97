package correlate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// fakeWindow answers from the changes of a scene.
type fakeWindow struct {
	changes []triage.Change
	queries []triage.ChangeQuery
	err     error
}

func (f *fakeWindow) Find(_ context.Context, q triage.ChangeQuery) ([]triage.Change, int, error) {
	f.queries = append(f.queries, q)
	var out []triage.Change
	for _, c := range f.changes {
		if c.LastActivity().Before(q.From) || c.OccurredAt().After(q.To) {
			continue
		}
		if len(q.Services) == 0 || c.Service == "" || slices.Contains(q.Services, c.Service) {
			out = append(out, c)
		}
	}
	selected := len(out)
	if q.Limit > 0 && selected > q.Limit {
		out = out[:q.Limit]
	}
	return out, selected, f.err
}

func (f *fakeWindow) FindAnomalies(context.Context, triage.ChangeQuery) ([]triage.Anomaly, error) {
	return nil, nil
}

// fakeStore pages through old changes, the earliest first.
type fakeStore struct{ changes []triage.Change }

func (f fakeStore) FindChanges(_ context.Context, q triage.ChangeQuery) ([]triage.Change, string, error) {
	var out []triage.Change
	for _, c := range f.changes {
		if !c.LastActivity().Before(q.From) && !c.OccurredAt().After(q.To) {
			out = append(out, c)
		}
	}
	from, _ := strconv.Atoi(q.After)
	if to := from + q.Limit; to < len(out) {
		return out[from:to], strconv.Itoa(to), nil
	}
	return out[from:], "", nil
}

func (f fakeStore) Outcomes(context.Context) ([]triage.Outcome, error) {
	return []triage.Outcome{{Service: "pricing", Kind: triage.KindFlag, Outcome: "confirmed", N: 3}}, nil
}

// fakeMetrics answers from a scene; the hanging one embeds it.
type fakeMetrics struct {
	symptom triage.Symptom
	series  []triage.Series
}

func (f fakeMetrics) Symptom(context.Context, triage.Alert, time.Time, time.Time) (triage.Symptom, error) {
	return f.symptom, nil
}

func (f fakeMetrics) Signals(_ context.Context, q triage.SignalQuery) ([]triage.Series, error) {
	if len(q.SplitBy) > 0 {
		return nil, nil
	}
	var out []triage.Series
	for _, s := range f.series {
		if slices.Contains(q.Services, s.Labels["service"]) {
			out = append(out, s)
		}
	}
	return out, nil
}

// hangingMetrics never answers Signals and does not listen to its context either.
type hangingMetrics struct {
	fakeMetrics
	until chan struct{}
}

func (h hangingMetrics) Signals(context.Context, triage.SignalQuery) ([]triage.Series, error) {
	<-h.until
	return nil, errors.New("too late")
}

type fixedTopology triage.Topology

func (f fixedTopology) Topology() triage.Topology { return triage.Topology(f) }

type fixedCoverage []triage.Coverage

func (f fixedCoverage) Coverage(time.Time, time.Time) []triage.Coverage { return f }

// parts of a correlator over the flag scene.
func parts() (Options, *fakeWindow, triage.Request) {
	in := flagScene()
	w := &fakeWindow{changes: in.Changes}
	o := Options{
		Config: DefaultConfig(), Window: w, Store: fakeStore{}, Metrics: fakeMetrics{*in.Symptom, in.Series},
		Topology: fixedTopology(in.Topology), Coverage: fixedCoverage(in.Coverage),
		Directory: triage.NewDirectory(map[string]triage.Service{"checkout": {}, "pricing": {Owner: "team-pricing"}}, nil),
		Now:       func() time.Time { return t0 },
	}
	return o, w, triage.Request{
		Incident: triage.Incident{ID: "inc-1", Scope: triage.Scope{Service: "checkout"}, Alerts: in.Alerts},
		At:       t0, Cause: "alert", Number: 1,
	}
}

func newCorrelator(t *testing.T, o Options) *Correlator {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTriageGathersRanksAndExports(t *testing.T) {
	o, w, req := parts()
	reg := prometheus.NewPedanticRegistry()
	o.Registerer = reg
	req.Checked = []triage.Checked{{Undid: "dep-1", By: "undo", At: t0.Add(-time.Minute), Asked: t0, Outcome: triage.CheckNotHelped, Sentence: "undoing it did not help"}}
	a, err := newCorrelator(t, o).Triage(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, a.Report)
	if l := a.Report.Leader(); l == nil || l.ID() != "flag-1" {
		t.Fatalf("want flag-1 first\n%s", dump(a.Report))
	}
	if n, sentence := evidenceFor(a.Report.Leader(), "history"); n <= 0 || !strings.Contains(sentence, "guilty 3 times") {
		t.Errorf("history did not reach the ranking: %d %q", n, sentence)
	}
	if got := w.queries[0].Services; !slices.Equal(got, []string{"checkout", "pricing", "db", "web"}) {
		t.Errorf("want the window asked along the topology, nearest first, got %v", got)
	}
	data, err := json.Marshal(a.Input)
	if err != nil {
		t.Fatal(err)
	}
	var c triage.Case
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if want, got := bytesOf(t, a.Report), bytesOf(t, Rank(InputOf(c))); got != want {
		t.Errorf("the exported case ranks to other bytes\nwant %s\ngot  %s", want, got)
	}
	if n := testutil.ToFloat64(newMetricOf(t, reg, "triaged_triages_total")); n != 1 {
		t.Errorf("triaged_triages_total: want 1, got %g", n)
	}
}

// newMetricOf wraps the sum of a gathered counter as a collector, so that its value can be read.
func newMetricOf(t *testing.T, reg *prometheus.Registry, name string) prometheus.Collector {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "sum"})
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				g.Add(m.GetCounter().GetValue())
			}
		}
	}
	return g
}

// A Prometheus that hangs, and does not even listen to its context, costs the deadline and no more; the report says what
// was blind.
func TestHangingMetricsDelayNoReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _, req := parts()
		o.Now = time.Now
		until := make(chan struct{})
		o.Metrics = hangingMetrics{o.Metrics.(fakeMetrics), until}
		c := newCorrelator(t, o)
		began := time.Now()
		a, err := c.Triage(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("want the report at the deadline of 5s, got it after %s", took)
		}
		if !a.Report.Deadline || !slices.ContainsFunc(a.Report.Coverage, func(c triage.Coverage) bool {
			return c.Source == "metrics/signals" && c.State == triage.SourceLate
		}) || len(a.Report.Notes) == 0 {
			t.Errorf("the report must say what was blind: %+v %q", a.Report.Coverage, a.Report.Notes)
		}
		if a.Report.Symptom.Signal != triage.SignalErrors {
			t.Errorf("the symptom came in time and must be used: %+v", a.Report.Symptom)
		}
		if a.Report.Recommendation.Action.Reversal() {
			t.Errorf("no reversal without direct evidence: %+v", a.Report.Recommendation)
		}
		close(until)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		until2 := make(chan struct{})
		o.Metrics = hangingMetrics{o.Metrics.(hangingMetrics).fakeMetrics, until2}
		began = time.Now()
		if _, err := newCorrelator(t, o).Triage(ctx, req); err != nil || ctx.Err() != nil {
			t.Errorf("the caller's deadline must be kept: %v, after %s", err, time.Since(began))
		}
		close(until2)
		synctest.Wait()
	})
}

func TestNothingNearWidensOnceAndSaysSo(t *testing.T) {
	o, w, req := parts()
	w.changes = nil
	old := change("old-migration", triage.KindMigration, "pricing", "5h")
	o.Store = fakeStore{changes: []triage.Change{change("older", triage.KindConfig, "db", "20h"), old}}
	a, err := newCorrelator(t, o).Triage(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	r := a.Report
	if !r.Widened || find(r, "old-migration") == nil || r.LookbackS != 86400 {
		t.Fatalf("want the longer store searched\n%s", dump(r))
	}
	if !strings.Contains(strings.Join(r.Notes, " "), "24 h were searched") {
		t.Errorf("the report must say so: %q", r.Notes)
	}
	if r.Recommendation.Verdict == triage.VerdictAct {
		t.Errorf("a suspect of the longer search is at most something to investigate: %+v", r.Recommendation)
	}

	o.Config.Widen = 0
	if a, err = newCorrelator(t, o).Triage(t.Context(), req); err != nil || a.Report.Widened {
		t.Errorf("widen: 0s must switch the search off: %v, widened %t", err, a.Report.Widened)
	}
}

func TestAThinCorrelatorStillAnswers(t *testing.T) {
	_, w, req := parts()
	a, err := newCorrelator(t, Options{Window: w}).Triage(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, a.Report)
	if len(a.Report.Suspects) == 0 {
		t.Errorf("without topology every service is asked for\n%s", dump(a.Report))
	}
	w.err = errors.New("boom")
	if _, err := newCorrelator(t, Options{Window: w}).Triage(t.Context(), req); err == nil || !strings.Contains(err.Error(), "find changes in the window: boom") {
		t.Errorf("want the window's error wrapped, got %v", err)
	}
	if _, err := New(Options{}); err == nil {
		t.Error("a correlator without a window must be refused")
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name string
		mod  func(*Config)
		want string
	}{
		{"lookback", func(c *Config) { c.Lookback = -1 }, "correlate.lookback"},
		{"widen", func(c *Config) { c.Widen = model.Duration(time.Minute) }, "correlate.widen: 1m: must be at least the lookback"},
		{"threshold", func(c *Config) { c.MinProbability = 1.5 }, "correlate.min_probability: 1.5: must lie between 0 and 1"},
		{"weight", func(c *Config) { c.Weights = Overrides{"own.magic": 1} }, "correlate.weights: own.magic: no such weight; there are"},
		{"hops", func(c *Config) { c.MaxHops = 0 }, "correlate.max_hops"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := DefaultConfig()
			tc.mod(&c)
			if err := c.validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an error with %q, got %v", tc.want, err)
			}
		})
	}
}

// fakeAlertLog knows earlier firings of one alert.
type fakeAlertLog map[string][]triage.Alert

func (f fakeAlertLog) AlertHistory(_ context.Context, name, service string, _ time.Time) ([]triage.Alert, error) {
	return f[name+"/"+service], nil
}

// Earlier firings are read by name and service, without the present one, and are part of what the report can be made from again.
func TestEarlierFiringsAreRead(t *testing.T) {
	in := flagScene()
	was := triage.Alert{Labels: in.Alerts[0].Labels, Annotations: map[string]string{"summary": "s"}, StartsAt: before("30h"), EndsAt: before("29h50m")}
	c, err := New(Options{
		Config: DefaultConfig(), Window: &fakeWindow{changes: in.Changes}, Now: func() time.Time { return t0 },
		Alerts: fakeAlertLog{"CheckoutErrors/checkout": {in.Alerts[0], was}, "CheckoutErrors/search": {was, was}},
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.Triage(t.Context(), triage.Request{Incident: triage.Incident{ID: "inc-1", Alerts: in.Alerts}})
	if err != nil {
		t.Fatal(err)
	}
	if e := a.Input.Earlier; len(e) != 1 || !e[0].StartsAt.Equal(was.StartsAt) || e[0].Annotations != nil {
		t.Errorf("want the one earlier firing, bare, got %+v", e)
	}
	if again := InputOf(a.Input); len(again.Earlier) != 1 {
		t.Errorf("the case lost it: %+v", again.Earlier)
	}
}

// Of a long day the latest stretches are read first, and what is left out is said.
func TestTheWidenedSearchReadsBackward(t *testing.T) {
	o, w, req := parts()
	w.changes = nil
	var long []triage.Change
	for i := range 3 * maxChanges {
		long = append(long, change(fmt.Sprintf("early-%05d", i), triage.KindConfig, "db", "20h"))
	}
	o.Store = fakeStore{changes: append(long, change("old-migration", triage.KindMigration, "pricing", "5h"))}
	a, err := newCorrelator(t, o).Triage(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if find(a.Report, "old-migration") == nil {
		t.Errorf("the latest of the day must be among the suspects\n%s", dump(a.Report))
	}
	if n := len(a.Input.Changes); n > maxChanges {
		t.Errorf("want at most %d changes kept with the report, got %d", maxChanges, n)
	}
	if notes := strings.Join(a.Report.Notes, " "); !strings.Contains(notes, "before were left out") {
		t.Errorf("the report must say that it did not see all: %q", notes)
	}
}

// However much changes at once, a report weighs and keeps a bounded part of it: those nearest to the alert, as the window has them.
func TestAStormOfChangesIsCut(t *testing.T) {
	o, w, req := parts()
	o.Topology = nil // so that everything is in reach
	service := req.Incident.Service
	for i := range 3 * maxChanges {
		w.changes = append(w.changes, change(fmt.Sprintf("storm-%05d", i), triage.KindDeploy, fmt.Sprintf("other-%d", i%300), fmt.Sprintf("%dm", 1+i%28)))
	}
	a, err := newCorrelator(t, o).Triage(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(a.Input.Changes); n != maxChanges {
		t.Errorf("want %d changes kept with the report, got %d", maxChanges, n)
	}
	if near := w.queries[0].Near; near == nil || near.Service != service || !near.At.Equal(req.Incident.Alerts[0].StartsAt) {
		t.Errorf("the window must be asked for those nearest to the alert and to its service, got %+v", near)
	}
	if !strings.Contains(strings.Join(a.Report.Notes, " "), "nearest to the alert were weighed") {
		t.Errorf("the report must say so: %q", a.Report.Notes)
	}
	checkSums(t, a.Report)
}
