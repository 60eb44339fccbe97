package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/triaged-dev/triaged/triage"
)

// startKafka runs a real Apache Kafka broker and returns its address; where there is none, a broker in this process that
// speaks the same protocol.
func startKafka(t *testing.T) string {
	t.Helper()
	run, err := filepath.Abs("../../tools/kafka/run")
	if err != nil {
		t.Fatal(err)
	}
	port := 0
	for range 100 { // four free ports in a row, as the script wants them
		base := 20000 + rand.N(30000)
		if free := !slices.ContainsFunc([]int{0, 1, 2, 3}, func(i int) bool {
			l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", base+i))
			if err == nil {
				l.Close()
			}
			return err != nil
		}); free {
			port = base
			break
		}
	}
	var stderr bytes.Buffer
	cmd := exec.Command(run, t.TempDir(), strconv.Itoa(port))
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	address := fmt.Sprint("127.0.0.1:", port)
	for deadline := time.Now().Add(90 * time.Second); ; {
		select {
		case err := <-ended:
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || exit.ExitCode() != 3 || os.Getenv("REQUIRE_PEERS") == "1" {
				t.Fatalf("Kafka ended: %v: %s", err, stderr.String())
			}
			t.Logf("no Apache Kafka here, so a broker in this process is used: %s", strings.TrimSpace(stderr.String()))
			c, err := kfake.NewCluster(kfake.NumBrokers(1))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			return c.ListenAddrs()[0]
		case <-time.After(100 * time.Millisecond):
		}
		if _, err := (&kafka.Client{Addr: kafka.TCP(address), Timeout: time.Second}).Metadata(t.Context(), &kafka.MetadataRequest{}); err == nil {
			t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
			return address
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			t.Fatalf("Kafka did not answer within 90 s: %s", stderr.String())
		}
	}
}

// produce writes deploys as CloudEvents.
func produce(t *testing.T, broker, topic string, changes ...triage.Change) {
	t.Helper()
	client := &kafka.Client{Addr: kafka.TCP(broker), Timeout: 10 * time.Second}
	if _, err := client.CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 2, ReplicationFactor: 1}}}); err != nil {
		t.Fatal(err)
	}
	w := &kafka.Writer{Addr: kafka.TCP(broker), Topic: topic, RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond}
	defer w.Close()
	var msgs []kafka.Message
	for _, c := range changes {
		body, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, kafka.Message{Key: []byte(c.Service), Value: body, Headers: []kafka.Header{
			{Key: "ce_specversion", Value: []byte("1.0")},
			{Key: "ce_id", Value: []byte(c.ID)},
			{Key: "ce_source", Value: []byte("/ci")},
			{Key: "ce_type", Value: []byte("dev.triaged.change.v1")},
			{Key: "content-type", Value: []byte("application/json")},
		}})
	}
	eventually(t, 30*time.Second, "Kafka takes the deploys", func() error { // a new topic has no leader for a moment
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return w.WriteMessages(ctx, msgs...)
	})
}

// hook posts a signed webhook that must be taken.
func (a asker) hook(t *testing.T, path string, header http.Header, body []byte) string {
	t.Helper()
	status, answer := a.tryHook(t, path, header, body)
	if status != http.StatusOK {
		t.Fatalf("%s: %d: %s", path, status, answer)
	}
	return answer
}

