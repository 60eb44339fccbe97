package doctor

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/api"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is everything the doctor can ask: a Prometheus, its Alertmanager, GitHub and a daemon, all well at first.
type world struct {
	t       *testing.T
	metrics []string
	rules   []map[string]any
	labels  map[string]string // of the series behind a rule
	edges   bool
	refuse  int           // status of the Prometheus
	skew    time.Duration // of its clock
	hook    string        // of the Alertmanager's receiver
	expires string        // header of GitHub
	daemon  map[string]any
	config  string
	files   map[string]string

	prom, am, git, our *httptest.Server
}

func rule(name, severity string) map[string]any {
	return map[string]any{
		"type": "alerting", "name": name, "query": `sum by (service) (rate(http_requests_total{code=~"5.."}[5m])) > 1`, "duration": 60.0,
		"labels": map[string]string{"severity": severity}, "annotations": map[string]string{}, "alerts": []any{}, "health": "ok",
		"evaluationTime": 0.01, "lastEvaluation": now.Format(time.RFC3339), "state": "inactive",
	}
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, labels: map[string]string{"service": "checkout"}, edges: true,
		metrics: []string{"http_requests_total", "kube_replicaset_created", "kube_replicaset_owner", "kube_configmap_metadata_resource_version", "traces_service_graph_request_total"},
		rules:   []map[string]any{rule("High5xx", "page"), rule("Slow", "page"), rule("Watchdog", "none")},
		hook:    "webhook_configs: [{url: 'http://triaged.example:9792/api/v1/alerts', send_resolved: true}]",
		files:   map[string]string{"github.token": "ghp_0123456789abcdef"},
	}
	ok := func(items ...any) any { return map[string]any{"items": append([]any{}, items...)} }
	w.daemon = map[string]any{
		"/-/ready":           map[string]any{"ready": true, "checks": []any{map[string]any{"name": "collector", "ok": true}}},
		"/api/v1/sources":    ok(map[string]any{"name": "push", "type": "push", "state": "ok", "events": 4}),
		"/api/v1/changes":    ok(map[string]any{"kind": "deploy", "source": "push"}),
		"/api/v1/incidents":  ok(map[string]any{"service": "checkout", "alerts": []any{map[string]any{"labels": map[string]string{"alertname": "High5xx"}}}}),
		"/api/v1/deliveries": ok(),
	}
	serve := func(f http.HandlerFunc) *httptest.Server {
		s := httptest.NewServer(f)
		t.Cleanup(s.Close)
		return s
	}
	w.prom, w.am, w.git, w.our = serve(w.prometheus), serve(w.alertmanager), serve(w.github), serve(w.triaged)
	w.config = `
global: {external_url: "http://triaged.example"}
sources:
  prometheus: [{name: prometheus, url: "` + w.prom.URL + `"}]
  github: [{name: github, api_url: "` + w.git.URL + `", token_file: github.token, repositories: [{name: acme/checkout}]}]
incidents: {pages: ['severity="page"']}
route: {receiver: log, mode: live}
receivers: [{name: log, log_configs: [{card: true}]}]
`
	return w
}

func answer(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(v)
}

func (w *world) prometheus(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Date", now.Add(w.skew).UTC().Format(http.TimeFormat))
	if w.refuse != 0 {
		rw.WriteHeader(w.refuse)
		return
	}
	data := func(v any) { answer(rw, map[string]any{"status": "success", "data": v}) }
	_ = r.ParseForm()
	switch path := r.URL.Path; {
	case path == "/api/v1/label/__name__/values":
		data(w.metrics)
	case strings.HasSuffix(path, "/values"):
		data([]string{"checkout", "pricing"})
	case path == "/api/v1/labels":
		data([]string{"service", "code", "client", "server"})
	case path == "/api/v1/status/config":
		data(map[string]string{"yaml": "global: {scrape_interval: 15s}"})
	case path == "/api/v1/rules":
		data(map[string]any{"groups": []any{map[string]any{"name": "g", "file": "f", "interval": 30.0, "rules": w.rules}}})
	case path == "/api/v1/alertmanagers":
		data(map[string]any{"activeAlertmanagers": []any{map[string]string{"url": w.am.URL + "/api/v2/alerts"}}, "droppedAlertmanagers": []any{}})
	case path == "/api/v1/query":
		result := []any{}
		if w.edges && strings.Contains(r.Form.Get("query"), "service_graph") {
			result = []any{map[string]any{"metric": map[string]string{"client": "checkout", "server": "pricing"}, "value": []any{now.Unix(), "1"}}}
		}
		data(map[string]any{"resultType": "vector", "result": result})
	case path == "/api/v1/query_range":
		var start float64
		fmt.Sscan(r.Form.Get("start"), &start)
		data(map[string]any{"resultType": "matrix", "result": []any{map[string]any{"metric": w.labels, "values": []any{[]any{start, "0.5"}}}}})
	default:
		http.NotFound(rw, r)
	}
}

