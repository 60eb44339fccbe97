package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/triaged-dev/triaged/triage"
)

// shop is an application whose error ratio can be broken. It serves real metrics.
type shop struct {
	server *httptest.Server
	broken atomic.Bool
}

func startShop(t *testing.T) *shop {
	t.Helper()
	reg := prometheus.NewRegistry()
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests."}, []string{"service", "code"})
	reg.MustRegister(requests)
	s := &shop{server: httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))}
	t.Cleanup(s.server.Close)
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
			for _, service := range []string{"checkout", "pricing", "search"} {
				code := "200"
				if n%500 == 0 || (s.broken.Load() && service != "search" && n%5 == 0) {
					code = "500"
				}
				requests.WithLabelValues(service, code).Add(2)
			}
		}
	}()
	return s
}

// stack is a real Prometheus that scrapes the shop and a real Alertmanager that tells the daemons.
type stack struct{ prometheus *process }

func startStack(t *testing.T, target, prometheusAddress string, daemons ...asker) stack {
	t.Helper()
	prometheusPath, alertmanagerPath := peer(t, "prometheus"), peer(t, "prometheus-alertmanager")
	dir := t.TempDir()
	var hooks strings.Builder
	for _, d := range daemons {
		fmt.Fprintf(&hooks, "      - url: %s/api/v1/alerts\n        send_resolved: true\n", d)
	}
	am := freePort(t)
	start(t, alertmanagerPath,
		"--config.file="+write(t, filepath.Join(dir, "alertmanager.yml"), `
route: {receiver: triaged, group_by: [alertname, service], group_wait: 1s, group_interval: 5s, repeat_interval: 1h}
receivers:
  - name: triaged
    webhook_configs:
`+hooks.String()),
		"--storage.path="+filepath.Join(dir, "am"), "--web.listen-address="+am, "--cluster.listen-address=")
	write(t, filepath.Join(dir, "rules.yml"), `
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: CheckoutErrorRatioHigh
        expr: |
          sum by (service) (rate(http_requests_total{service="checkout",code=~"5.."}[20s]))
            / sum by (service) (rate(http_requests_total{service="checkout"}[20s])) > 0.05
        for: 1m
        labels: {severity: page, environment: production}
        annotations: {summary: "checkout fails"}
`)
	p := start(t, prometheusPath,
		"--config.file="+write(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs:
  - job_name: shop
    static_configs: [{targets: [%q]}]
`, am, strings.TrimPrefix(target, "http://"))),
		"--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+prometheusAddress)
	eventually(t, 20*time.Second, "Prometheus is ready", func() error { return asker("http://"+prometheusAddress).get("/-/ready", nil) })
	return stack{prometheus: p}
}

func shopConfig(prometheusURL string) string {
	return fmt.Sprintf(`
topology: {calls: {frontend: [checkout], checkout: [pricing]}}
services: {pricing: {owner: team-pricing}}
sources: {prometheus: [{name: prometheus, url: %q}]}
incidents: {second_looks: []}
`, prometheusURL)
}

// firstReport waits for the first report of the only incident.
func firstReport(t *testing.T, d asker, limit time.Duration) (triage.Incident, triage.Report) {
	t.Helper()
	var inc triage.Incident
	var rep triage.Report
	eventually(t, limit, "a report", func() error {
		var page struct{ Items []triage.Incident }
		if err := d.get("/api/v1/incidents", &page); err != nil {
			return err
		}
		if len(page.Items) == 0 || page.Items[0].Reports == 0 {
			return errors.New("none yet")
		}
		inc = page.Items[0]
		return d.get("/api/v1/incidents/"+inc.ID+"/reports/1", &rep)
	})
	return inc, rep
}

// With a real Prometheus and a real Alertmanager, the guilty flag must come first, the onset must contain the truth and end
// before the alert fired; a daemon that saw everything but the guilty change must say that none fits.
func TestRealPrometheusAndAlertmanager(t *testing.T) {
	if testing.Short() {
		t.Skip("takes two minutes: the rule waits for one")
	}
	t.Parallel()
	app, prometheusAddress := startShop(t), freePort(t)
	peer(t, "prometheus")
	full := startDaemon(t, shopConfig("http://"+prometheusAddress))
	blind := startDaemon(t, shopConfig("http://"+prometheusAddress))
	startStack(t, app.server.URL, prometheusAddress, full.asker, blind.asker)

	began := time.Now().UTC()
	decoys := []triage.Change{
		{ID: "decoy:1", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "checkout", Environment: "production"}, StartedAt: began.Add(-25 * time.Minute), FinishedAt: began.Add(-24 * time.Minute), Version: "v41", Status: triage.StatusSucceeded},
		{ID: "decoy:2", Kind: triage.KindConfig, Scope: triage.Scope{Service: "search", Environment: "production"}, StartedAt: began.Add(20 * time.Second), Title: "search: page size"},
		{ID: "decoy:3", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "frontend", Environment: "production"}, StartedAt: began.Add(-10 * time.Minute), FinishedAt: began.Add(-8 * time.Minute), Version: "v7", Status: triage.StatusSucceeded},
	}
	full.post(t, "/api/v1/changes", decoys)
	blind.post(t, "/api/v1/changes", decoys)

	// Two minutes of a healthy past are the least from which a change point can be told.
	time.Sleep(90 * time.Second)
	flipped := time.Now().UTC()
	full.post(t, "/api/v1/changes", triage.Change{
		ID: "flags:new-pricing/1", Kind: triage.KindFlag, Scope: triage.Scope{Service: "pricing", Environment: "production"},
		StartedAt: flipped, Title: "flag new-pricing 0 → 100 %", Labels: map[string]string{"flag": "new-pricing", "from": "0 %", "to": "100 %"},
	})
	time.Sleep(2 * time.Second)
	app.broken.Store(true)
	onset := time.Now().UTC()

	inc, rep := firstReport(t, full.asker, 2*time.Minute)
	shown, _ := json.MarshalIndent(rep, "", " ")
	leader := rep.Leader()
	if leader == nil || leader.ID() != "flags:new-pricing/1" {
		t.Errorf("want the flag first, got\n%s", shown)
	}
	startsAt := inc.Alerts[0].StartsAt
	if rep.Onset.Earliest.After(onset.Add(time.Second)) || rep.Onset.Latest.Before(onset) || !rep.Onset.Latest.Before(startsAt) {
		t.Errorf("onset %s – %s does not contain the truth %s, or does not end before the alert fired at %s",
			rep.Onset.Earliest, rep.Onset.Latest, onset, startsAt)
	}
	if d := rep.Onset.Best.Sub(onset).Abs(); d > 15*time.Second {
		t.Errorf("best onset %s is %s away from the truth", rep.Onset.Best, d)
	}
	if rep.Recommendation.Action != triage.ActionFlagOff {
		t.Errorf("want the flag set back, got\n%s", shown)
	}

	bare, none := firstReport(t, blind.asker, time.Minute)
	t.Cleanup(func() { // what both saw, to replay; kept with -artifacts
		for name, d := range map[string]struct {
			asker
			id string
		}{"full.json": {full.asker, inc.ID}, "blind.json": {blind.asker, bare.ID}} {
			if _, body, err := d.do("GET", "/api/v1/incidents/"+d.id+"/case", nil); err == nil {
				write(t, filepath.Join(t.ArtifactDir(), name), string(body))
			}
		}
	})
	shown, _ = json.MarshalIndent(none, "", " ")
	// A service that shifted on its own account may lead: that is none with a place. A change must not.
	for _, s := range none.Suspects {
		if s.Change != nil && s.Probability >= none.None.Probability {
			t.Errorf("without the guilty change no other must lead over none, got\n%s", shown)
		}
	}
	if none.Recommendation.Action.Reversal() {
		t.Errorf("without the guilty change no reversal must be advised, got %+v", none.Recommendation)
	}
}

// alertBody is one alert as Alertmanager posts it.
func alertBody(name, service string, startsAt time.Time) map[string]any {
	labels := map[string]string{"alertname": name, "service": service, "severity": "page", "environment": "production"}
	return map[string]any{
		"version": "4", "groupKey": fmt.Sprintf("{}:{alertname=%q,service=%q}", name, service), "status": "firing", "receiver": "triaged",
		"groupLabels": labels, "commonLabels": labels, "commonAnnotations": map[string]string{}, "externalURL": "http://am.example",
		"alerts": []any{map[string]any{
			"status": "firing", "labels": labels, "annotations": map[string]string{}, "startsAt": startsAt.Format(time.RFC3339Nano),
			"endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": triage.Alert{Labels: labels}.LabelFingerprint(),
		}},
	}
}

// A Prometheus that hangs, or is not there at all, must make the report thinner and say so, never late.
func TestReportComesWithoutPrometheus(t *testing.T) {
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hang.Close()
	defer hang.CloseClientConnections()
	for name, url := range map[string]string{"hanging": hang.URL, "stopped": "http://" + freePort(t)} {
		t.Run(name, func(t *testing.T) {
			d := startDaemon(t, shopConfig(url))
			now := time.Now().UTC()
			d.post(t, "/api/v1/changes", triage.Change{
				ID: "x:1", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "pricing", Environment: "production"}, StartedAt: now.Add(-3 * time.Minute), Version: "v2",
			})
			asked := time.Now()
			d.post(t, "/api/v1/alerts", alertBody("CheckoutErrorRatioHigh", "checkout", now))
			_, rep := firstReport(t, d.asker, 15*time.Second)
			if took := time.Since(asked); took > 11*time.Second {
				t.Errorf("the report took %s; the deadline is 10 s", took)
			}
			for _, c := range rep.Coverage {
				if c.Source != "push" && c.State == triage.SourceOK {
					t.Errorf("coverage calls %s ok", c.Source)
				}
			}
			if len(rep.Coverage) == 0 {
				t.Error("coverage is empty")
			}
			if rep.Recommendation.Action.Reversal() {
				t.Errorf("timing alone must not advise a reversal: %+v", rep.Recommendation)
			}
		})
	}
}
