package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// command runs the real command and returns what it printed.
func runCommand(t *testing.T, wantCode int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), args, streams{strings.NewReader(""), &out, &errs}); code != wantCode {
		t.Fatalf("triaged %s ended with %d, want %d:\n%s%s", strings.Join(args, " "), code, wantCode, &out, &errs)
	}
	return out.String()
}

// serveFile runs the daemon over a configuration file until the test ends.
func serveFile(t *testing.T, file, address string) asker {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := &lockedBuffer{}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"serve", "--config.file=" + file, "--web.listen-address=" + address}, streams{strings.NewReader(""), log, log})
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("the daemon ended with %d", code)
		}
		if t.Failed() {
			t.Logf("log of the daemon:\n%s", log)
		}
	})
	d := asker("http://" + address)
	eventually(t, 10*time.Second, "the daemon answers", func() error { return d.get("/-/healthy", nil) })
	return d
}

const pagerConfig = `
route:
  receiver: chat
  group_by: [alertname]
  routes:
    - {receiver: oncall, matchers: ['severity="page"'], group_by: [service], group_wait: 1s, group_interval: 2s}
receivers:
  - name: chat
    slack_configs: [{api_url: 'http://127.0.0.1:1/chat', channel: '#alerts'}]
  - name: oncall
    pagerduty_configs: [{routing_key: 0123456789abcdef0123456789abcdef, url: 'http://127.0.0.1:1/pager'}]
`

