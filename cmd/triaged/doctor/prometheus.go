package doctor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/cmd/triaged/setup"
	"github.com/triaged-dev/triaged/configs"
	"github.com/triaged-dev/triaged/sources/prometheus"
	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// maxRules bounds how many paging rules are tried: a few queries each.
const maxRules = 60

// graph is what servers show of the calls between services.
type graph struct {
	calls    []triage.Edge
	services []string // with metrics
	from     []string // conventions that tell of calls
}

// prometheus examines one server, adds the calls it knows to calls, and returns the kinds of change it shows.
func (e *examination) prometheus(ctx context.Context, cfg *configs.Config, pc prometheus.Config, calls *graph) (seen kinds) {
	rt, err := config.NewRoundTripperFromConfig(pc.HTTPConfig, "prometheus", config.WithUserAgent("triaged"))
	if err != nil {
		e.wrong("prometheus", pc.Name, "its http_config cannot be used: "+err.Error(), "mend http_config of "+pc.Name)
		return seen
	}
	watch := &watch{next: rt, now: e.now}
	pc.Reference.Days, pc.Anomalies.Enabled, pc.Cache.MaxBytes = nil, false, 4<<20
	pc.QueriesPerMinute = max(pc.QueriesPerMinute, 600)
	pc.Topology.Lookback = model.Duration(max(time.Duration(pc.Topology.Lookback), time.Hour))
	src, err := prometheus.New(prometheus.Options{
		Config: pc, Signals: cfg.Signals, Directory: cfg.Directory(), Logger: slog.New(slog.DiscardHandler), Transport: watch, Now: e.now,
	})
	if err != nil {
		e.wrong("prometheus", pc.Name, err.Error(), "mend its entry under sources.prometheus")
		return seen
	}
	defer src.Close()
	s, err := src.Survey(ctx)
	if err != nil {
		e.wrong("prometheus", pc.Name, err.Error(), "check url, network and credentials; without it reports are by timing alone")
		return seen
	}
	for _, n := range s.Notes {
		e.hint("prometheus", pc.Name, n, "point url at the Prometheus that evaluates the rules")
	}
	if t, err := src.ReadTopology(ctx); err == nil {
		calls.calls = append(calls.calls, t.Edges()...)
	}
	calls.services, calls.from = append(calls.services, s.Services...), append(calls.from, s.Edges...)
	e.signals(pc.Name, s)
	e.rules(ctx, cfg, pc.Name, src, s)
	e.alertmanagers(ctx, pc, s)
	watch.judge(e, pc.Name, s)
	if s.Has("kube_replicaset_created") || s.Versions || s.Has("target_info") {
		seen.add(triage.KindDeploy, pc.Name)
	}
	if s.Has("kube_configmap_metadata_resource_version") {
		seen.add(triage.KindConfig, pc.Name)
	}
	return seen
}

// signals looks at what is measured of the services.
func (e *examination) signals(name string, s prometheus.Survey) {
	requests := 0
	for _, c := range s.Conventions {
		if c.Name != "container" && c.Name != "process" && c.Name != "restarts" {
			requests += len(c.Services)
		}
	}
	if requests == 0 {
		e.wrong("signals", name, "no request metrics of any service were found under the conventions known: nothing can be seen beside the alert's own series",
			"describe yours under signals.conventions")
	} else {
		e.ok("signals", name, "%d services are measured", len(s.Services))
	}
	if s.ScrapeInterval > coarseScrape {
		e.hint("scrape interval", name, fmt.Sprintf("scrapes are %s apart: an onset cannot be told closer than that", s.ScrapeInterval), "scrape request metrics every 15 to 60 s")
	}
}

// rules looks at the rules that page: whether there are any, whether they evaluate, and whether their alerts name a service.
func (e *examination) rules(ctx context.Context, cfg *configs.Config, name string, src *prometheus.Source, s prometheus.Survey) {
	if len(s.Rules) == 0 {
		return
	}
	var paging []prometheus.AlertRule
	var severities []string
	for _, r := range s.Rules {
		if v := r.Labels["severity"]; !slices.Contains(severities, v) && v != "" {
			severities = append(severities, v)
		}
		if cfg.Incidents.Pages.All(r.Labels) && !cfg.Incidents.Ignore.Any(withName(r)) {
			paging = append(paging, r)
		}
		if r.Failing != "" {
			e.wrong("rules", name, fmt.Sprintf("rule %s does not evaluate: %s", r.Name, r.Failing), "mend the rule; it can never fire")
		}
		if r.Interval > 0 && r.Took > r.Interval {
			e.wrong("query cost", name, fmt.Sprintf("rule %s takes %s, longer than its interval of %s", r.Name, r.Took.Round(time.Millisecond), r.Interval), "record its expression, or evaluate it less often")
		}
	}
	if len(paging) == 0 {
		slices.Sort(severities)
		e.wrong("paging rules", name, fmt.Sprintf("none of %d alerting rules matches incidents.pages; severities in use: %s", len(s.Rules), strings.Join(severities, ", ")),
			"set incidents.pages to what wakes people here")
		return
	}
	e.placed(ctx, name, src, paging)
}

func withName(r prometheus.AlertRule) map[string]string {
	out := map[string]string{"alertname": r.Name}
	maps.Copy(out, r.Labels)
	return out
}

