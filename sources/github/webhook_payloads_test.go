package github

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/triaged-dev/triaged/triage"
)

const testSecret = "a-test-secret"

// ownFixtures are deliveries written for these tests from the format's documentation; every name in them is made up.
const ownFixtures = "../../testdata/github"

// sharedPayloads is a folder of recorded payloads of the real system, where there is one.
func sharedPayloads(t *testing.T, folder string) string {
	t.Helper()
	root := os.Getenv("TRIAGED_SHARED")
	if root == "" {
		t.Skip("TRIAGED_SHARED is not set: recorded payloads are not tested")
	}
	return filepath.Join(root, "payloads", folder)
}

func sign(body []byte) string {
	mac := hmac.New(sha256.New, []byte(testSecret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func headers(event, id string, body []byte) http.Header {
	h := http.Header{}
	h.Set("X-GitHub-Event", event)
	h.Set("X-GitHub-Delivery", id)
	h.Set("X-Hub-Signature-256", sign(body))
	h.Set("Content-Type", "application/json")
	return h
}

// recorder is an Emit that keeps what it gets, or fails.
type recorder struct {
	changes []triage.Change
	err     error
}

func (r *recorder) emit(_ context.Context, events []triage.Event) error {
	if r.err != nil {
		return r.err
	}
	for _, e := range events {
		r.changes = append(r.changes, *e.Change)
	}
	return nil
}

func newTestSource(t *testing.T, opts Options) *Source {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stopCaches)
	return s
}

// everything is a repository for which all that can be a Change is one.
func everything(name string) Repository {
	return Repository{
		Name: name, PayloadService: "service", Environment: "production",
		AppliedOnPush: true, ConfigPaths: []string{"deploy/**", "**/config/*.yaml", "ksapps/**/*.jsonnet", "ksapps/**/*.libsonnet"},
		MigrationPaths:  []string{"db/migrations/**"},
		DeployWorkflows: []Workflow{{Match: "deploy.yml"}, {Match: "CI"}, {Match: "test.yml"}},
		ReleaseIsDeploy: true, MergeIsDeploy: true,
	}
}

// seen is the part of a Change the tables below pin down.
type seen struct {
	ID, Kind, Status, Service, Environment, Started, Finished, Version string
	Refs                                                               string
}

func view(c triage.Change) seen {
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.RFC3339)
	}
	var refs []string
	for _, r := range c.Refs {
		refs = append(refs, r.System+" "+r.ID)
	}
	slices.Sort(refs)
	return seen{
		ID: string(c.ID), Kind: string(c.Kind), Status: string(c.Status), Service: c.Service, Environment: c.Environment,
		Started: at(c.StartedAt), Finished: at(c.FinishedAt), Version: c.Version, Refs: strings.Join(refs, ", "),
	}
}

// expectation is what one file must become: Changes, or none and the reason.
type expectation struct {
	want []seen
	why  string
	repo func(*Repository)
}

