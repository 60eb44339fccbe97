package alertmanager

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// The keys we work out from a real Alertmanager's status are the dedup keys it sends to PagerDuty, for two routes of different
// grouping.
func TestRealAlertmanagerSendsTheseKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: no real peer is started")
	}
	path, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		if os.Getenv("REQUIRE_PEERS") == "1" {
			t.Fatal("REQUIRE_PEERS=1, and prometheus-alertmanager is not installed")
		}
		t.Skip("prometheus-alertmanager is not installed: nothing is tested against the real one")
	}
	t.Parallel()
	sent := make(chan string, 100)
	pagerduty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var ev struct {
			Dedup string `json:"dedup_key"`
		}
		_ = json.NewDecoder(r.Body).Decode(&ev)
		sent <- ev.Dedup
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"status":"success","message":"Event processed","dedup_key":"x"}`)
	}))
	defer pagerduty.Close()

	address := freeAddress(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "alertmanager.yml")
	pager := fmt.Sprintf("pagerduty_configs: [{routing_key: 00000000000000000000000000000000, url: %q}]", pagerduty.URL)
	if err := os.WriteFile(file, []byte(`
route:
  receiver: nobody
  group_by: [alertname]
  group_wait: 100ms
  group_interval: 1s
  routes:
    - {matchers: ['severity=~"page|critical"'], receiver: pager, continue: true, group_by: [alertname, service]}
    - {match: {severity: page}, match_re: {service: 'check.*'}, receiver: second, group_by: ['...']}
receivers:
  - name: nobody
  - {name: pager, `+pager+`}
  - {name: second, `+pager+`}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--config.file="+file, "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--cluster.listen-address=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()

	alert := triage.Alert{Labels: map[string]string{
		"alertname": "HighErrorRate", "service": "checkout", "severity": "page", "note": "say \"a\\b\"\nand more, {so=\"it\"}",
	}}
	body, err := json.Marshal([]any{map[string]any{"labels": alert.Labels}})
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, err := http.Post("http://"+address+"/api/v2/alerts", "application/json", strings.NewReader(string(body))) //nolint:noctx // ends with the test
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("Alertmanager does not take the alert: %v", err)
		}
		<-time.After(50 * time.Millisecond)
	}

	c := DefaultConfig()
	c.Name, c.URL = "real", "http://"+address
	p, err := New(Options{Configs: []Config{c}})
	if err != nil {
		t.Fatal(err)
	}
	want, err := p.DedupKeys(t.Context(), []triage.Alert{alert})
	if err != nil || len(want) != 2 {
		t.Fatalf("want two keys, got %v (%v)", want, err)
	}
	var got []string
	for len(got) < 2 {
		select {
		case k := <-sent:
			if !slices.Contains(got, k) {
				got = append(got, k)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("PagerDuty was told %v only; we worked out %v", got, want)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(want, got) {
		t.Errorf("we worked out %v, Alertmanager sent %v", want, got)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