func (w *world) alertmanager(rw http.ResponseWriter, _ *http.Request) {
	answer(rw, map[string]any{
		"config":      map[string]string{"original": "route: {receiver: oncall}\nreceivers:\n  - name: oncall\n    " + w.hook + "\n"},
		"versionInfo": map[string]string{"version": "0.25.0"},
	})
}

func (w *world) github(rw http.ResponseWriter, r *http.Request) {
	if w.expires != "" {
		rw.Header().Set("GitHub-Authentication-Token-Expiration", w.expires)
	}
	if r.Header.Get("Authorization") != "Bearer ghp_0123456789abcdef" {
		rw.WriteHeader(http.StatusUnauthorized)
	}
}

func (w *world) triaged(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	if v, ok := w.daemon[r.URL.Path]; ok {
		answer(rw, v)
		return
	}
	http.NotFound(rw, r)
}

func (w *world) examine(daemon bool) []Finding {
	dir := w.t.TempDir()
	for name, text := range w.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "triaged.yml")
	if err := os.WriteFile(file, []byte(w.config), 0o600); err != nil {
		w.t.Fatal(err)
	}
	o := Options{ConfigFile: file, Now: func() time.Time { return now }}
	if daemon {
		o.URL = w.our.URL
	}
	return Examine(w.t.Context(), o)
}

func wrongs(fs []Finding) (out []string) {
	for _, f := range fs {
		if f.Level == Wrong {
			out = append(out, f.Check)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestNothingIsWrongWhereAllIsWell(t *testing.T) {
	fs := newWorld(t).examine(true)
	var out bytes.Buffer
	if Print(&out, fs) {
		t.Errorf("something is wrong:\n%s", &out)
	}
}

// A server that sends its alerts straight to triaged needs no Alertmanager, and no hint about one.
func TestAlertsWithoutAnAlertmanager(t *testing.T) {
	w := newWorld(t)
	ours := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/openapi.yaml" {
			http.NotFound(rw, r)
			return
		}
		_, _ = rw.Write(api.OpenAPI())
	}))
	defer ours.Close()
	w.am.URL = ours.URL
	for _, f := range w.examine(true) {
		if f.Check == "alertmanager" && (f.Level != OK || !strings.Contains(f.Says, "is triaged itself")) {
			t.Errorf("got %+v", f)
		}
	}
}

func jwt(exp time.Time) string {
	part := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(map[string]string{"alg": "HS256"}) + "." + part(map[string]int64{"exp": exp.Unix()}) + ".c2ln"
}

