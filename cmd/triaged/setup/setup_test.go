package setup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/configs"
)

// serve is a Prometheus that sends to one Alertmanager with the configuration given.
func serve(t *testing.T, original string, severities ...string) (prometheus string) {
	t.Helper()
	am := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"config": map[string]string{"original": original}, "versionInfo": map[string]string{"version": "0.25.0"}})
	}))
	t.Cleanup(am.Close)
	var rules []any
	for i, s := range severities {
		rules = append(rules, map[string]any{
			"type": "alerting", "name": fmt.Sprintf("A%d", i), "query": "up == 0", "duration": 0, "labels": map[string]string{"severity": s},
			"annotations": map[string]string{}, "alerts": []any{}, "health": "ok", "state": "inactive", "lastEvaluation": "2026-03-01T00:00:00Z",
		})
	}
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data := any([]string{})
		switch path := r.URL.Path; {
		case strings.HasSuffix(path, "/__name__/values"):
			data = []string{"http_requests_total"}
		case strings.HasSuffix(path, "/values"):
			data = []string{"checkout", "no", "on: [x"} // names that YAML would read otherwise
		case strings.HasSuffix(path, "/labels"):
			data = []string{"service", "code"}
		case strings.HasSuffix(path, "/status/config"):
			data = map[string]string{"yaml": "global: {scrape_interval: 15s, external_labels: {cluster: \"prod\\neu1\"}}"}
		case strings.HasSuffix(path, "/rules"):
			data = map[string]any{"groups": []any{map[string]any{"name": "g", "file": "f", "interval": 30, "rules": rules}}}
		case strings.HasSuffix(path, "/alertmanagers"):
			data = map[string]any{"activeAlertmanagers": []any{map[string]string{"url": am.URL + "/api/v2/alerts"}}}
		case strings.HasSuffix(path, "/query"):
			data = map[string]any{"resultType": "vector", "result": []any{}}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data})
	}))
	t.Cleanup(p.Close)
	return p.URL
}

func initialise(t *testing.T, o Options) (dir, said string) {
	t.Helper()
	var out bytes.Buffer
	o.Output, o.Out, o.HTTPConfig = filepath.Join(t.TempDir(), "out"), &out, config.DefaultHTTPClientConfig
	o.Now = func() time.Time { return time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC) }
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o.Output, out.String()
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// amtool checks a configuration where it is installed.
func amtool(t *testing.T, dir string) {
	t.Helper()
	path, err := exec.LookPath("amtool")
	if err != nil {
		if os.Getenv("REQUIRE_PEERS") == "1" {
			t.Fatal("amtool is not installed and REQUIRE_PEERS=1")
		}
		t.Log("amtool is not installed: the Alertmanager's configuration is not checked")
		return
	}
	if out, err := exec.CommandContext(t.Context(), path, "check-config", filepath.Join(dir, AlertmanagerFile)).CombinedOutput(); err != nil {
		t.Errorf("amtool: %v\n%s\n%s", err, out, read(t, dir, AlertmanagerFile))
	}
}

const withPager = `global: {resolve_timeout: 5m}
route:
  receiver: chat
  routes:
    - receiver: oncall
      matchers: ['severity=~"sev1|sev2"']
receivers:
  - name: chat
    slack_configs: [{api_url: <secret>, channel: '#x'}]
  - name: oncall
    pagerduty_configs: [{routing_key: <secret>}]
`

