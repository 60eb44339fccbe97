package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// watchers are Prometheus and Alertmanager.
type watchers struct {
	prometheus, alertmanager string // addresses
	children                 []*child
}

const prometheusConfig = `
global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 2s, external_labels: {environment: production}}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs: [{job_name: office, file_sd_configs: [{files: [targets.json], refresh_interval: 2s}]}]
`

// Rules as teams write them: not all alike, thresholds from what each service usually does.
const rules = `
groups:
  - name: office
    interval: 2s
    rules:
      - alert: ErrorRatioHigh
        expr: |
          sum by (service_name) (rate(http_server_request_duration_seconds_count{http_response_status_code=~"5.."}[15s]))
            / sum by (service_name) (rate(http_server_request_duration_seconds_count[15s])) > 0.06
        for: 6s
        labels: {severity: page}
        annotations: {summary: "{{ $labels.service_name }} answers with errors"}
      - alert: TooManyErrors
        expr: |
          sum by (app, job) (rate(http_requests_total{code=~"5.."}[20s])) / sum by (app, job) (rate(http_requests_total[20s])) > 0.08
        for: 4s
        labels: {severity: page}
        annotations: {summary: "{{ $labels.app }}{{ if eq $labels.app \"\" }}{{ $labels.job }}{{ end }} fails"}
      - alert: GateSlow
        expr: histogram_quantile(0.95, sum by (service_name, le) (rate(http_server_request_duration_seconds_bucket{service_name="gate"}[20s]))) > 0.9
        for: 6s
        labels: {severity: page}
        annotations: {summary: "visitors wait"}
      - alert: LatencyHigh
        expr: histogram_quantile(0.9, sum by (service_name, le) (rate(http_server_request_duration_seconds_bucket{service_name="seats",http_route!="/expire"}[20s]))) > 0.2
        for: 8s
        labels: {severity: page}
        annotations: {summary: "{{ $labels.service_name }} is slow"}
      - alert: OrdersSlow
        expr: histogram_quantile(0.9, sum by (service_name, le) (rate(http_server_request_duration_seconds_bucket{service_name="orders"}[20s]))) > 0.9
        for: 6s
        labels: {severity: page}
        annotations: {summary: "buying takes too long"}
      - alert: SearchSlow
        expr: histogram_quantile(0.9, sum by (app, le) (rate(http_request_duration_seconds_bucket{app="search",handler="/query"}[20s]))) > 0.7
        for: 6s
        labels: {severity: page}
        annotations: {summary: "search is slow"}
      - alert: QueueGrows
        expr: sum by (job, queue) (broker_queue_depth) > 40
        for: 4s
        labels: {severity: page}
        annotations: {summary: "{{ $labels.queue }} has a backlog"}
      - alert: JobsFail
        expr: |
          sum by (job, service_name) (rate(jobs_processed_total{result="failure"}[20s])) / sum by (job, service_name) (rate(jobs_processed_total[20s])) > 0.2
        for: 6s
        labels: {severity: page}
        annotations: {summary: "jobs fail"}
      - alert: InstanceDown
        expr: up == 0
        for: 8s
        labels: {severity: page}
        annotations: {summary: "{{ $labels.instance }} is down"}
`

func alertmanagerConfig(webhooks []string) string {
	var b strings.Builder
	b.WriteString("route: {receiver: triaged, group_by: [alertname, service_name, app, job], group_wait: 1s, group_interval: 3s, repeat_interval: 1h}\n")
	b.WriteString("receivers:\n  - name: triaged\n    webhook_configs:\n")
	for _, u := range webhooks {
		fmt.Fprintf(&b, "      - {url: %q, send_resolved: true}\n", u)
	}
	return b.String()
}

// startWatchers starts both; Prometheus finds its targets in the fleet's file.
func startWatchers(ctx context.Context, dir string, webhooks []string) (*watchers, error) {
	prometheus, err := peer("prometheus")
	if err != nil {
		return nil, err
	}
	alertmanager, err := peer("prometheus-alertmanager", "alertmanager")
	if err != nil {
		return nil, err
	}
	w := &watchers{}
	for _, a := range []*string{&w.prometheus, &w.alertmanager} {
		if *a, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	for name, content := range map[string]string{
		"prometheus.yml": fmt.Sprintf(prometheusConfig, w.alertmanager), "rules.yml": rules, "alertmanager.yml": alertmanagerConfig(webhooks),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	for _, cmd := range []*exec.Cmd{
		exec.Command(alertmanager, "--config.file="+filepath.Join(dir, "alertmanager.yml"), "--storage.path="+filepath.Join(dir, "alertmanager"),
			"--web.listen-address="+w.alertmanager, "--cluster.listen-address="),
		exec.Command(prometheus, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "tsdb"),
			"--web.listen-address="+w.prometheus, "--web.external-url=http://prometheus.office.example/", "--web.route-prefix=/"),
	} {
		c, err := spawn(filepath.Base(cmd.Path), cmd, false)
		if err != nil {
			w.close()
			return nil, err
		}
		w.children = append(w.children, c)
	}
	for _, a := range []string{w.prometheus, w.alertmanager} {
		if err := eventually(ctx, 20*time.Second, "a peer is ready", func() error { return answers(ctx, "http://"+a+"/-/ready") }); err != nil {
			w.close()
			return nil, fmt.Errorf("%w: %s", err, w.children[len(w.children)-1].said())
		}
	}
	return w, nil
}

func (w *watchers) close() {
	for _, c := range w.children {
		c.stop(syscall.SIGTERM)
	}
}

// answers asks an address for 200.
func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}
