package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/api/apitest"
	"github.com/triaged-dev/triaged/triage"
)

// senders is a daemon with a hook for everybody whose shapes are tested here, as a user would configure it.
func sendersDaemon(t *testing.T, more string) *daemonProcess {
	t.Helper()
	return startDaemon(t, `
hooks:
  - {name: flux, type: flux, bearer_token: tok, environment: production}
  - {name: argocd, type: argocd, bearer_token: tok, environment: production}
  - {name: events, type: kubernetes-events, bearer_token: tok}
  - {name: launchdarkly, type: launchdarkly, bearer_token: tok, flags: {beta: checkout}}
  - {name: jenkins, type: jenkins, bearer_token: tok, service: checkout}
  - {name: ci, type: pagerduty, environment: production, routing_keys: [{key: 0123456789abcdef0123456789abcdef, service: checkout}]}
`+more)
}

var bearer = map[string][]string{"Authorization": {"Bearer tok"}, "Content-Type": {"application/json"}}

// changes asks for all there are.
func (d *daemonProcess) changes(t *testing.T) []triage.Change {
	t.Helper()
	var list struct{ Items []triage.Change }
	if err := d.get("/api/v1/changes?from=2020-01-01T00:00:00Z&limit=1000", &list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// One HelmRelease, the same chart, other values: two executions, and two changes. A rollback is a third, whatever it goes back to.
func TestHelmReleasesOfOneChartAreSeparateChanges(t *testing.T) {
	d := sendersDaemon(t, "")
	event := func(at, reason, message, token string) []byte {
		return []byte(`{"involvedObject":{"kind":"HelmRelease","namespace":"shop","name":"podinfo"},"severity":"info","timestamp":"` + at + `","message":"` + message +
			`","reason":"` + reason + `","metadata":{"revision":"6.3.5","token":"` + token + `"},"reportingController":"helm-controller"}`)
	}
	const upgraded = "Helm upgrade succeeded for release shop/podinfo"
	d.hook(t, "/hooks/flux", bearer, event("2026-11-27T15:00:00Z", "UpgradeSucceeded", upgraded+".v4 with chart podinfo@6.3.5", "sha256:aaa"))
	d.hook(t, "/hooks/flux", bearer, event("2026-11-27T15:10:00Z", "UpgradeSucceeded", upgraded+".v5 with chart podinfo@6.3.5", "sha256:bbb"))
	d.hook(t, "/hooks/flux", bearer, event("2026-11-27T15:20:00Z", "UpgradeSucceeded", upgraded, "sha256:ccc"))
	d.hook(t, "/hooks/flux", bearer, event("2026-11-27T15:20:00Z", "UpgradeSucceeded", upgraded, "sha256:ccc")) // delivered twice
	d.hook(t, "/hooks/flux", bearer, event("2026-11-27T15:30:00Z", "info", "Helm upgrade succeeded", ""))       // as old versions say it
	d.hook(t, "/hooks/flux", bearer, event("2026-11-27T15:40:00Z", "RollbackSucceeded", "Helm rollback to previous release shop/podinfo.v4 with chart podinfo@6.3.5 succeeded", "sha256:ddd"))
	got := d.changes(t)
	if len(got) != 5 {
		for _, c := range got {
			t.Logf("%s %s %s", c.ID, c.Kind, c.FinishedAt)
		}
		t.Errorf("want five changes, got %d", len(got))
	}
}

// What is told again with every interval moves nothing: neither what only says that all is well, nor a result told before.
func TestRepetitionsMoveNothing(t *testing.T) {
	d := sendersDaemon(t, "")
	event := func(at, severity, reason, message, meta string) []byte {
		return []byte(`{"involvedObject":{"kind":"Kustomization","namespace":"shop","name":"apps"},"severity":"` + severity + `","timestamp":"` + at + `","message":"` + message +
			`","reason":"` + reason + `","metadata":{"revision":"main@sha1:0123456789abcdef0123456789abcdef01234567"` + meta + `},"reportingController":"kustomize-controller"}`)
	}
	for _, at := range []string{"2026-11-27T15:00:00Z", "2026-11-27T15:10:00Z", "2026-11-27T15:20:00Z"} {
		for _, meta := range []string{`,"commit_status":"update"`, `,"kustomize.toolkit.fluxcd.io/commit_status":"update"`, ``} {
			if answer := d.hook(t, "/hooks/flux", bearer, event(at, "info", "ReconciliationSucceeded", "Reconciliation finished in 1.9s, next run in 10m0s", meta)); !strings.Contains(answer, "ignored") {
				t.Errorf("want it ignored, got %s", answer)
			}
		}
		d.hook(t, "/hooks/flux", bearer, event(at, "error", "HealthCheckFailed", "timeout waiting for: [Deployment/shop/cart status: 'InProgress']", ""))
	}
	got := d.changes(t)
	if len(got) != 1 || got[0].Status != triage.StatusFailed || got[0].FinishedAt.Format("15:04") != "15:00" {
		t.Errorf("want one failure that ended at 15:00, got %+v", got)
	}
}

func TestArgoCDWithSeveralSources(t *testing.T) {
	d := sendersDaemon(t, "")
	app := func(started, phase, more string) []byte {
		return []byte(`{"app":{"metadata":{"name":"multi","namespace":"argocd"},"spec":{"sources":[{"repoURL":"https://charts","chart":"x"},{"repoURL":"https://git","ref":"values"}]},
		 "status":{"summary":{"images":["reg/cart:v3","reg/sidecar:v1"]},
		 "history":[{"id":0,"revisions":["2.2.2","a9cc369644fe34f7a85942266ae0b1fcb26b1de1"]},{"id":1,"deployStartedAt":"2026-11-27T17:05:00Z","revisions":["2.2.3","b9cc369644fe34f7a85942266ae0b1fcb26b1de1"]}],
		 "operationState":{"phase":"` + phase + `","startedAt":"` + started + `","finishedAt":"2026-11-27T17:25:09Z","operation":{` + more + `"sync":{"revisions":["2.2.3","b9cc369644fe34f7a85942266ae0b1fcb26b1de1"]}},
		 "syncResult":{"revision":"","revisions":["2.2.3","b9cc369644fe34f7a85942266ae0b1fcb26b1de1"]}}}}}`)
	}
	d.hook(t, "/hooks/argocd", bearer, app("2026-11-27T17:05:00Z", "Succeeded", ""))
	d.hook(t, "/hooks/argocd", bearer, app("2026-11-27T17:20:00Z", "Succeeded", `"initiatedBy":{"automated":true},`))
	var c triage.Change
	if err := d.get("/api/v1/changes/argocd:argocd/multi/2026-11-27T17:05:00Z", &c); err != nil || c.Kind != triage.KindDeploy || c.Version != "2.2.3,b9cc369" || c.PreviousVersion != "2.2.2,a9cc369" {
		t.Errorf("want both revisions before and after, got %+v, %v", c, err)
	}
	if err := d.get("/api/v1/changes/argocd:argocd/multi/2026-11-27T17:20:00Z", &c); err != nil || c.Kind == triage.KindDeploy || c.Labels["controller"] != "argocd" || c.Labels["subkind"] != "self-heal" {
		t.Errorf("a sync that puts back what is there already is a reaction, got %+v, %v", c, err)
	}
}

func TestKubernetesEventsOfBothAPIs(t *testing.T) {
	d := sendersDaemon(t, "")
	const at = "2026-11-27T17:05:00Z"
	for name, body := range map[string]string{
		"cart-9d9f8b6c5d": `{"kind":"Event","apiVersion":"v1","metadata":{"namespace":"shop","creationTimestamp":"` + at + `"},"involvedObject":{"kind":"Deployment","namespace":"shop","name":"cart"},"reason":"ScalingReplicaSet","message":"Scaled up replica set cart-9d9f8b6c5d to 3 from 0"}`,
		"cart-7c8d9e6f5a": `{"kind":"Event","apiVersion":"events.k8s.io/v1","eventTime":null,"deprecatedLastTimestamp":"` + at + `","regarding":{"kind":"Deployment","namespace":"shop","name":"cart"},"reason":"ScalingReplicaSet","note":"Scaled up replica set cart-7c8d9e6f5a from 0 to 1"}`,
	} {
		d.hook(t, "/hooks/events", bearer, []byte(body))
		var c triage.Change
		if err := d.get("/api/v1/changes/kubernetes:shop/"+name, &c); err != nil || c.Kind != triage.KindDeploy || c.Service != "cart" || c.Status != triage.StatusStarted || c.StartedAt.Format("15:04") != "17:05" {
			t.Errorf("%s: want a rollout's first step, got %+v, %v", name, c, err)
		}
	}
}

func TestLaunchDarklySegment(t *testing.T) {
	d := sendersDaemon(t, "")
	d.hook(t, "/hooks/launchdarkly", bearer, []byte(`{"_id":"ld3","date":1795798200000,"kind":"segment","name":"beta","titleVerb":"updated the segment",
		"accesses":[{"action":"updateIncluded","resource":"proj/default:env/production:segment/beta"}]}`))
	var c triage.Change
	if err := d.get("/api/v1/changes/launchdarkly:ld3", &c); err != nil || c.Kind != triage.KindFlag || c.Labels["segment"] != "beta" || c.Environment != "production" || c.Service != "checkout" {
		t.Errorf("got %+v, %v", c, err)
	}
	if answer := d.hook(t, "/hooks/launchdarkly", bearer, []byte(`{"_id":"ld4","date":1795798200000,"kind":"segment","accesses":[{"action":"updateTags","resource":"proj/default:env/production:segment/beta"}]}`)); !strings.Contains(answer, "ignored") {
		t.Errorf("tags change nothing: %s", answer)
	}
}

// What a hook or a key says of the service counts before anything is required: PagerDuty's own example has none.
func TestHookDefaultsThroughTheDoor(t *testing.T) {
	d := sendersDaemon(t, "")
	body := []byte(`{"routing_key":"0123456789abcdef0123456789abcdef","payload":{"summary":"checkout v2.31.0 deployed","source":"ci"}}`)
	for _, marked := range [][]byte{body, append([]byte("\xef\xbb\xbf"), bytes.Replace(body, []byte("v2.31.0"), []byte("v2.32.0"), 1)...)} {
		if status, answer := d.tryHook(t, "/v2/change/enqueue", http.Header{"Content-Type": {"application/json"}}, marked); status != http.StatusAccepted {
			t.Errorf("want 202, got %d: %s", status, answer)
		}
	}
	got := d.changes(t)
	if len(got) != 2 || got[0].Service != "checkout" || got[0].Environment != "production" || got[0].Status != triage.StatusSucceeded {
		t.Errorf("got %+v", got)
	}
	if status, answer := d.tryHook(t, "/v2/change/enqueue", nil, []byte(`{"routing_key":"nobody's","payload":{}}`)); status != 400 || !strings.Contains(answer, "routing_keys") {
		t.Errorf("an unknown key: want 400 that says where keys stand, got %d: %s", status, answer)
	}
	if status, answer := d.tryHook(t, "/hooks/flux", map[string][]string{"Authorization": {"Bearer tok"}, "Content-Type": {"application/x-www-form-urlencoded"}}, []byte("payload=%7B%7D")); status != 422 || !strings.Contains(answer, "application/json") {
		t.Errorf("a form: want 422 that says what to choose, got %d: %s", status, answer)
	}
}

// The small inputs that once failed, from the shared collection.
func TestReportedInputs(t *testing.T) {
	shared := os.Getenv("TRIAGED_SHARED")
	if shared == "" {
		t.Skip("TRIAGED_SHARED is not set: the reported inputs are not at hand")
	}
	input := func(file string) []byte {
		body, err := os.ReadFile(filepath.Join(shared, "bugs", file))
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	d := sendersDaemon(t, `
sources:
  github:
    - name: github
      webhook: {secret: s3cret-of-github}
      repositories: [{name: octokit/*, applied_on_push: true, config_paths: ['config/**']}]
`)
	for event, file := range map[string]string{"push": "gh_push_org_repo.json", "deployment_status": "gh_deployment_status_multi_select_property.json"} {
		body := input(file)
		header := http.Header{"X-Github-Event": {event}, "X-Hub-Signature-256": {"sha256=" + hmacHex("s3cret-of-github", body)}}
		if status, answer := d.tryHook(t, "/hooks/github", header, body); status != 200 || !strings.Contains(answer, "accepted") {
			t.Errorf("%s: want 200 accepted, got %d: %s", file, status, answer)
		}
	}
	var two []json.RawMessage
	if err := json.Unmarshal(input("flux_helmrelease_same_chart_new_values.json"), &two); err != nil {
		t.Fatal(err)
	}
	for _, one := range two {
		d.hook(t, "/hooks/flux", bearer, one)
	}
	for file, path := range map[string]string{
		"argocd_multi_source.json": "/hooks/argocd", "k8s_event_scaled_to_from.json": "/hooks/events", "launchdarkly_segment.json": "/hooks/launchdarkly", "pagerduty_change_no_service.json": "/v2/change/enqueue",
	} {
		if status, answer := d.tryHook(t, path, bearer, input(file)); status/100 != 2 || strings.Contains(answer, "ignored") {
			t.Errorf("%s: want a change, got %d: %s", file, status, answer)
		}
	}
	if answer := d.hook(t, "/hooks/flux", bearer, input("flux_periodic_reconcile.json")); !strings.Contains(answer, "ignored") {
		t.Errorf("flux_periodic_reconcile.json: want it ignored, got %s", answer)
	}
	if got := d.changes(t); len(got) != 8 {
		for _, c := range got {
			t.Logf("%s %s %s", c.ID, c.Kind, c.Version)
		}
		t.Errorf("want eight changes, got %d", len(got))
	}
}

// A Helm command says what it changes; what it prints says which revision that is.
func TestChangeRunKnowsHelm(t *testing.T) {
	d := sendersDaemon(t, "")
	dir := t.TempDir()
	helm := write(t, filepath.Join(dir, "helm"), "#!/bin/sh\nprintf 'Release \"checkout\" has been upgraded. Happy Helming!\\nNAME: checkout\\nNAMESPACE: shop\\nSTATUS: deployed\\nREVISION: 7\\n'\n")
	if err := os.Chmod(helm, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--id=run:up", "--", helm, "upgrade", "--install", "-f", "values.yaml", "checkout", "./chart", "--version=1.4.2", "--kube-context", "prod-eu1"},
		{"--id=run:back", "--", helm, "rollback", "checkout", "5", "-n", "shop"},
	} {
		out := &lockedBuffer{}
		if code := run(t.Context(), append([]string{"change", "run", "--url=" + string(d.asker), "--environment=production"}, args...), streams{nil, out, out}); code != 0 || strings.Contains(out.String(), "not recorded") {
			t.Fatalf("%v: %d %s", args, code, out)
		}
	}
	var c triage.Change
	if err := d.get("/api/v1/changes/run:up", &c); err != nil || c.Service != "checkout" || c.Namespace != "shop" || c.Cluster != "prod-eu1" || c.Version != "1.4.2" ||
		c.Labels["revision"] != "7" || c.Labels["chart"] != "./chart" || c.Status != triage.StatusSucceeded || c.Reversible.Value != triage.ReversibleYes {
		t.Errorf("got %+v, %v", c, err)
	}
	if err := d.get("/api/v1/changes/run:back", &c); err != nil || c.Kind != triage.KindRollback || c.Labels["to_revision"] != "5" {
		t.Errorf("got %+v, %v", c, err)
	}
}

// CDEvents and CloudEvents are hook types: what their senders do not say, the hook does.
func TestEventsAsHooks(t *testing.T) {
	d := startDaemon(t, "hooks: [{name: cd, type: cdevents, bearer_token: tok, environment: production}, {name: ce, type: cloudevents, secret: tok, service: checkout}]\n")
	d.hook(t, "/hooks/cd", bearer, []byte(`{"context":{"version":"0.4.1","id":"e1","source":"/ci","type":"dev.cdevents.service.deployed.0.2.0","timestamp":"2026-03-02T14:21:07Z"},"subject":{"id":"checkout","type":"service","content":{"artifactId":"pkg:oci/checkout@sha256%3A0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427?tag=v2"}}}`))
	d.hook(t, "/hooks/ce", map[string][]string{"Authorization": {"Bearer tok"}, "Content-Type": {"application/json"}, "Ce-Specversion": {"1.0"}, "Ce-Id": {"7"}, "Ce-Source": {"/ci"}, "Ce-Type": {"dev.triaged.change.v1"}}, []byte(`{"kind":"config","title":"limits"}`))
	got := d.changes(t)
	if len(got) != 2 {
		t.Fatalf("want two changes, got %+v", got)
	}
	for _, c := range got {
		if c.Service != "checkout" || c.Source == "cd" && c.Environment != "production" {
			t.Errorf("got %+v", c)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, string(d.asker)+"/hooks/ce", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("WebHook-Request-Origin", "eventgrid.example.com")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.Header.Get("WebHook-Allowed-Origin") != "eventgrid.example.com" {
		t.Fatalf("handshake of CloudEvents: %v, %v", resp, err)
	}
	resp.Body.Close()
}

// Event Grid delivers nothing before its handshake is answered.
func TestEventGridHandshake(t *testing.T) {
	d := startDaemon(t, "hooks: [{name: azure, type: azure, bearer_token: tok}]\n")
	header := map[string][]string{"Authorization": {"Bearer tok"}, "Aeg-Event-Type": {"SubscriptionValidation"}}
	body := []byte(`[{"id":"1","eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","subject":"","data":{"validationCode":"512d38b6-c7b8"},"eventTime":"2026-03-02T14:21:07Z"}]`)
	if answer := d.hook(t, "/hooks/azure", header, body); !strings.Contains(answer, `"validationResponse":"512d38b6-c7b8"`) {
		t.Errorf("got %s", answer)
	}
	if status, _ := d.tryHook(t, "/hooks/azure", map[string][]string{"Aeg-Event-Type": {"SubscriptionValidation"}}, body); status != http.StatusUnauthorized {
		t.Errorf("unauthenticated: want 401, got %d", status)
	}
}

// What is served beside the API is in its description, and the description's examples are taken.
func TestDescribedIntakeIsServed(t *testing.T) {
	d := sendersDaemon(t, "")
	v, err := apitest.New()
	if err != nil {
		t.Fatal(err)
	}
	paths := v.Document().Paths
	enqueue := paths.Value("/v2/change/enqueue").Post.RequestBody.Value.Content["application/json"].Example
	mcp := paths.Value("/mcp").Post.RequestBody.Value.Content["application/json"].Example
	for path, tc := range map[string]struct {
		example any
		status  int
	}{"/v2/change/enqueue": {enqueue, 202}, "/mcp": {mcp, 200}} {
		body, err := json.Marshal(tc.example)
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
		if status, answer := d.tryHook(t, path, header, body); status != tc.status {
			t.Errorf("%s: want %d, got %d: %s", path, tc.status, status, answer)
		}
	}
}