// Each misconfiguration must be found, and nothing else be called wrong.
func TestEveryMisconfigurationIsFound(t *testing.T) {
	list := func(items ...any) any { return map[string]any{"items": items} }
	for _, tc := range []struct {
		name  string
		seed  func(*world)
		check string
		says  string
	}{
		{"unknown key", func(w *world) { w.config += "windw: {}\n" }, "configuration", "windw"},
		{"a team's file does not parse", func(w *world) {
			w.config += "team_files: [team.yml]\n"
			w.files["team.yml"] = "service: {}\n"
		}, "team files", "team.yml"},
		{"Prometheus refuses", func(w *world) { w.refuse = 401 }, "prometheus", "401"},
		{"no rule pages", func(w *world) {
			w.config = strings.Replace(w.config, `severity="page"`, `severity="p1"`, 1)
		}, "paging rules", "severities in use: none, page"},
		{"rules lead to no service", func(w *world) { w.labels = map[string]string{"instance": "10.0.0.1:9100"} }, "services of rules", "2 of 2"},
		{"a rule does not evaluate", func(w *world) {
			w.rules[1]["lastError"] = "many-to-many matching not allowed"
			w.rules[1]["health"] = "err"
		}, "rules", "many-to-many"},
		{"a rule takes longer than its interval", func(w *world) { w.rules[0]["evaluationTime"] = 41.0 }, "query cost", "41s"},
		{"clocks differ", func(w *world) { w.skew = -90 * time.Second }, "clock", "behind"},
		{"nobody says who calls whom", func(w *world) { w.edges = false }, "call graph", "nobody says"},
		{"no request metrics", func(w *world) {
			w.metrics = slices.DeleteFunc(slices.Clone(w.metrics), func(m string) bool { return m == "http_requests_total" || strings.HasPrefix(m, "traces") })
			w.config += "topology: {calls: {checkout: [pricing]}}\n"
		}, "signals", "no request metrics"},
		{"Alertmanager posts elsewhere", func(w *world) { w.hook = "webhook_configs: [{url: 'http://chat.example/hook'}]" }, "alertmanager", "none of its receivers"},
		{"Alertmanager keeps recoveries to itself", func(w *world) { w.hook = strings.Replace(w.hook, "true", "false", 1) }, "alertmanager", "resolved"},
		{"token file is missing", func(w *world) { delete(w.files, "github.token") }, "secrets", "cannot be read"},
		{"token file is empty", func(w *world) { w.files["github.token"] = "\n" }, "secrets", "is empty"},
		{"a token is about to expire", func(w *world) {
			w.config = strings.Replace(w.config, `url: "`+w.prom.URL+`"`, `url: "`+w.prom.URL+`", http_config: {authorization: {credentials_file: prom.token}}`, 1)
			w.files["prom.token"] = jwt(now.Add(3 * 24 * time.Hour))
		}, "secrets", "in 3 days"},
		{"GitHub's token is about to expire", func(w *world) { w.expires = "2026-03-04 08:00:00 UTC" }, "github", "in 2 days"},
		{"GitHub refuses the token", func(w *world) { w.files["github.token"] = "ghp_ffffffffffffffff" }, "github", "401"},
		{"routes lead nowhere", func(w *world) { w.config = strings.Replace(w.config, "receiver: log, ", "", 1) }, "route", "no route names one"},
		{"the daemon is not ready", func(w *world) {
			w.daemon["/-/ready"] = map[string]any{"checks": []any{map[string]any{"name": "collector", "reason": "kafka has not answered yet"}}}
		}, "ready", "kafka"},
		{"a source is silent", func(w *world) {
			w.daemon["/api/v1/sources"] = list(map[string]any{"name": "ci", "state": "silent", "usual_gap_s": 1200, "last_event": now.Add(-20 * time.Hour)})
		}, "sources", "silent for 20 h; usually something comes every 20 min"},
		{"records cannot be read", func(w *world) {
			w.daemon["/api/v1/sources"] = list(map[string]any{"name": "kafka", "state": "ok", "quarantined": 12})
		}, "quarantine", "12 of its records"},
		{"deploys do not arrive", func(w *world) { w.daemon["/api/v1/changes"] = list() }, "change kinds", "deploys"},
		{"incidents name no service", func(w *world) {
			w.daemon["/api/v1/incidents"] = list(map[string]any{"alerts": []any{map[string]any{"labels": map[string]string{"alertname": "Disk"}}}})
		}, "services of incidents", "like Disk"},
		{"posts are given up", func(w *world) {
			w.daemon["/api/v1/deliveries"] = list(map[string]any{"id": "d1", "receiver": "oncall/slack", "last_error": "channel_not_found"})
		}, "deliveries", "channel_not_found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			tc.seed(w)
			fs := w.examine(true)
			if got := wrongs(fs); !slices.Contains(got, tc.check) {
				t.Fatalf("want %q among what is wrong, got %q: %+v", tc.check, got, fs)
			}
			i := slices.IndexFunc(fs, func(f Finding) bool {
				return f.Level == Wrong && f.Check == tc.check && strings.Contains(f.Says, tc.says)
			})
			if i < 0 {
				t.Fatalf("no finding says %q: %+v", tc.says, fs)
			}
			if fs[i].Fix == "" || strings.Contains(fs[i].Fix, "\n") {
				t.Errorf("want one line on how to mend it, got %q", fs[i].Fix)
			}
			for _, f := range fs {
				if f.Level == Wrong && f.Check != tc.check && !explained(tc.check, f.Check) {
					t.Errorf("besides, %s is called wrong: %s", f.Check, f.Says)
				}
				if strings.Contains(f.Says+f.Fix, "ghp_") || strings.Contains(f.Says+f.Fix, "eyJ") {
					t.Errorf("a secret is shown: %+v", f)
				}
			}
		})
	}
}

// explained is what else goes wrong with it: a Prometheus that refuses shows no calls.
func explained(seed, other string) bool {
	return seed == "prometheus" && other == "call graph" || seed == "secrets" && other == "github"
}
