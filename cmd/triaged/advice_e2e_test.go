package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/triaged-dev/triaged/correlate"
	"github.com/triaged-dev/triaged/playbooks"
	"github.com/triaged-dev/triaged/triage"
)

// mall is an application of several shops, each with services whose share of failed requests can be set. It serves real metrics.
type mall struct {
	server *httptest.Server
	mu     sync.Mutex
	bad    map[string]int // per cent of requests that fail, by service
}

func startMall(t *testing.T, services ...string) *mall {
	t.Helper()
	reg := prometheus.NewRegistry()
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests."}, []string{"service", "code"})
	reg.MustRegister(requests)
	m := &mall{server: httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{})), bad: make(map[string]int)}
	t.Cleanup(m.server.Close)
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			m.mu.Lock()
			for _, s := range services {
				failed := float64(m.bad[s]) / 50
				if n%500 == 0 {
					failed += .2
				}
				requests.WithLabelValues(s, "200").Add(2 - min(failed, 2))
				requests.WithLabelValues(s, "500").Add(min(failed, 2))
			}
			m.mu.Unlock()
		}
	}()
	return m
}

func (m *mall) set(percent int, services ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range services {
		m.bad[s] = percent
	}
}

// startMallStack is a real Prometheus that scrapes the mall, with one rule for every checkout, and a real Alertmanager.
func startMallStack(t *testing.T, target, prometheusAddress string, d asker) {
	t.Helper()
	prometheusPath, alertmanagerPath := peer(t, "prometheus"), peer(t, "prometheus-alertmanager")
	dir, am := t.TempDir(), freePort(t)
	start(t, alertmanagerPath,
		"--config.file="+write(t, filepath.Join(dir, "alertmanager.yml"), fmt.Sprintf(`
route: {receiver: triaged, group_by: [alertname, service], group_wait: 1s, group_interval: 2s, repeat_interval: 1h}
receivers: [{name: triaged, webhook_configs: [{url: "%s/api/v1/alerts", send_resolved: true}]}]
`, d)),
		"--storage.path="+filepath.Join(dir, "am"), "--web.listen-address="+am, "--cluster.listen-address=")
	write(t, filepath.Join(dir, "rules.yml"), `
groups:
  - name: mall
    interval: 1s
    rules:
      - alert: ErrorRatioHigh
        expr: |
          sum by (service) (rate(http_requests_total{service=~"checkout-.*",code=~"5.."}[10s]))
            / sum by (service) (rate(http_requests_total{service=~"checkout-.*"}[10s])) > 0.05
        for: 5s
        labels: {severity: page, environment: production}
        annotations: {summary: "{{ $labels.service }} fails"}
`)
	start(t, prometheusPath,
		"--config.file="+write(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs: [{job_name: mall, static_configs: [{targets: [%q]}]}]
`, am, strings.TrimPrefix(target, "http://"))),
		"--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+prometheusAddress)
	eventually(t, 20*time.Second, "Prometheus is ready", func() error { return asker("http://"+prometheusAddress).get("/-/ready", nil) })
}

// inbox is a chat room: a webhook receiver that keeps the cards by service.
type inbox struct {
	server *httptest.Server
	mu     sync.Mutex
	cards  map[string][]string
}

func startInbox(t *testing.T) *inbox {
	b := &inbox{cards: make(map[string][]string)}
	b.server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var post struct {
			Incident triage.Incident `json:"incident"`
			Card     string          `json:"card"`
		}
		if err != nil || json.Unmarshal(body, &post) != nil {
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.cards[post.Incident.Service] = append(b.cards[post.Incident.Service], post.Card)
	}))
	t.Cleanup(b.server.Close)
	return b
}

// wait waits for a card about the service that holds all parts, and returns it.
func (b *inbox) wait(t *testing.T, limit time.Duration, service string, parts ...string) string {
	t.Helper()
	var found string
	eventually(t, limit, fmt.Sprintf("a card about %s with %q", service, parts), func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.cards[service] {
			if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(c, p) }) {
				found = c
				return nil
			}
		}
		return errors.New("the cards so far:\n" + strings.Join(b.cards[service], "\n"))
	})
	return found
}

// incidentOf finds the incident of a service and its reports.
func incidentOf(t *testing.T, d asker, service string) (triage.Incident, []triage.Report) {
	t.Helper()
	var page struct{ Items []triage.Incident }
	if err := d.get("/api/v1/incidents?service="+service, &page); err != nil || len(page.Items) != 1 {
		t.Fatalf("want one incident of %s, got %d, %v", service, len(page.Items), err)
	}
	var reports struct{ Items []triage.Report }
	if err := d.get("/api/v1/incidents/"+page.Items[0].ID+"/reports", &reports); err != nil {
		t.Fatal(err)
	}
	return page.Items[0], reports.Items
}

// flip posts a flag of a service going from one value to another, as a flag tool would.
func flip(t *testing.T, d asker, n int, service, flag, from, to string, at time.Time) triage.ChangeID {
	t.Helper()
	id := triage.ChangeID(fmt.Sprintf("unleash:%s/%d", flag, n))
	d.post(t, "/api/v1/changes", triage.Change{
		ID: id, Kind: triage.KindFlag, Status: triage.StatusSucceeded, Scope: triage.Scope{Service: service, Environment: "production"},
		StartedAt: at.UTC(), Title: fmt.Sprintf("flag %s turned %s", flag, to), Labels: map[string]string{"flag": flag, "from": from, "to": to, "project": "shop"},
		Refs: []triage.Ref{{System: "unleash", ID: fmt.Sprintf("%s-%d", flag, n)}},
	})
	return id
}

// Three incidents against a real Prometheus and Alertmanager, side by side. One: the flag goes back, it recovers, and that is
// verified. Two: the first undo does not help; it is said so, and the second suspect turns out right. Three: the rollback
// works, but the system stays stuck, and shedding load is advised.
func TestWhatAnUndoDid(t *testing.T) {
	if testing.Short() {
		t.Skip("takes three minutes: undos need time to show")
	}
	t.Parallel()
	peer(t, "prometheus")
	peer(t, "prometheus-alertmanager")
	var services []string
	for _, n := range []string{"1", "2", "3"} {
		services = append(services, "checkout-"+n, "pricing-"+n, "cart-"+n)
	}
	app, prometheusAddress, box := startMall(t, services...), freePort(t), startInbox(t)
	d := startDaemon(t, fmt.Sprintf(`
global: {external_url: "http://triaged.example"}
topology: {calls: {checkout-1: [pricing-1, cart-1], checkout-2: [pricing-2, cart-2], checkout-3: [pricing-3, cart-3]}}
services: {checkout-1: {tier: 1, user_facing: true}, pricing-1: {owner: team-pricing}, pricing-3: {auto_sync: false}}
sources: {prometheus: [{name: prometheus, url: "http://%s", queries_per_minute: 6000, cache: {ttl: 500ms}, discovery_interval: 20s, changes: {enabled: false}}]}
signals: {range: 10s}
incidents:
  second_looks: [4s, 8s, 12s]
  min_interval: 2s
  recovered_hold: 3s
  verify: {interval: 2s, retry_cycle: 12s, give_up: 25s, move_on: 45s}
route: {mode: live, receiver: room}
receivers: [{name: room, webhook_configs: [{url: "%s"}]}]
`, prometheusAddress, box.server.URL))
	startMallStack(t, app.server.URL, prometheusAddress, d.asker)

	time.Sleep(75 * time.Second) // a healthy past, from which a change point can be told
	now := time.Now()
	flip(t, d.asker, 1, "pricing-1", "new-pricing", "off", "on", now)
	slow := flip(t, d.asker, 1, "pricing-2", "new-search", "off", "on", now.Add(-12*time.Second))
	quick := flip(t, d.asker, 1, "pricing-2", "fast-cart", "off", "on", now)
	d.post(t, "/api/v1/changes", triage.Change{
		ID: "argocd:shop/pricing-3/1", Kind: triage.KindDeploy, Status: triage.StatusSucceeded, Version: "v812", PreviousVersion: "v811",
		Scope:     triage.Scope{Service: "pricing-3", Environment: "production", Cluster: "prod-eu1", Namespace: "shop"},
		StartedAt: now.Add(-4 * time.Second).UTC(), FinishedAt: now.UTC(), Refs: []triage.Ref{{System: "argocd", ID: "pricing-3/1"}},
	})
	time.Sleep(10 * time.Second)
	app.set(30, "pricing-1", "checkout-1", "pricing-2", "checkout-2", "pricing-3", "checkout-3")

	t.Log(box.wait(t, 60*time.Second, "checkout-1", "LIKELY: flag new-pricing", "DO: set flag new-pricing back to off", "/features/new-pricing/environments/production/off"))
	t.Log(box.wait(t, 30*time.Second, "checkout-2", "flag fast-cart", "flag new-search"))
	t.Log(box.wait(t, 30*time.Second, "checkout-3", "LIKELY: deploy pricing-3", "run: argocd app rollback pricing-3 --argocd-context prod-eu1"))
	undone := time.Now()
	flip(t, d.asker, 2, "pricing-1", "new-pricing", "on", "off", undone)
	flip(t, d.asker, 2, "pricing-2", "fast-cart", "on", "off", undone)
	d.post(t, "/api/v1/changes", triage.Change{
		ID: "argocd:shop/pricing-3/2", Kind: triage.KindRollback, Status: triage.StatusSucceeded, Version: "v811", PreviousVersion: "v812",
		Scope:     triage.Scope{Service: "pricing-3", Environment: "production", Cluster: "prod-eu1", Namespace: "shop"},
		StartedAt: undone.UTC(), FinishedAt: undone.Add(500 * time.Millisecond).UTC(),
	})
	time.Sleep(time.Second)
	app.set(0, "pricing-1", "checkout-1", "pricing-3") // checkout-3 holds itself down, and nothing helps checkout-2

	t.Run("verified", func(t *testing.T) {
		t.Log(box.wait(t, 60*time.Second, "checkout-1", "UNDO SEEN: flag new-pricing"))
		card := box.wait(t, 60*time.Second, "checkout-1", "CHECKED: checkout-1 recovered", "after flag new-pricing went back")
		t.Log(card)
		if strings.Contains(card, "not proof") {
			t.Errorf("one undo, traffic there, nothing else moving: it must be verified, got\n%s", card)
		}
		box.wait(t, 30*time.Second, "checkout-1", "🟢 recovered: checkout-1")
		inc, reports := incidentOf(t, d.asker, "checkout-1")
		checkReplays(t, d.asker, inc, reports)
		if s := reports[0].Severity; s == nil || s.Level > "P1" {
			t.Errorf("a tier 1, user-facing service with 30 %% of errors: want P0 or P1, got %+v", s)
		}
		checkOutcome(t, d.asker, "pricing-1", triage.Outcome{Service: "pricing-1", Kind: triage.KindFlag, Outcome: "verified", N: 1})
		checkFeedbackLink(t, d.asker, box, inc)
		checkOutcome(t, d.asker, "pricing-1", triage.Outcome{Service: "pricing-1", Kind: triage.KindFlag, Outcome: "confirmed", N: 1})
		draft := d.text(t, "/api/v1/incidents/"+inc.ID+"/postmortem")
		for _, want := range []string{"## Impact", "confirmed by the team", "new-pricing", "recovered", "## Follow-ups"} {
			if !strings.Contains(draft, want) {
				t.Errorf("the post-mortem lacks %q", want)
			}
		}
		t.Log("\n" + draft)
	})
	t.Run("stuck", func(t *testing.T) {
		t.Log(box.wait(t, 60*time.Second, "checkout-3", "CHECKED: trigger removed, system may be stuck: pricing-3 was rolled back", "shed load on checkout-3", "pricing-3 itself is back"))
		app.set(0, "checkout-3") // load was shed
		t.Log(box.wait(t, 60*time.Second, "checkout-3", "🟢 recovered", "CHECKED: checkout-3 recovered"))
	})
	t.Run("second suspect", func(t *testing.T) {
		t.Log(box.wait(t, 60*time.Second, "checkout-2", "CHECKED: trigger removed, system may be stuck: flag fast-cart went back"))
		t.Log(box.wait(t, 60*time.Second, "checkout-2", "undoing it did not help"))
		_, reports := incidentOf(t, d.asker, "checkout-2")
		last := reports[len(reports)-1]
		if l := last.Leader(); l == nil || l.ID() != string(slow) {
			shown, _ := json.MarshalIndent(last, "", " ")
			t.Errorf("want the second suspect %s to lead once %s is known not to be it, got\n%s", slow, quick, shown)
		}
		flip(t, d.asker, 2, "pricing-2", "new-search", "on", "off", time.Now())
		time.Sleep(time.Second)
		app.set(0, "pricing-2", "checkout-2")
		t.Log(box.wait(t, 60*time.Second, "checkout-2", "CHECKED: checkout-2 recovered", "after flag new-search went back", "not proof"))
	})
	if t.Failed() {
		box.mu.Lock()
		defer box.mu.Unlock()
		for s, cards := range box.cards {
			t.Logf("cards about %s:\n%s", s, strings.Join(cards, "\n"))
		}
	}
}

// text reads a 200 answer that is not JSON.
func (a asker) text(t *testing.T, path string) string {
	t.Helper()
	code, body, err := a.do("GET", path, nil)
	if err != nil || code != http.StatusOK {
		t.Fatalf("GET %s: %d %v: %s", path, code, err, body)
	}
	return string(body)
}

// checkReplays exports every report's case and ranks it again: the same bytes, but for what is added behind the ranking.
func checkReplays(t *testing.T, d asker, inc triage.Incident, reports []triage.Report) {
	t.Helper()
	replayed := 0
	for _, want := range reports {
		if want.Kind != triage.ReportRanked {
			continue // nothing was ranked for it
		}
		var c triage.Case
		if err := d.get(fmt.Sprintf("/api/v1/incidents/%s/case?report=%d", inc.ID, want.Number), &c); err != nil {
			t.Fatal(err)
		}
		got := correlate.Rank(correlate.InputOf(c))
		want.Severity, want.Checked, want.Hold, want.OtherAlerts = nil, nil, nil, nil
		want.Recommendation.Steps = playbooks.Strip(want.Recommendation.Steps)
		want.State = ""
		if diff := cmp.Diff(asJSON(t, want), asJSON(t, got)); diff != "" {
			t.Errorf("report %d does not replay (-stored +replayed):\n%s", want.Number, diff)
		}
		replayed++
	}
	if replayed == 0 {
		t.Error("no report could be replayed")
	}
}

// asJSON is the bytes of a report, with lists that are empty or absent alike, as the API writes them.
func asJSON(t *testing.T, r triage.Report) string {
	t.Helper()
	if len(r.Notes) == 0 {
		r.Notes = nil
	}
	if len(r.Recommendation.Steps) == 0 {
		r.Recommendation.Steps = nil
	}
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func checkOutcome(t *testing.T, d asker, service string, want triage.Outcome) {
	t.Helper()
	eventually(t, 10*time.Second, "the outcome "+want.Outcome, func() error {
		var got struct{ Items []triage.Outcome }
		if err := d.get("/api/v1/services/"+service+"/outcomes", &got); err != nil {
			return err
		}
		if len(got.Items) != 1 || got.Items[0] != want {
			return fmt.Errorf("got %+v", got.Items)
		}
		return nil
	})
}

var yesLink = regexp.MustCompile(`It was this: http://triaged\.example(/feedback/\S+)`)

// checkFeedbackLink follows [It was this] as a chat server does, which must change nothing, and then as a person does.
func checkFeedbackLink(t *testing.T, d asker, box *inbox, inc triage.Incident) {
	t.Helper()
	m := yesLink.FindStringSubmatch(box.wait(t, time.Second, inc.Service, "It was this: "))
	if m == nil {
		t.Fatal("the card has no link")
	}
	before := d.text(t, "/api/v1/incidents/"+inc.ID+"/timeline")
	if page := d.text(t, m[1]); !strings.Contains(page, `<form method="post"`) {
		t.Errorf("want a page that asks, got %s", page)
	}
	if after := d.text(t, "/api/v1/incidents/"+inc.ID+"/timeline"); after != before {
		t.Error("looking at a link changed something")
	}
	for range 2 {
		d.post(t, m[1], "")
	}
	if after := d.text(t, "/api/v1/incidents/"+inc.ID+"/timeline"); strings.Count(after, "confirmed: it was this change") != 1 {
		t.Errorf("want one confirmation, got %s", after)
	}
}