// What init writes must work as it is: the daemon takes triaged.yml, the Alertmanager takes alertmanager.yml, and an alert
// that fires ends as a report that was recorded, not posted.
func TestInitWorksUnchanged(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Prometheus and two Alertmanagers")
	}
	prometheusPath, alertmanagerPath, amtool := peer(t, "prometheus"), peer(t, "prometheus-alertmanager"), peer(t, "amtool")
	app, dir := startShop(t), t.TempDir()
	amAddress, pAddress, ourAddress := freePort(t), freePort(t), freePort(t)
	am := func(name, config string) *process {
		return start(t, alertmanagerPath, "--config.file="+config, "--storage.path="+filepath.Join(dir, name), "--web.listen-address="+amAddress, "--cluster.listen-address=")
	}
	first := am("am1", write(t, filepath.Join(dir, "am.yml"), pagerConfig))
	write(t, filepath.Join(dir, "rules.yml"), `
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: CheckoutErrorRatioHigh
        expr: sum by (service) (rate(http_requests_total{service="checkout",code=~"5.."}[10s])) / sum by (service) (rate(http_requests_total{service="checkout"}[10s])) > 0.05
        labels: {severity: page}
      - {alert: Chatty, expr: 'absent(up)', labels: {severity: warning}}
`)
	start(t, prometheusPath, "--config.file="+write(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s, external_labels: {cluster: test}}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs: [{job_name: shop, static_configs: [{targets: [%q]}]}]
`, amAddress, strings.TrimPrefix(app.server.URL, "http://"))), "--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+pAddress)
	p := asker("http://" + pAddress)
	eventually(t, 20*time.Second, "Prometheus has scraped, and found the Alertmanager", func() error {
		var found struct {
			Data struct{ ActiveAlertmanagers []any }
		}
		var names struct{ Data []string }
		err := errors.Join(p.get("/api/v1/alertmanagers", &found), p.get("/api/v1/label/service/values", &names))
		if err == nil && (len(found.Data.ActiveAlertmanagers) == 0 || len(names.Data) < 3) {
			return errors.New("not yet")
		}
		return err
	})
	eventually(t, 10*time.Second, "Alertmanager is ready", func() error { return asker("http://"+amAddress).get("/-/ready", nil) })

	out := filepath.Join(dir, "written")
	said := runCommand(t, 0, "init", "--prometheus=http://"+pAddress, "--triaged-url=http://"+ourAddress, "--output="+out)
	if !strings.Contains(said, "3 services") || !strings.Contains(said, "the receiver oncall") {
		t.Errorf("init said:\n%s", said)
	}
	runCommand(t, 1, "init", "--prometheus=http://"+pAddress, "--output="+out) // never over what is there
	ours, amConfig := filepath.Join(out, "triaged.yml"), filepath.Join(out, "alertmanager.yml")
	runCommand(t, 0, "check-config", ours)
	if b, err := exec.CommandContext(t.Context(), amtool, "check-config", amConfig).CombinedOutput(); err != nil {
		t.Fatalf("amtool: %v\n%s", err, b)
	}
	text, err := os.ReadFile(ours)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `severity=~"page"`) {
		t.Errorf("want the severity that is routed to the pager, got\n%s", text)
	}

	_ = first.cmd.Process.Kill()
	_ = first.cmd.Wait()
	am("am2", amConfig)
	token, err := os.ReadFile(filepath.Join(out, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	serveFile(t, ours, ourAddress)
	if code, _, err := asker("http://"+ourAddress).do("GET", "/api/v1/incidents", nil); err != nil || code != http.StatusUnauthorized {
		t.Errorf("without a token: want 401, got %d, %v", code, err)
	}
	d := asker("http://any:" + strings.TrimSpace(string(token)) + "@" + ourAddress) // a token is also the password of basic authentication

	app.broken.Store(true)
	inc, rep := firstReport(t, d, 40*time.Second)
	if inc.Service != "checkout" || !inc.Pages || rep.Symptom.Service != "checkout" {
		t.Errorf("incident %+v\nreport %+v", inc, rep.Symptom)
	}
	var posted struct{ Items []triage.Delivery }
	eventually(t, 5*time.Second, "a delivery in shadow", func() error {
		if err := d.get("/api/v1/deliveries", &posted); err != nil || len(posted.Items) == 0 {
			return fmt.Errorf("%d deliveries: %w", len(posted.Items), err)
		}
		return nil
	})
	for _, x := range posted.Items {
		if x.State != triage.DeliveryShadow {
			t.Errorf("on a first install nothing is posted, got %+v", x)
		}
	}
	// The doctor finds the way from rule to report in order; only that nobody reports deploys, and who calls whom, is wrong here.
	var findings []struct{ Check, Level, Says string }
	if err := json.Unmarshal([]byte(runCommand(t, 1, "doctor", "--config.file="+ours, "--url=http://"+ourAddress, "--token-file="+filepath.Join(out, "admin.token"), "--format=json")), &findings); err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Level == "wrong" && f.Check != "change kinds" && f.Check != "call graph" {
			t.Errorf("the doctor calls %s wrong: %s", f.Check, f.Says)
		}
	}
}

// A route in shadow mode records; the digest tells what was kept back and how to promote it; promoted, it posts; the route beside
// it stays as it was.
func TestShadowDigestAndPromotion(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var posts []string
	digest := make(chan []byte, 1)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/lead" {
			digest <- body
			return
		}
		mu.Lock()
		defer mu.Unlock()
		posts = append(posts, r.URL.Path)
	}))
	defer hook.Close()
	due := time.Now().UTC().Add(30 * time.Second).Truncate(time.Minute).Add(time.Minute) // the next full minute that leaves time for the alerts
	config := func(mode string) string {
		return fmt.Sprintf(`
auth: {trust_loopback: true}
incidents: {second_looks: [], join_hops: 0, digest: {receiver: lead, at: %q}}
route:
  receiver: rest
  routes: [{matchers: ['service="payments"'], receiver: payments, mode: %s}]
receivers:
  - {name: rest, webhook_configs: [{url: %q, secret: 0123456789abcdef0123}]}
  - {name: payments, webhook_configs: [{url: %q, secret: 0123456789abcdef0123}]}
  - {name: lead, webhook_configs: [{url: %q, secret: 0123456789abcdef0123}]}
`, due.Format("15:04"), mode, hook.URL+"/rest", hook.URL+"/payments", hook.URL+"/lead")
	}
	file := write(t, filepath.Join(t.TempDir(), "triaged.yml"), config("shadow"))
	d := serveFile(t, file, freePort(t))
	deliveries := func(want int) map[string]int {
		out := make(map[string]int)
		eventually(t, 10*time.Second, fmt.Sprintf("%d deliveries settled", want), func() error {
			var list struct{ Items []triage.Delivery }
			if err := d.get("/api/v1/deliveries", &list); err != nil {
				return err
			}
			clear(out)
			settled := 0
			for _, x := range list.Items {
				name, _, _ := strings.Cut(x.Receiver, "/")
				out[name+" "+string(x.State)]++
				if x.State == triage.DeliveryShadow || x.State == triage.DeliveryDelivered {
					settled++
				}
			}
			if settled != want {
				return fmt.Errorf("%v", out)
			}
			return nil
		})
		return out
	}
	now := time.Now().UTC()
	d.post(t, "/api/v1/alerts", alertBody("Errors", "payments", now.Add(-20*time.Minute)))
	d.post(t, "/api/v1/alerts", alertBody("Errors", "checkout", now.Add(-20*time.Minute)))
	if got := deliveries(2); got["payments shadow"] != 1 || got["rest shadow"] != 1 {
		t.Errorf("before: %v", got)
	}
	select {
	case body := <-digest:
		for _, want := range []string{"2 posts about 2 incidents", "payments", "checkout", "mode: live"} {
			if !bytes.Contains(body, []byte(want)) {
				t.Errorf("the digest lacks %q:\n%s", want, body)
			}
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("no digest, which was due at %s", due)
	}
	write(t, file, config("live"))
	d.post(t, "/-/reload", nil)
	d.post(t, "/api/v1/alerts", alertBody("Slow", "payments", now))
	d.post(t, "/api/v1/alerts", alertBody("Slow", "checkout", now))
	got := deliveries(4)
	if got["payments delivered"] != 1 || got["rest shadow"] != 2 {
		t.Errorf("after: %v", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(posts) != 1 || posts[0] != "/payments" {
		t.Errorf("posted %v, want one to /payments", posts)
	}
}
