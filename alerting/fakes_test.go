package alerting

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// fakeTriager answers with a report built from the request.
type fakeTriager struct {
	mu     sync.Mutex
	answer func(triage.Request) triage.Report
	input  func(triage.Request) triage.Case
	asks   []triage.Request
	causes []string
	delay  time.Duration
	err    error
	panics bool
}

func (f *fakeTriager) Triage(ctx context.Context, req triage.Request) (triage.Answer, error) {
	f.mu.Lock()
	f.causes = append(f.causes, req.Cause)
	f.asks = append(f.asks, req)
	input := f.input
	answer, delay, err, panics := f.answer, f.delay, f.err, f.panics
	f.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return triage.Answer{}, ctx.Err()
		}
	}
	if panics {
		panic("index out of range")
	}
	if err != nil {
		return triage.Answer{}, err
	}
	r := flagReport(.86)
	if answer != nil {
		r = answer(req)
	}
	r.CreatedAt = req.At
	out := triage.Answer{Report: r}
	if input != nil {
		out.Input = input(req)
	}
	return out, nil
}

func (f *fakeTriager) setInput(input func(triage.Request) triage.Case) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.input = input
}

// last is the latest request.
func (f *fakeTriager) last() triage.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asks[len(f.asks)-1]
}

func (f *fakeTriager) set(answer func(triage.Request) triage.Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *fakeTriager) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.causes)
}

// fakeNotifier records what it is asked to post.
type fakeNotifier struct {
	mu      sync.Mutex
	posts   []outbox.Notification
	reply   func(n int, nt outbox.Notification) error // n counts from 1
	hang    bool
	edits   bool
	recheck bool
}

func (f *fakeNotifier) EditsInPlace() bool { return f.edits }
func (f *fakeNotifier) Rechecks() bool     { return f.recheck }

// tidyNotifier removes one copy whenever it is asked.
type tidyNotifier struct {
	fakeNotifier
	tidied []time.Time
}

func (f *tidyNotifier) Tidy(_ context.Context, nt outbox.Notification) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tidied = append(f.tidied, time.Now())
	return 1, nil
}

func (f *fakeNotifier) Notify(ctx context.Context, nt outbox.Notification) (outbox.Receipt, error) {
	f.mu.Lock()
	f.posts = append(f.posts, nt)
	n, reply, hang := len(f.posts), f.reply, f.hang
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return outbox.Receipt{}, outbox.TransportError("post", ctx.Err())
	}
	if reply != nil {
		if err := reply(n, nt); err != nil {
			return outbox.Receipt{}, err
		}
	}
	return outbox.Receipt{RemoteID: fmt.Sprint("remote-", nt.Report.Number)}, nil
}

func (f *fakeNotifier) answer(reply func(int, outbox.Notification) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reply = reply
}

// setHang makes it hang or work again; what was asked of it until then is forgotten.
func (f *fakeNotifier) setHang(hang bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hang, f.posts = hang, nil
}

func (f *fakeNotifier) got() []outbox.Notification {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.posts)
}

// told lists what was posted: report number and cause.
func (f *fakeNotifier) told() []string {
	var out []string
	for _, p := range f.got() {
		out = append(out, fmt.Sprintf("%d %s", p.Report.Number, p.Report.Cause))
	}
	return out
}

type fakeTopology struct{ t triage.Topology }

func (f fakeTopology) Topology() triage.Topology { return f.t }

// bench is an Alerting with everything around it faked.
type bench struct {
	*Alerting
	store    *fakeStore
	triager  *fakeTriager
	notifier *fakeNotifier
	registry *prometheus.Registry
	stop     func()
}

// newBench starts an Alerting in a synctest bubble. tune may change its options.
func newBench(t *testing.T, store *fakeStore, tune func(*Options)) *bench {
	t.Helper()
	b := &bench{store: store, triager: &fakeTriager{}, notifier: &fakeNotifier{}, registry: prometheus.NewRegistry()}
	o := Options{
		Config: DefaultConfig(), Store: store, Triager: b.triager, Registerer: b.registry, Jitter: func() float64 { return 0 },
		Route:     RouteConfig{Receiver: "oncall", Mode: ModeLive},
		Receivers: outbox.Receivers{"oncall": {{Name: "it", Notifier: b.notifier}}},
	}
	if tune != nil {
		tune(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Alerting = a
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: want nil after the context ended, got %v", err)
		}
	}
	t.Cleanup(b.stop)
	return b
}

func alert(service string, start time.Time, labels ...string) triage.Alert {
	ls := map[string]string{"alertname": "HighErrorRate", "service": service, "severity": "page"}
	for i := 0; i+1 < len(labels); i += 2 {
		ls[labels[i]] = labels[i+1]
	}
	return triage.Alert{Labels: ls, Status: triage.AlertFiring, StartsAt: start, ReceivedAt: start}
}

func resolved(a triage.Alert, at time.Time) triage.Alert {
	a.Status, a.EndsAt = triage.AlertResolved, at
	return a
}

func (b *bench) accept(t *testing.T, alerts ...triage.Alert) {
	t.Helper()
	if err := b.Accept(t.Context(), Group{Alerts: alerts}); err != nil {
		t.Fatalf("Accept: %v", err)
	}
}

func (b *bench) outcome(o string) float64 {
	return testutil.ToFloat64(b.metrics.alerts.WithLabelValues(o))
}

// value is the sum of a metric over its labels.
func (b *bench) value(t *testing.T, name string) float64 {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

func flagChange() *triage.Change {
	return &triage.Change{
		ID: "ld#1", Kind: triage.KindFlag, Scope: triage.Scope{Service: "checkout"}, StartedAt: t0.Add(-340 * time.Second),
		Labels: map[string]string{"flag": "new-pricing", "from": "0", "to": "100 %"}, ObservedAt: t0.Add(-330 * time.Second),
	}
}

var t0 = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where a synctest bubble begins

// flagReport names the flag with probability p.
func flagReport(p float64) triage.Report {
	c := flagChange()
	return triage.Report{
		Symptom:  triage.SymptomSummary{Sentence: "checkout 5xx 0.2 % → 14 %", Signal: triage.SignalErrors},
		Onset:    triage.Onset{Interval: triage.Interval{Earliest: t0.Add(-6 * time.Minute), Best: t0.Add(-5 * time.Minute), Latest: t0.Add(-4 * time.Minute)}},
		Suspects: []triage.Suspect{{Rank: 1, Change: c, Probability: p, For: []triage.Evidence{{Factor: "split", Contribution: 3000, Direct: true, Sentence: fmt.Sprintf("share %.2f", p)}}}},
		None:     triage.None{Probability: 1 - p}, Candidates: 1, LookbackS: 1800,
		Recommendation: triage.Recommendation{Verdict: triage.VerdictAct, Action: triage.ActionFlagOff, Reason: "split", Target: &triage.Target{ChangeID: c.ID, Name: "new-pricing"}},
		Coverage:       []triage.Coverage{{Source: "push", State: triage.SourceOK}},
	}
}

// noneReport names nobody.
func noneReport() triage.Report {
	r := flagReport(.1)
	r.None.Probability = .9
	r.Recommendation = triage.Recommendation{Verdict: triage.VerdictCannotTell, Action: triage.ActionInvestigate, Reason: "nothing fits"}
	return r
}