func TestWebhookGoesIntoThePagersReceiver(t *testing.T) {
	dir, said := initialise(t, Options{Prometheus: serve(t, withPager, "sev1", "sev2", "ticket"), Triaged: "http://triaged.example:9792/"})
	cfg, err := configs.Load(filepath.Join(dir, ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	if !cfg.Incidents.Pages.All(map[string]string{"severity": "sev2"}) || cfg.Incidents.Pages.All(map[string]string{"severity": "ticket"}) {
		t.Errorf("pages: %v", cfg.Incidents.Pages)
	}
	if len(cfg.Services) != 3 || len(cfg.Auth.Tokens) != 4 || len(cfg.Sources.Alertmanager) != 1 {
		t.Errorf("services %v, %d tokens, %d alertmanagers", cfg.Services, len(cfg.Auth.Tokens), len(cfg.Sources.Alertmanager))
	}
	for _, tok := range cfg.Auth.Tokens { // people look and answer with one that is not admin
		if filepath.Base(tok.TokenFile) == readToken && (!slices.Equal(tok.Scopes, []api.Scope{api.ScopeRead, api.ScopeFeedback}) || strings.TrimSpace(read(t, dir, readToken)) == strings.TrimSpace(read(t, dir, adminToken))) {
			t.Errorf("the token for people: %+v", tok)
		}
	}
	info, err := os.Stat(filepath.Join(dir, adminToken))
	if err != nil || info.Mode().Perm() != 0o600 || len(strings.TrimSpace(read(t, dir, adminToken))) < 32 {
		t.Errorf("admin token: %v %v", info, err)
	}
	am := Alertmanager{Original: read(t, dir, AlertmanagerFile)}
	if err := am.parse(); err != nil {
		t.Fatal(err)
	}
	if to := am.Tells(); !to.Found || !to.Resolved || len(to.Receivers) != 1 || to.Receivers[0] != "oncall" {
		t.Errorf("webhooks: %+v", to)
	}
	for _, want := range []string{"the receiver oncall", "http://triaged.example:9792/api/v1/alerts", "credentials_file: alertmanager.token", "triaged doctor"} {
		if !strings.Contains(said, want) {
			t.Errorf("want %q in\n%s", want, said)
		}
	}
	amtool(t, dir)
}

// Where nobody pages, triaged gets a first route that lets the others go on, and what the root took still reaches its receiver.
func TestReceiverOfItsOwn(t *testing.T) {
	const plain = "route: {receiver: mail}\nreceivers: [{name: mail}]\n"
	dir, _ := initialise(t, Options{Prometheus: serve(t, plain, "warning"), Triaged: "http://127.0.0.1:9792"})
	am := Alertmanager{Original: read(t, dir, AlertmanagerFile)}
	if err := am.parse(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range am.Receivers(map[string]string{"alertname": "X"}) {
		names = append(names, r.Name)
	}
	if strings.Join(names, ",") != "triaged,mail" {
		t.Errorf("an alert reaches %v, want triaged and mail", names)
	}
	if _, err := os.Stat(filepath.Join(dir, adminToken)); err != nil {
		t.Errorf("a token is needed on this machine, too: %v", err)
	}
	amtool(t, dir)
}

func TestNoAlertmanagerKnown(t *testing.T) {
	url := serve(t, "route: {receiver: x}\nreceivers: [{name: x}]\n", "page")
	dir, said := initialise(t, Options{Prometheus: url, Alertmanagers: []string{"http://127.0.0.1:1"}, Triaged: "http://127.0.0.1:9792"})
	if !strings.Contains(said, "127.0.0.1:1") {
		t.Errorf("it must say that the Alertmanager did not answer:\n%s", said)
	}
	amtool(t, dir)
}

// The command line that is printed is whole: behind a URL that other machines use, a daemon on loopback would refuse them all.
func TestCommandLineListensWhereItIsPromised(t *testing.T) {
	for triaged, want := range map[string]string{
		"http://127.0.0.1:9792":            "triaged.yml\n",
		"http://triaged:9800":              "triaged.yml --web.listen-address=:9800\n",
		"https://ops.example.com/triaged/": "triaged.yml --web.listen-address=:9792\n   and have the proxy at https://ops.example.com/triaged pass on to that port",
	} {
		f := &found{o: Options{Triaged: strings.TrimRight(triaged, "/"), Output: "out"}}
		if got := f.serve() + "\n"; !strings.Contains(got, want) {
			t.Errorf("%s: want %q in %q", triaged, want, got)
		}
	}
}

func TestNothingIsWrittenOver(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ConfigFile), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Prometheus: serve(t, withPager, "page"), Triaged: "http://127.0.0.1:9792", Output: dir, Out: &bytes.Buffer{}, HTTPConfig: config.DefaultHTTPClientConfig}
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--force") || read(t, dir, ConfigFile) != "mine" {
		t.Errorf("want a refusal that names --force, got %v", err)
	}
}

// http_config is copied as it stands: read back it would have lost its secrets.
func TestHTTPConfigIsCopied(t *testing.T) {
	file := filepath.Join(t.TempDir(), "http.yml")
	if err := os.WriteFile(file, []byte("basic_auth:\n  username: bob\n  password: hunter2hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, _ := initialise(t, Options{Prometheus: serve(t, withPager, "page"), Triaged: "http://127.0.0.1:9792", HTTPFile: file})
	cfg, err := configs.Load(filepath.Join(dir, ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	if b := cfg.Sources.Prometheus[0].HTTPConfig.BasicAuth; b == nil || string(b.Password) != "hunter2hunter2" {
		t.Errorf("basic_auth: %+v", b)
	}
	if info, err := os.Stat(filepath.Join(dir, ConfigFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a file with a password is for its owner only: %v %v", info.Mode(), err)
	}
}

func TestSplitMatchers(t *testing.T) {
	for in, want := range map[string]string{
		`severity="page"`:                     `severity="page"`,
		`{severity="page", team=~"a|b"}`:      `severity="page"|team=~"a|b"`,
		`{note="a, b", x!="y",z!~"1"}`:        `note="a, b"|x!="y"|z!~"1"`,
		`severity=~"page|critical",team="db"`: `severity=~"page|critical"|team="db"`,
	} {
		if got := strings.Join(splitMatchers(in), "|"); got != want {
			t.Errorf("%s: want %s, got %s", in, want, got)
		}
	}
}
