package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/journal"
	"github.com/triaged-dev/triaged/sources/mapping"
	"github.com/triaged-dev/triaged/triage"
)

// Whoever is shipped can be used by name, says how a sender proves itself, and is in the manual.
func TestEveryShippedMappingIsUsable(t *testing.T) {
	manual, err := os.ReadFile("../../docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	m := &mappings{compiled: make(map[string]*mapping.Mapping)}
	names := shippedNames()
	if len(names) < 10 {
		t.Fatalf("shipped: %v", names)
	}
	for _, name := range names {
		found, err := m.named(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(found.Auth()) == 0 {
			t.Errorf("%s does not say how its sender proves itself", name)
		}
		if !strings.Contains(string(manual), "`"+name+"`") {
			t.Errorf("docs/hooks.md does not name %s", name)
		}
	}
}

// What the snippet for Argo CD posts is what the hook of that name reads.
func TestArgoCDSnippet(t *testing.T) {
	raw, err := os.ReadFile("../../configs/hooks/senders/argocd-notifications-cm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cm struct{ Data map[string]string }
	if err := yaml.Unmarshal(raw, &cm); err != nil {
		t.Fatal(err)
	}
	var template struct {
		Webhook map[string]struct{ Method, Path, Body string }
	}
	if err := yaml.Unmarshal([]byte(cm.Data["template.triaged-change"]), &template); err != nil {
		t.Fatal(err)
	}
	w := template.Webhook["triaged"]
	if w.Method != "POST" || w.Path != "/hooks/argocd" || !strings.Contains(cm.Data["service.webhook.triaged"], "Bearer $triaged-token") {
		t.Errorf("template: %+v", w)
	}
	body := strings.NewReplacer(
		"{{ toJson .context.argocdUrl }}", `"https://argocd.example.com"`,
		"{{ toJson .app }}", `{"metadata":{"name":"checkout","namespace":"argocd"},"spec":{"destination":{"namespace":"shop"}},"status":{"operationState":{"phase":"Succeeded","startedAt":"2026-03-02T14:21:07Z","finishedAt":"2026-03-02T14:22:01Z"}}}`,
	).Replace(w.Body)
	d := startDaemon(t, "hooks: [{name: argocd, type: argocd, secret: tok, environment: production}]\n")
	d.hook(t, w.Path, map[string][]string{"Authorization": {"Bearer tok"}}, []byte(body))
	var c triage.Change
	if err := d.get("/api/v1/changes/argocd:argocd/checkout/2026-03-02T14:21:07Z", &c); err != nil {
		t.Fatal(err)
	}
	if c.Service != "checkout" || c.Environment != "production" || c.Status != triage.StatusSucceeded || c.Source != "argocd" {
		t.Errorf("got %+v", c)
	}
}

// A mapping of the user's own serves a hook and wins over a shipped one of its name; a broken one is told by check-config with
// its place.
func TestOwnMapping(t *testing.T) {
	dir := t.TempDir()
	const rules = "auth: [{scheme: token, header: X-Token}]\nrules:\n  - match: has(body.app)\n    change: {id: \"'own:' + body.app\", kind: deploy, service: body.app, started_at: received}\n"
	write(t, filepath.Join(dir, "gitlab.yaml"), rules)
	d := startDaemonIn(t, dir, "mappings: ['gitlab.yaml']\nhooks: [{name: a, type: gitlab, secret: s}, {name: b, mapping: gitlab.yaml, secret: s}]\n")
	for i, path := range []string{"/hooks/a", "/hooks/b"} {
		d.hook(t, path, map[string][]string{"X-Token": {"s"}}, []byte(`{"app":"app`+string(rune('0'+i))+`"}`))
		var c triage.Change
		if err := d.get("/api/v1/changes/own:app"+string(rune('0'+i)), &c); err != nil || time.Since(c.StartedAt) > time.Minute {
			t.Errorf("%s: %+v (%v)", path, c, err)
		}
	}
	broken := t.TempDir()
	write(t, filepath.Join(broken, "bad.yaml"), strings.Replace(rules, "has(body.app)", "has(body.app", 1))
	file := write(t, filepath.Join(broken, "triaged.yml"), "mappings: [bad.yaml]\n")
	out := &lockedBuffer{}
	if code := run(t.Context(), []string{"check-config", file}, streams{nil, out, out}); code != 1 || !strings.Contains(out.String(), "bad.yaml: rules[0].match") {
		t.Errorf("check-config: %d: %s", code, out)
	}
}

// What a mapping could not read is read again once the mapping is mended; a record that proves nothing new stays.
func TestRetryFromQuarantine(t *testing.T) {
	dir := t.TempDir()
	const rules = "auth: [{scheme: token, header: X-Token}]\nrules:\n  - match: headers['x-event'] == 'deploy'\n    change: {id: \"'own:' + body.app\", kind: deploy, service: body.app, started_at: received, title: body.NAME}\n"
	file := filepath.Join(dir, "own.yaml")
	write(t, file, strings.Replace(rules, "NAME", "heading", 1))
	d := startDaemonIn(t, dir, "hooks: [{name: own, mapping: own.yaml, secret: a-secret, environment: production}]\n")
	header := map[string][]string{"X-Token": {"a-secret"}, "X-Event": {"deploy"}}
	if status, answer := d.tryHook(t, "/hooks/own", header, []byte(`{"app":"checkout","title":"v2"}`)); status != 422 {
		t.Fatalf("want 422, got %d: %s", status, answer)
	}
	var list struct{ Items []triage.Quarantined }
	if err := d.get("/api/v1/quarantine", &list); err != nil || len(list.Items) != 1 || !strings.Contains(list.Items[0].Reason, "heading") {
		t.Fatalf("want one record with its reason, got %+v, %v", list, err)
	}
	q := list.Items[0]
	if q.Headers["x-event"] != "deploy" || strings.Contains(fmt.Sprint(q), "a-secret") {
		t.Errorf("want the header kept and the secret not: %+v", q)
	}
	retry := "/api/v1/quarantine/" + q.ID + "/retry"
	if status, answer, err := d.do("POST", retry, nil); err != nil || status != 409 || !strings.Contains(string(answer), "heading") {
		t.Errorf("not mended: want 409 with the reason, got %d: %s, %v", status, answer, err)
	}
	write(t, file, strings.Replace(rules, "NAME", "title", 1))
	d.post(t, "/-/reload", nil)
	d.post(t, retry, nil)
	var c triage.Change
	if err := d.get("/api/v1/changes/own:checkout", &c); err != nil || c.Environment != "production" || c.Title != "v2" || !c.StartedAt.Equal(q.RecordTime) {
		t.Errorf("want it as it would have been then, got %+v, %v", c, err)
	}
	if err := d.get("/api/v1/quarantine", &list); err != nil || len(list.Items) != 0 {
		t.Errorf("want an empty quarantine, got %+v, %v", list, err)
	}
}

// Alerts that an earlier version could not read are taken by the door they came through; what still cannot be read stays, whole.
func TestAlertsAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "data", "triaged.db")
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(t.Context(), journal.Options{Config: journal.Config{Path: file}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	began := time.Now().UTC().Add(-time.Minute).Truncate(time.Second)
	alert := fmt.Sprintf(`{"labels":{"alertname":"Errors","service":"NAME","severity":"page"},"startsAt":%q}`, began.Format(time.RFC3339))
	for id, body := range map[string]string{
		"webhook": `{"alerts":[` + strings.Replace(alert, "NAME", "checkout", 1) + `]}`,
		"list":    `[` + strings.Replace(alert, "NAME", "cart", 1) + `]`,
		"broken":  `{"alerts":[{"labels":{"alertname":7}}]}`,
	} {
		q := triage.Quarantined{ID: id, Source: api.AlertSource, Reason: "of an earlier version", At: began, RecordTime: began}
		q.SetBody([]byte(body))
		if err := j.Quarantine(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	<-ended
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	d := startDaemonIn(t, dir, "")
	for _, id := range []string{"webhook", "list"} {
		d.post(t, "/api/v1/quarantine/"+id+"/retry", nil)
	}
	if status, answer, err := d.do("POST", "/api/v1/quarantine/broken/retry", nil); err != nil || status != 409 || !strings.Contains(string(answer), "still cannot be read") {
		t.Errorf("want 409 with the reason, got %d: %s, %v", status, answer, err)
	}
	for _, service := range []string{"checkout", "cart"} {
		eventually(t, 30*time.Second, "an incident of "+service, func() error {
			var list struct{ Items []triage.Incident }
			if err := d.get("/api/v1/incidents?service="+service, &list); err != nil || len(list.Items) != 1 {
				return fmt.Errorf("%d incidents, %w", len(list.Items), err)
			}
			return nil
		})
	}
	var left struct{ Items []triage.Quarantined }
	if err := d.get("/api/v1/quarantine", &left); err != nil || len(left.Items) != 1 || left.Items[0].ID != "broken" || !strings.Contains(string(left.Items[0].Body), `"alertname":7`) {
		t.Errorf("want what cannot be read, whole: %+v, %v", left, err)
	}
}