// placed asks for the series behind each paging rule and counts those whose labels lead to a service.
func (e *examination) placed(ctx context.Context, name string, src *prometheus.Source, paging []prometheus.AlertRule) {
	var lost, empty []string
	found := 0
	now := e.now().UTC()
	for _, r := range paging[:min(len(paging), maxRules)] {
		sym, err := src.Symptom(ctx, triage.Alert{Labels: withName(r), StartsAt: now, Expr: r.Expr}, now.Add(-10*time.Minute), now)
		switch {
		case err != nil:
			empty = append(empty, r.Name)
		case len(sym.Series) == 0:
			empty = append(empty, r.Name)
		case slices.ContainsFunc(sym.Series, func(s triage.Series) bool { return s.Labels["service"] == "" }):
			lost = append(lost, r.Name)
		default:
			found++
		}
	}
	if len(empty) > 0 {
		e.hint("rule data", name, fmt.Sprintf("%d of %d paging rules read no series at the moment: %s", len(empty), len(paging), say.List(empty)), "if their metrics are gone for good, the rules can never fire")
	}
	if tried := found + len(lost); tried > 0 && float64(found) < namedShare*float64(tried) {
		e.wrong("services of rules", name, fmt.Sprintf("%d of %d paging rules lead to no service: %s", len(lost), tried, say.List(lost)),
			"keep a service label in their expression (sum by (service) …) or add one to the rule's labels")
	} else if tried > 0 {
		e.ok("services of rules", name, "%d of %d paging rules with data lead to a service", found, tried)
	}
}

// alertmanagers looks whether alerts find their way to triaged.
func (e *examination) alertmanagers(ctx context.Context, pc prometheus.Config, _ prometheus.Survey) {
	urls, err := setup.FindAlertmanagers(ctx, pc.URL, pc.HTTPConfig)
	if err != nil || len(urls) == 0 {
		e.hint("alertmanager", pc.Name, "it names no Alertmanager that can be asked from here", "make sure that yours posts to /api/v1/alerts; see docs/wiring.md")
		return
	}
	for _, u := range urls {
		am, err := setup.ReadAlertmanager(ctx, u, config.DefaultHTTPClientConfig)
		if err != nil && e.isTriaged(ctx, u) {
			e.ok("alertmanager", u, "is triaged itself: the server sends it its alerts without an Alertmanager between")
			continue
		}
		if err != nil {
			e.hint("alertmanager", u, err.Error(), "ask it from a machine that may, or look by hand that it posts to /api/v1/alerts")
			continue
		}
		e.alertmanager(am)
	}
}

// isTriaged reports whether a triaged answers at the address.
func (e *examination) isTriaged(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(address, "/")+"/api/openapi.yaml", nil)
	if err != nil {
		return false
	}
	resp, err := e.o.Transport.RoundTrip(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	head := make([]byte, 512)
	n, _ := io.ReadFull(resp.Body, head)
	return resp.StatusCode == http.StatusOK && strings.Contains(string(head[:n]), "title: triaged")
}

func (e *examination) alertmanager(am setup.Alertmanager) {
	to := am.Tells()
	switch {
	case !to.Found && !to.Hidden:
		e.wrong("alertmanager", am.URL, "none of its receivers posts to triaged", "add the receiver that triaged init writes")
		return
	case !to.Found:
		e.hint("alertmanager", am.URL, "it hides the addresses of its webhooks, so whether one is triaged's cannot be seen", "look by hand that one posts to /api/v1/alerts")
		return
	case !to.Resolved:
		e.wrong("alertmanager", am.URL, "it does not tell triaged when alerts are resolved (send_resolved: false): no recovery is ever seen", "set send_resolved: true on that webhook")
	default:
		e.ok("alertmanager", am.URL, "posts to triaged, resolved alerts included")
	}
	for _, p := range am.Pagers() {
		if slices.Contains(p.Kinds, "pagerduty") && !slices.Contains(to.Receivers, p.Name) {
			e.hint("pager", p.Name, "triaged's webhook is not in this receiver, so its group key has to be rebuilt for notes on the incident",
				"put the webhook into receiver "+p.Name+", or name this Alertmanager under sources.alertmanager")
		}
	}
}

// watch sees what the server costs and what its clock says.
type watch struct {
	next http.RoundTripper
	now  func() time.Time

	mu      sync.Mutex
	n       int
	slowest time.Duration
	skew    time.Duration
	dated   bool
}

// RoundTrip notes duration and date. The date has whole seconds, and half of the way counts.
func (w *watch) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	sent := w.now()
	resp, err := w.next.RoundTrip(r)
	took := time.Since(began)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	w.slowest = max(w.slowest, took)
	if err == nil {
		if at, perr := http.ParseTime(resp.Header.Get("Date")); perr == nil {
			w.dated = true
			w.skew = at.Add(500 * time.Millisecond).Sub(sent.Add(took / 2))
		}
	}
	return resp, err
}

func (w *watch) judge(e *examination, name string, _ prometheus.Survey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.slowest > slowQuery {
		e.wrong("query cost", name, fmt.Sprintf("the slowest of %d questions took %.1f s; a report waits 5 s for evidence", w.n, w.slowest.Seconds()),
			"record the heavy expressions, give the server more memory, or raise correlate.deadline")
	} else {
		e.ok("query cost", name, "%d questions, the slowest %d ms", w.n, w.slowest.Milliseconds())
	}
	e.clock(name, w.skew, w.dated)
}

func (e *examination) clock(name string, skew time.Duration, dated bool) {
	switch {
	case !dated:
	case skew.Abs() > maxSkew:
		e.wrong("clock", name, fmt.Sprintf("its clock is %.0f s %s this one: changes and symptoms are put in the wrong order", skew.Abs().Seconds(), aheadOf(skew)), "run NTP on both machines")
	default:
		e.ok("clock", name, "within %.0f s of this one", maxSkew.Seconds())
	}
}

func aheadOf(d time.Duration) string {
	if d > 0 {
		return "ahead of"
	}
	return "behind"
}