// checkDeliveries runs every webhook file of a folder against its expectation. A file without one is a failure, and so is an
// expectation without a file.
func checkDeliveries(t *testing.T, dir, prefix string, table map[string]expectation) {
	files, err := filepath.Glob(filepath.Join(dir, prefix+"*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no payloads in %s: %v", dir, err)
	}
	covered := make(map[string]bool)
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), prefix), ".json")
		t.Run(name, func(t *testing.T) {
			e, ok := table[name]
			if !ok {
				t.Fatalf("%s has no expectation", name)
			}
			covered[name] = true
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var head struct {
				Repository struct {
					FullName string `json:"full_name"`
				} `json:"repository"`
			}
			_ = json.Unmarshal(body, &head)
			repo := everything(head.Repository.FullName)
			if head.Repository.FullName == "" {
				repo.Name = "lumen-shop/checkout"
			}
			if e.repo != nil {
				e.repo(&repo)
			}
			cfg := DefaultConfig()
			cfg.Repositories = []Repository{repo}
			cfg.Webhook = &Webhook{Secret: testSecret}
			s := newTestSource(t, Options{Config: cfg, Transport: refuseAll{t}})
			event, _, _ := strings.Cut(name, ".")
			f, err := s.readEvent(event, body)
			if err != nil {
				t.Fatal(err)
			}
			var got []seen
			for _, c := range f.changes {
				if err := c.Validate(""); err != nil {
					t.Errorf("change cannot be stored: %v", err)
				}
				if strings.Contains(toJSON(t, c), "@users.example") || strings.Contains(toJSON(t, c), "@github.com") {
					t.Error("an e-mail address got into the change")
				}
				got = append(got, view(c))
			}
			if diff := cmp.Diff(e.want, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if e.why != "" && !strings.Contains(f.why, e.why) {
				t.Errorf("reason: want %q, got %q", e.why, f.why)
			}
			rec := &recorder{}
			want := OutcomeAccepted
			if len(e.want) == 0 {
				want = OutcomeIgnored
			}
			if out, err := s.Webhook(t.Context(), headers(event, name, body), body, rec.emit); out != want || err != nil {
				t.Errorf("delivery: want %s, got %s (%v)", want, out, err)
			}
		})
	}
	for name := range table {
		if !covered[name] && !t.Failed() {
			t.Errorf("expectation %s has no file", name)
		}
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// refuseAll is a network that must not be used.
type refuseAll struct{ t *testing.T }

func (r refuseAll) RoundTrip(req *http.Request) (*http.Response, error) {
	r.t.Errorf("unexpected request: %s %s", req.Method, req.URL)
	return nil, context.Canceled
}

func TestOwnDeliveries(t *testing.T) {
	const id, repo = "github:lumen-shop/checkout/", "lumen-shop/checkout"
	dep := func(n string) string { return id + "deployment/" + n }
	ref := func(n string) string { return "github-deployment " + repo + "#" + n }
	status := func(status, started, finished string) []seen {
		return []seen{{ID: dep("9001"), Kind: "deploy", Status: status, Service: "checkout", Environment: "production", Started: started, Finished: finished, Version: "a1a1a1a", Refs: ref("9001")}}
	}
	const created = "2026-03-01T03:00:10Z"
	monorepo := func(r *Repository) {
		r.Services = []PathRule{{Paths: []string{"services/cart/"}, Service: "cart"}, {Paths: []string{"services/search/**"}, Service: "search"}}
	}
	basket := func(r *Repository) {
		r.Environments = []EnvironmentRule{{Match: Regexp{mustRegexp(`^(?P<environment>\w+)/(?P<service>[\w-]+)$`)}}}
	}
	checkDeliveries(t, ownFixtures, "webhook.", map[string]expectation{
		"deployment.object-payload": {want: []seen{{dep("9001"), "deploy", "started", "checkout-api", "production", created, "", "v2.4.0", ref("9001")}}},
		"deployment.string-payload": {want: []seen{{dep("9002"), "deploy", "started", "checkout-worker", "production", created, "", "2.4.1", ref("9002")}}},
		"deployment.empty-payload":  {repo: basket, want: []seen{{dep("9003"), "deploy", "started", "basket", "production", created, "", "a1a1a1a", ref("9003")}}},
		"deployment.text-payload":   {want: []seen{{dep("9004"), "deploy", "started", "basket", "production", created, "", "a1a1a1a", ref("9004")}}},
		"deployment.rollback":       {want: []seen{{dep("9005"), "rollback", "started", "checkout", "production", created, "", "b2b2b2b", ref("9005")}}},
		"deployment.migration":      {want: []seen{{dep("9006"), "migration", "started", "checkout", "production", created, "", "a1a1a1a", ref("9006")}}},
		"deployment.actions":        {why: "when its job starts"},

		"deployment_status.queued":          {want: status("started", created, "")},
		"deployment_status.pending":         {want: status("started", created, "")},
		"deployment_status.in_progress":     {want: status("started", "2026-03-01T03:00:30Z", "")},
		"deployment_status.success":         {want: status("succeeded", created, "2026-03-01T03:03:00Z")},
		"deployment_status.failure":         {want: status("failed", created, "2026-03-01T03:02:00Z")},
		"deployment_status.error":           {want: status("failed", created, "2026-03-01T03:02:30Z")},
		"deployment_status.inactive":        {want: status("superseded", created, "")},
		"deployment_status.waiting.actions": {why: "waits"},
		"deployment_status.in_progress.actions": {want: []seen{{
			dep("9007"), "deploy", "started", "checkout", "production", "2026-03-01T03:20:05Z", "", "a1a1a1a",
			ref("9007") + ", github-job " + repo + "#88001, github-run " + repo + "#77001",
		}}},
		"deployment_status.success.actions": {want: []seen{{
			dep("9007"), "deploy", "succeeded", "checkout", "production", "", "2026-03-01T03:22:00Z", "a1a1a1a",
			ref("9007") + ", github-job " + repo + "#88001, github-run " + repo + "#77001",
		}}},

		"push.config":    {want: []seen{{id + "push/main/a1a1a1a1a1a1...b2b2b2b2b2b2", "config", "succeeded", "checkout", "production", "2026-03-01T03:02:10Z", "2026-03-01T03:02:10Z", "b2b2b2b", "github-push " + repo + "/main@" + strings.Repeat("b2", 20)}}},
		"push.migration": {want: []seen{{id + "push/main/a1a1a1a1a1a1...b2b2b2b2b2b2", "migration", "succeeded", "checkout", "production", "2026-03-01T03:02:10Z", "2026-03-01T03:02:10Z", "b2b2b2b", "github-push " + repo + "/main@" + strings.Repeat("b2", 20)}}},
		"push.code-only": {why: "touches no configured path"},
		"push.monorepo": {repo: monorepo, want: []seen{
			{id + "push/main/a1a1a1a1a1a1...b2b2b2b2b2b2/cart", "config", "succeeded", "cart", "production", "2026-03-01T03:02:10Z", "2026-03-01T03:02:10Z", "b2b2b2b", "github-push " + repo + "/main@" + strings.Repeat("b2", 20)},
			{id + "push/main/a1a1a1a1a1a1...b2b2b2b2b2b2/search", "config", "succeeded", "search", "production", "2026-03-01T03:02:10Z", "2026-03-01T03:02:10Z", "b2b2b2b", "github-push " + repo + "/main@" + strings.Repeat("b2", 20)},
		}},
		"push.other-branch": {why: "branch is not watched"},
		"push.forced-back":  {why: "no commits"},
		"push.deleted":      {why: "deleted"},
		"push.tag":          {why: "not a branch"},

		"pull_request.merged": {want: []seen{{id + "pull/41", "deploy", "succeeded", "checkout", "production", "2026-03-01T02:57:30Z", "2026-03-01T02:57:30Z", "a1a1a1a", "github-pull " + repo + "#41"}}},
		"pull_request.closed": {why: "without merging"},
		"release.published":   {want: []seen{{id + "release/3300", "deploy", "succeeded", "checkout", "production", "2026-03-01T03:01:00Z", "2026-03-01T03:01:00Z", "v2.4.0", "github-release " + repo + "#3300"}}},
		"release.prerelease":  {why: "prerelease"},

		"workflow_run.in_progress": {want: []seen{{id + "run/77001", "deploy", "started", "checkout", "production", "2026-03-01T02:58:00Z", "", "a1a1a1a", "github-run " + repo + "#77001"}}},
		"workflow_run.completed":   {want: []seen{{id + "run/77001", "deploy", "succeeded", "checkout", "production", "2026-03-01T02:58:00Z", "2026-03-01T03:04:00Z", "a1a1a1a", "github-run " + repo + "#77001"}}},
		"workflow_run.rerun":       {want: []seen{{id + "run/77001/attempts/2", "deploy", "failed", "checkout", "production", "2026-03-01T04:00:00Z", "2026-03-01T04:30:00Z", "a1a1a1a", "github-run " + repo + "#77001/attempts/2"}}},
		"workflow_run.other":       {why: "not in deploy_workflows"},
		"workflow_job.in_progress": {want: []seen{{dep("9007"), "deploy", "started", "checkout", "production", "2026-03-01T03:20:04Z", "", "a1a1a1a", ref("9007") + ", github-job " + repo + "#88001, github-run " + repo + "#77001"}}},
		"workflow_job.completed":   {want: []seen{{dep("9007"), "deploy", "failed", "checkout", "production", "2026-03-01T03:20:04Z", "2026-03-01T03:22:01Z", "a1a1a1a", ref("9007") + ", github-job " + repo + "#88001, github-run " + repo + "#77001"}}},
		"workflow_job.queued":      {why: "has not begun"},

		"ping":                {why: "ping"},
		"repository_dispatch": {why: "sender's own"},
	})
}

// TestRecordedDeliveries pins down every recorded delivery of the real system.
func TestRecordedDeliveries(t *testing.T) {
	dir := sharedPayloads(t, "github-webhooks")
	hello := func(id, kind, status, service, env, start, end, version string) []seen {
		return []seen{{"github:Codertocat/Hello-World/" + id, kind, status, service, env, start, end, version, "github-deployment Codertocat/Hello-World#145988746"}}
	}
	const dep, created, f95 = "deployment/145988746", "2019-05-15T15:20:53Z", "f95f852"
	checkDeliveries(t, dir, "", map[string]expectation{
		"check_run.completed":                         {why: "check"},
		"deployment":                                  {want: hello(dep, "deploy", "started", "Hello-World", "production", created, "", f95)},
		"deployment.with-installation":                {want: hello(dep, "deploy", "started", "Hello-World", "production", created, "", f95)},
		"deployment.gh-pages":                         {why: "when its job starts"},
		"deployment_protection_rule.requested.schema": {why: "gate"},
		"deployment_review.requested":                 {why: "gate"},
		"deployment_status.queued.derived":            {want: []seen{{"github:Codertocat/Hello-World/" + dep, "deploy", "started", "Hello-World", "production", created, "", f95, "github-deployment Codertocat/Hello-World#145988746, github-run Codertocat/Hello-World#1"}}},
		"deployment_status.pending.derived":           {want: []seen{{"github:Codertocat/Hello-World/" + dep, "deploy", "started", "Hello-World", "production", created, "", f95, "github-deployment Codertocat/Hello-World#145988746, github-run Codertocat/Hello-World#1"}}},
		"deployment_status.error.derived": {want: []seen{{
			"github:Codertocat/Hello-World/" + dep, "deploy", "failed", "Hello-World", "production", created, "2019-05-15T15:20:55Z", f95,
			"github-deployment Codertocat/Hello-World#145988746, github-run Codertocat/Hello-World#1",
		}}},
		"deployment_status.failure.derived":  {want: []seen{{"github:Codertocat/Hello-World/" + dep, "deploy", "failed", "Hello-World", "production", created, "2019-05-15T15:20:55Z", f95, "github-deployment Codertocat/Hello-World#145988746, github-run Codertocat/Hello-World#1"}}},
		"deployment_status.inactive.derived": {want: []seen{{"github:Codertocat/Hello-World/" + dep, "deploy", "superseded", "Hello-World", "production", created, "", f95, "github-deployment Codertocat/Hello-World#145988746, github-run Codertocat/Hello-World#1"}}},
		"deployment_status.success":          {want: hello(dep, "deploy", "succeeded", "Hello-World", "production", created, "2019-05-15T15:20:55Z", f95)},
		"deployment_status.success.2": {want: []seen{{
			"github:baxterthehacker/public-repo/deployment/710692", "deploy", "succeeded", "public-repo", "production",
			"2015-05-05T23:40:38Z", "2015-05-05T23:40:39Z", "9049f12", "github-deployment baxterthehacker/public-repo#710692",
		}}},
		"deployment_status.in_progress.gh-pages": {want: []seen{{
			"github:Codertocat/Hello-World/" + dep, "deploy", "started", "Hello-World", "github-pages", "2022-01-03T01:28:40Z", "", f95,
			"github-deployment Codertocat/Hello-World#145988746, github-run Codertocat/Hello-World#289782451",
		}}},
		"package.published.docker":       {why: "package"},
		"package.published.ghcr-minimal": {why: "package"},
		"ping":                           {why: "ping"},
		"pull_request.closed.merged": {want: []seen{{
			"github:ailisp/gcbapp-buildconfig-example/pull/3", "deploy", "succeeded", "gcbapp-buildconfig-example", "production",
			"2019-11-26T07:01:13Z", "2019-11-26T07:01:13Z", "a216838", "github-pull ailisp/gcbapp-buildconfig-example#3",
		}}},
		"pull_request.closed.unmerged": {why: "without merging"},
		"push.branch-with-files": {want: []seen{{
			"github:jessesuen/test-repo/push/master/d5c1ffa8e294...63738bb582c8", "config", "succeeded", "test-repo", "production",
			"2018-05-04T22:40:10Z", "2018-05-04T22:40:10Z", "63738bb", "github-push jessesuen/test-repo/master@63738bb582c8b540af7bcfc18f87c575c3ed66e0",
		}}},
		"push.feature-branch":                 {why: "branch is not watched"},
		"push.new-branch":                     {why: "touches no configured path"},
		"push.tag-created":                    {why: "not a branch"},
		"push.tag-deleted":                    {why: "not a branch"},
		"registry_package.published":          {why: "package"},
		"release.deleted":                     {why: "release deleted"},
		"release.published":                   {want: []seen{{"github:Codertocat/Hello-World/release/17372790", "deploy", "succeeded", "Hello-World", "production", created, created, "0.0.1", "github-release Codertocat/Hello-World#17372790"}}},
		"release.released":                    {want: []seen{{"github:Codertocat/Hello-World/release/17372790", "deploy", "succeeded", "Hello-World", "production", created, created, "0.0.1", "github-release Codertocat/Hello-World#17372790"}}},
		"release.published.2":                 {want: []seen{{"github:company-group/company-rest-api-framework/release/33406054", "deploy", "succeeded", "company-rest-api-framework", "production", "2020-11-03T14:33:30Z", "2020-11-03T14:33:30Z", "rest-api-framework-4.2", "github-release company-group/company-rest-api-framework#33406054"}}},
		"repository_dispatch":                 {why: "sender's own"},
		"workflow_job.completed.failure":      {why: "no deployment"},
		"workflow_job.queued.with-deployment": {why: "has not begun"},
		"workflow_run.completed": {want: []seen{{
			"github:gsmet/quarkus-bot-java-playground/run/680604745", "deploy", "succeeded", "quarkus-bot-java-playground", "production",
			"2021-03-23T18:35:26Z", "2021-03-23T18:35:43Z", "dbea8d8", "github-run gsmet/quarkus-bot-java-playground#680604745",
		}}},
		"workflow_run.completed.2": {want: []seen{{
			"github:octo-org/octo-repo/run/289782451", "deploy", "succeeded", "octo-repo", "production",
			"2020-10-05T16:33:49Z", "2020-10-05T16:33:49Z", "3484a3f", "github-run octo-org/octo-repo#289782451",
		}}},
		"workflow_run.in_progress": {why: "not in deploy_workflows"}, // a check of a pull request
	})
}

func TestPushedCodeIsNoChangeByDefault(t *testing.T) {
	for _, name := range []string{"push.config", "push.migration", "pull_request.merged", "release.published", "workflow_run.completed"} {
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join(ownFixtures, "webhook."+name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			cfg := DefaultConfig()
			cfg.Repositories = []Repository{{Name: "lumen-shop/checkout", ConfigPaths: []string{"deploy/**"}, MigrationPaths: []string{"db/**"}}}
			cfg.Webhook = &Webhook{Secret: testSecret}
			s := newTestSource(t, Options{Config: cfg, Transport: refuseAll{t}})
			event, _, _ := strings.Cut(name, ".")
			f, err := s.readEvent(event, body)
			if err != nil || len(f.changes) > 0 || f.why == "" {
				t.Errorf("want no change and a reason, got %d changes, reason %q, err %v", len(f.changes), f.why, err)
			}
		})
	}
}

// A deployment that arrives after its pull request was merged bears the pull request's title without asking for it.
func TestMergeNamesTheDeployment(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Repositories = []Repository{{Name: "lumen-shop/checkout"}}
	cfg.Webhook = &Webhook{Secret: testSecret}
	s := newTestSource(t, Options{Config: cfg, Transport: refuseAll{t}})
	rec := &recorder{}
	for _, name := range []string{"pull_request.merged", "deployment_status.success"} {
		body, err := os.ReadFile(filepath.Join(ownFixtures, "webhook."+name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		event, _, _ := strings.Cut(name, ".")
		if _, err := s.Webhook(t.Context(), headers(event, name, body), body, rec.emit); err != nil {
			t.Fatal(err)
		}
	}
	if len(rec.changes) != 1 || rec.changes[0].Labels["pr"] != "41" || rec.changes[0].Labels["pr_titles"] != "Cache prices per region" {
		t.Errorf("want the deployment with pull request 41, got %v", rec.changes)
	}
	if !s.repos[0].due(s.now()) {
		t.Error("want the webhook to ask for a poll")
	}
}