// tryHook posts a signed webhook.
func (a asker) tryHook(t *testing.T, path string, header http.Header, body []byte) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, string(a)+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func hmacHex(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// flagTurnedOn is LaunchDarkly's webhook.
func flagTurnedOn(flag string, at time.Time) (http.Header, []byte) {
	body := fmt.Appendf(nil, `{"_id":"65e3","date":%d,"kind":"flag","name":%[2]q,"titleVerb":"turned on the flag","description":"",
"accesses":[{"action":"updateOn","resource":"proj/shop:env/production:flag/%[2]s"}],
"member":{"email":"jane@example.com"},"_links":{"site":{"href":"/shop/production/features/%[2]s"}},
"currentVersion":{"environments":{"production":{"on":true}}},"previousVersion":{"environments":{"production":{"on":false}}}}`, at.UnixMilli(), flag)
	return http.Header{"Content-Type": {"application/json"}, "X-Ld-Signature": {hmacHex("ld-secret", body)}}, body
}

// configPush is GitHub's webhook for a push to a configuration file.
func configPush(at time.Time) (http.Header, []byte) {
	commit := map[string]any{
		"id": "1111111111111111111111111111111111111111", "message": "search: page size", "timestamp": at.Format(time.RFC3339),
		"added": []string{}, "removed": []string{}, "modified": []string{"config/search.yml"}, "author": map[string]string{"name": "Jane", "email": "jane@example.com"},
		"url": "https://github.com/acme/search/commit/1111111",
	}
	body, err := json.Marshal(map[string]any{
		"ref": "refs/heads/main", "before": strings.Repeat("2", 40), "after": strings.Repeat("1", 40), "created": false, "deleted": false, "forced": false,
		"repository": map[string]any{"id": 2, "name": "search", "full_name": "acme/search", "default_branch": "main", "html_url": "https://github.com/acme/search", "owner": map[string]string{"login": "acme", "name": "acme"}, "pushed_at": at.Unix()},
		"pusher":     map[string]string{"name": "jane"}, "commits": []any{commit}, "head_commit": commit, "compare": "https://github.com/acme/search/compare/222...111",
	})
	if err != nil {
		panic(err)
	}
	return http.Header{
		"Content-Type": {"application/json"}, "X-Github-Event": {"push"}, "X-Github-Delivery": {"push-1"},
		"X-Hub-Signature-256": {"sha256=" + hmacHex(githubSecret, body)},
	}, body
}

// quietGitHub is GitHub's API of a repository without deployments whose branch stands where it was pushed.
func quietGitHub(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch path := strings.TrimPrefix(r.URL.Path, "/api/v3"); {
	case path == "/repos/acme/search":
		_, _ = io.WriteString(w, `{"id":2,"name":"search","full_name":"acme/search","default_branch":"main"}`)
	case strings.Contains(path, "/commits/"):
		_, _ = io.WriteString(w, strings.Repeat("1", 40))
	case strings.Contains(path, "/compare/"):
		_, _ = io.WriteString(w, `{"status":"identical","ahead_by":0,"total_commits":0,"commits":[],"files":[]}`)
	default:
		_, _ = io.WriteString(w, `[]`)
	}
}

// kubeState is kube-state-metrics' page: the rollout of search, which is not guilty.
func kubeState(created time.Time) string {
	return fmt.Sprintf(`# TYPE kube_replicaset_created gauge
kube_replicaset_created{namespace="shop",replicaset="search-7d9f8b6c5d"} %d
kube_replicaset_created{namespace="shop",replicaset="search-5c6b7d8f9"} %d
# TYPE kube_replicaset_owner gauge
kube_replicaset_owner{namespace="shop",replicaset="search-7d9f8b6c5d",owner_kind="Deployment",owner_name="search"} 1
kube_replicaset_owner{namespace="shop",replicaset="search-5c6b7d8f9",owner_kind="Deployment",owner_name="search"} 1
# TYPE kube_pod_owner gauge
kube_pod_owner{namespace="shop",pod="search-5c6b7d8f9-b4b5b",owner_kind="ReplicaSet",owner_name="search-5c6b7d8f9"} 1
# TYPE kube_pod_container_info gauge
kube_pod_container_info{namespace="shop",pod="search-5c6b7d8f9-b4b5b",container="search",image="reg.example/search:v9"} 1
`, created.Add(-100*time.Hour).Unix(), created.Unix())
}

// shopPast is an hour of the shop being well, in the series that will be scraped.
func shopPast(instance string, to time.Time) string {
	var b strings.Builder
	b.WriteString("# TYPE http_requests counter\n")
	for _, service := range []string{"checkout", "pricing", "search"} {
		for code, rate := range map[string]float64{"200": 99.8, "500": 0.2} {
			for at := to.Add(-time.Hour); at.Before(to); at = at.Add(5 * time.Second) {
				fmt.Fprintf(&b, "http_requests_total{job=\"shop\",instance=%q,service=%q,code=%q} %g %d\n", instance, service, code, rate*at.Sub(to.Add(-time.Hour)).Seconds(), at.Unix())
			}
		}
	}
	b.WriteString("# EOF\n")
	return b.String()
}

// pipe is the whole stack around one daemon.
type pipe struct {
	*daemonProcess
	app   *shop
	slack *slackServer
	pager *pagerDuty
}

// startPipe starts Kafka, Prometheus and Alertmanager, the real ones, a Slack and a PagerDuty that check what they get, and a
// daemon wired to all of them as docs/hooks.md and configs/triaged.yml say.
func startPipe(t *testing.T, deploys []triage.Change) *pipe {
	t.Helper()
	prometheusPath, promtool, alertmanagerPath := peer(t, "prometheus"), peer(t, "promtool"), peer(t, "prometheus-alertmanager")
	p := &pipe{app: startShop(t), slack: startSlack(t), pager: startPagerDuty(t)}
	broker := startKafka(t)
	produce(t, broker, "deploys", deploys...)
	github := httptest.NewServer(http.HandlerFunc(quietGitHub))
	t.Cleanup(github.Close)
	ksm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, kubeState(deploys[0].StartedAt.Add(2*time.Minute)))
	}))
	t.Cleanup(ksm.Close)

	dir := t.TempDir()
	am, prom := freePort(t), freePort(t)
	write(t, filepath.Join(dir, "catalog-info.yaml"), `
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: checkout}
spec: {owner: group:default/team-checkout, dependsOn: [component:pricing]}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: pricing, annotations: {slack.com/channel: "#pricing-oncall"}}
spec: {owner: group:default/team-pricing}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: search}
spec: {owner: group:default/team-search}
`)
	p.daemonProcess = startDaemonIn(t, dir, fmt.Sprintf(`
catalog: [catalog-info.yaml]
global: {external_url: https://triaged.example.com}
sources:
  kafka: [{name: kafka, brokers: [%q], topics: [{topic: deploys, format: cloudevents}], start: earliest}]
  github:
    - name: github
      token: x
      api_url: %q
      poll_interval: 0s
      webhook: {secret: %s}
      repositories: [{name: acme/search, service: search, environment: production, config_paths: ['config/**'], applied_on_push: true}]
  prometheus: [{name: prometheus, url: "http://%s", scope: {environment: production}, changes: {enabled: true, interval: 10s}, topology: {enabled: false}, queries_per_minute: 2000}]
  alertmanager: [{name: alertmanager, url: "http://%s"}]
hooks: [{name: launchdarkly, type: launchdarkly, secret: ld-secret, flags: {new-pricing: pricing}}]
incidents: {second_looks: []}
route: {receiver: oncall, mode: live}
receivers:
  - name: oncall
    slack_configs: [{token: xoxb-test, channel: C0123456789, api_url: "%s/"}]
    pagerduty_configs: [{token: pd-test, from: triaged@example.com, api_url: %q}]
`, broker, github.URL, githubSecret, prom, am, p.slack.URL, p.pager.URL))

	start(t, alertmanagerPath,
		"--config.file="+write(t, filepath.Join(dir, "alertmanager.yml"), fmt.Sprintf(`
route:
  receiver: nobody
  group_by: [alertname]
  group_wait: 1s
  group_interval: 5s
  routes:
    - {receiver: triaged, continue: true, group_by: [alertname, service]}
    - {matchers: ['severity="page"'], receiver: pager}
receivers:
  - name: nobody
  - {name: triaged, webhook_configs: [{url: "%s/api/v1/alerts", send_resolved: true}]}
  - {name: pager, pagerduty_configs: [{routing_key: 00000000000000000000000000000000, url: "%s/v2/enqueue"}]}
`, p.asker, p.pager.URL)),
		"--storage.path="+filepath.Join(dir, "am"), "--web.listen-address="+am, "--cluster.listen-address=")

	target := strings.TrimPrefix(p.app.server.URL, "http://")
	past := write(t, filepath.Join(dir, "past.om"), shopPast(target, time.Now().Add(-2*time.Second)))
	if out, err := exec.CommandContext(t.Context(), promtool, "tsdb", "create-blocks-from", "openmetrics", past, filepath.Join(dir, "tsdb")).CombinedOutput(); err != nil {
		t.Fatalf("write the past: %v: %s", err, out)
	}
	write(t, filepath.Join(dir, "rules.yml"), `
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: CheckoutErrorRatioHigh
        expr: |
          sum by (service) (rate(http_requests_total{service="checkout",code=~"5.."}[20s]))
            / sum by (service) (rate(http_requests_total{service="checkout"}[20s])) > 0.05
        for: 40s
        labels: {severity: page, environment: production}
        annotations: {summary: "checkout fails"}
`)
	start(t, prometheusPath, "--config.file="+write(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs:
  - {job_name: shop, static_configs: [{targets: [%q]}]}
  - {job_name: kube-state-metrics, static_configs: [{targets: [%q]}]}
`, am, target, strings.TrimPrefix(ksm.URL, "http://"))), "--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+prom)
	return p
}

// From four kinds of source to the two places where on-call is: deploys over Kafka, a configuration push by GitHub's webhook, a
// rollout seen by kube-state-metrics and a flag by LaunchDarkly's hook; real Kafka, Prometheus and Alertmanager. The flag is
// guilty and must come first; Slack gets one message, and PagerDuty a note on the incident that Alertmanager opened there.
//
// The rule waits 40 s so that several samples show the shift: on one alone no reversal is advised, as it should be.
func TestWholePipe(t *testing.T) {
	if testing.Short() {
		t.Skip("takes more than a minute: the rule waits")
	}
	t.Parallel()
	began := time.Now().UTC()
	p := startPipe(t, []triage.Change{
		{ID: "ci:1", Kind: triage.KindDeploy, Status: triage.StatusSucceeded, Scope: triage.Scope{Service: "checkout", Environment: "production"}, StartedAt: began.Add(-25 * time.Minute), FinishedAt: began.Add(-24 * time.Minute), Version: "v41", PreviousVersion: "v40", Title: "checkout v41"},
		{ID: "ci:2", Kind: triage.KindDeploy, Status: triage.StatusSucceeded, Scope: triage.Scope{Service: "frontend", Environment: "production"}, StartedAt: began.Add(-10 * time.Minute), FinishedAt: began.Add(-8 * time.Minute), Version: "v7", Title: "frontend v7"},
	})
	header, body := configPush(began.Add(-time.Minute))
	p.hook(t, "/hooks/github", header, body)

	eventually(t, 60*time.Second, "deploys from Kafka, push from GitHub and rollout from Prometheus are known", func() error {
		var page struct{ Items []triage.Change }
		if err := p.get("/api/v1/changes?limit=100", &page); err != nil {
			return err
		}
		sources := make(map[string]int)
		for _, c := range page.Items {
			sources[c.Source]++
		}
		if sources["kafka"] != 2 || sources["github"] != 1 || sources["prometheus"] != 1 {
			return fmt.Errorf("changes by source: %v", sources)
		}
		return nil
	})
	flipped := time.Now().UTC()
	header, body = flagTurnedOn("new-pricing", flipped)
	p.hook(t, "/hooks/launchdarkly", header, body)
	time.Sleep(2 * time.Second) // the errors follow the flag, not the other way round
	p.app.broken.Store(true)
	onset := time.Now().UTC()

	inc, rep := firstReport(t, p.asker, 2*time.Minute)
	shown, _ := json.MarshalIndent(rep, "", " ")
	if l := rep.Leader(); l == nil || l.ID() != "launchdarkly:65e3" || l.Change.Service != "pricing" {
		t.Errorf("want the flag first, got\n%s", shown)
	}
	if rep.Recommendation.Action != triage.ActionFlagOff || rep.Recommendation.Owner == "" {
		t.Errorf("want the flag set back and an owner from the catalogue, got %+v", rep.Recommendation)
	}
	if d := rep.Onset.Best.Sub(onset).Abs(); d > 15*time.Second {
		t.Errorf("best onset %s is %s away from the truth", rep.Onset.Best, d)
	}
	for _, c := range rep.Coverage {
		if c.State != triage.SourceOK {
			t.Errorf("coverage says %s of %s: %s", c.State, c.Source, c.Detail)
		}
	}
	var known triage.Change
	if err := p.get("/api/v1/changes/launchdarkly:65e3", &known); err != nil || known.Source != "launchdarkly" || known.Labels["service_from"] == "" {
		t.Errorf("the flag as it is kept: %+v (%v)", known, err)
	}

	eventually(t, 60*time.Second, "both channels have it", func() error {
		roots, _ := p.slack.visible()
		if notes := p.pager.written(); len(roots) != 1 || len(notes) != 1 {
			return fmt.Errorf("%d messages, notes %v", len(roots), notes)
		}
		return nil
	})
	roots, _ := p.slack.visible()
	card := slackText(t, roots[0])
	for _, want := range []string{"checkout", "LIKELY", "new-pricing", "DO", "OWNER", "team-pricing"} {
		if !strings.Contains(card, want) {
			t.Errorf("want %q on the card", want)
		}
	}
	for _, never := range []string{"jane", "root cause", "@here", "%)"} {
		if strings.Contains(card, never) {
			t.Errorf("%q must never be on a card", never)
		}
	}
	t.Logf("the card in Slack:\n%s", card)

	// The incident was opened under the pager's own key, which is not ours, and that is where the note went.
	ours := sha256.Sum256([]byte(inc.Alerts[0].GroupKey))
	for key, notes := range p.pager.written() {
		if key == hex.EncodeToString(ours[:]) {
			t.Error("the pager's key is ours: the two routes group alike, and nothing was proven")
		}
		if len(notes) != 1 || !strings.Contains(notes[0], "LIKELY: flag new-pricing") {
			t.Errorf("notes: %q", notes)
		}
	}
	if p.pager.mu.Lock(); len(p.pager.changes) != 0 {
		t.Errorf("want no change event beside the note, got %v", p.pager.changes)
	}
	p.pager.mu.Unlock()
}

// slackText is a message as people read it: the text of its blocks.
func slackText(t *testing.T, m slackMessage) string {
	t.Helper()
	var blocks []struct {
		Type     string
		Text     struct{ Text string }
		Elements []struct {
			URL  string
			Text json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(m.Blocks), &blocks); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, b := range blocks {
		if b.Text.Text != "" {
			lines = append(lines, b.Text.Text)
		}
		for _, e := range b.Elements {
			var label struct{ Text string }
			var text string
			if json.Unmarshal(e.Text, &label) == nil && label.Text != "" {
				text = "[" + label.Text + "] " + e.URL
			} else if json.Unmarshal(e.Text, &text) != nil {
				continue
			}
			lines = append(lines, text)
		}
	}
	return strings.Join(lines, "\n")
}
