package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/triaged-dev/triaged/collector"
	"github.com/triaged-dev/triaged/journal"
	"github.com/triaged-dev/triaged/sources/cloudevents"
	"github.com/triaged-dev/triaged/sources/github"
	"github.com/triaged-dev/triaged/sources/prometheus"
	"github.com/triaged-dev/triaged/triage"
)

const (
	rolloutSHA    = "9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6"
	rolloutDigest = "sha256:0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427"
)

// githubDelivery is one webhook of a deployment, as GitHub sends it.
func githubDelivery(event, state string, deployed, at time.Time) (http.Header, []byte) {
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	body := map[string]any{
		"action":     "created",
		"repository": map[string]any{"id": 1, "name": "cart", "full_name": "acme/cart", "owner": map[string]string{"login": "acme"}, "html_url": "https://github.com/acme/cart"},
		"deployment": map[string]any{
			"id": 4711, "sha": rolloutSHA, "ref": "main", "task": "deploy", "environment": "production", "payload": map[string]any{},
			"creator": map[string]string{"login": "jane"}, "created_at": stamp(deployed), "updated_at": stamp(at), "production_environment": true,
		},
	}
	if event == "deployment_status" {
		body["deployment_status"] = map[string]any{
			"id": 9000 + at.Unix()%1000, "state": state, "environment": "production", "created_at": stamp(at), "updated_at": stamp(at),
			"log_url": "https://github.com/acme/cart/actions/runs/77/job/88", "target_url": "", "description": "",
		}
	}
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	mac := hmac.New(sha256.New, []byte(githubSecret))
	mac.Write(raw)
	return http.Header{
		"Content-Type": {"application/json"}, "X-Github-Event": {event}, "X-Github-Delivery": {event + state},
		"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))},
	}, raw
}

const githubSecret = "hook-secret"

// clusterText is what kube-state-metrics shows around a rollout of cart, as OpenMetrics for promtool.
func clusterText(from, to, created, done time.Time) string {
	var b strings.Builder
	family := func(name string, each func(at time.Time, sample func(labels string, v float64))) {
		fmt.Fprintf(&b, "# TYPE %s gauge\n", name)
		type point struct {
			labels string
			at     int64
			v      float64
		}
		var order []string
		series := make(map[string][]point)
		for at := from; !at.After(to); at = at.Add(30 * time.Second) {
			each(at, func(labels string, v float64) {
				if series[labels] == nil {
					order = append(order, labels)
				}
				series[labels] = append(series[labels], point{labels, at.Unix(), v})
			})
		}
		for _, l := range order {
			for _, p := range series[l] {
				fmt.Fprintf(&b, "%s{%s} %g %d\n", name, p.labels, p.v, p.at)
			}
		}
	}
	const before, after = `namespace="shop",replicaset="cart-7d9f8b6c5d"`, `namespace="shop",replicaset="cart-5c6b7d8f9"`
	family("kube_replicaset_created", func(at time.Time, sample func(string, float64)) {
		sample(before, float64(from.Add(-100*time.Hour).Unix()))
		if !at.Before(created) {
			sample(after, float64(created.Unix()))
		}
	})
	family("kube_replicaset_owner", func(at time.Time, sample func(string, float64)) {
		sample(before+`,owner_kind="Deployment",owner_name="cart"`, 1)
		if !at.Before(created) {
			sample(after+`,owner_kind="Deployment",owner_name="cart"`, 1)
		}
	})
	family("kube_pod_owner", func(at time.Time, sample func(string, float64)) {
		if at.Before(done) {
			sample(`namespace="shop",pod="cart-7d9f8b6c5d-x2x9z",owner_kind="ReplicaSet",owner_name="cart-7d9f8b6c5d"`, 1)
		}
		if !at.Before(created) {
			sample(`namespace="shop",pod="cart-5c6b7d8f9-b4b5b",owner_kind="ReplicaSet",owner_name="cart-5c6b7d8f9"`, 1)
		}
	})
	family("kube_pod_container_info", func(at time.Time, sample func(string, float64)) {
		if at.Before(done) {
			sample(`namespace="shop",pod="cart-7d9f8b6c5d-x2x9z",container="cart",image="reg.example/cart:v1"`, 1)
		}
		if !at.Before(created) {
			sample(`namespace="shop",pod="cart-5c6b7d8f9-b4b5b",container="cart",image="reg.example/cart:`+rolloutSHA+`",image_id="reg.example/cart@`+rolloutDigest+`"`, 1)
		}
	})
	for _, m := range []string{"kube_deployment_spec_replicas", "kube_deployment_status_replicas", "kube_deployment_status_replicas_available"} {
		family(m, func(_ time.Time, sample func(string, float64)) { sample(`namespace="shop",deployment="cart"`, 3) })
	}
	family("kube_deployment_status_replicas_updated", func(at time.Time, sample func(string, float64)) {
		v := 3.0
		if !at.Before(created) && at.Before(done) {
			v = 1
		}
		sample(`namespace="shop",deployment="cart"`, v)
	})
	b.WriteString("# EOF\n")
	return b.String()
}

// startBackfilled runs a real Prometheus over a past written by promtool and returns its address.
func startBackfilled(t *testing.T, text string) string {
	t.Helper()
	path, promtool := peer(t, "prometheus"), peer(t, "promtool")
	dir := t.TempDir()
	in := write(t, filepath.Join(dir, "past.om"), text)
	if out, err := exec.CommandContext(t.Context(), promtool, "tsdb", "create-blocks-from", "openmetrics", in, filepath.Join(dir, "tsdb")).CombinedOutput(); err != nil {
		t.Fatalf("write the past: %v: %s", err, out)
	}
	address := freePort(t)
	start(t, path, "--config.file="+write(t, filepath.Join(dir, "prometheus.yml"), "global: {scrape_interval: 30s, external_labels: {env: prod}}\n"),
		"--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+address)
	eventually(t, 20*time.Second, "Prometheus is ready", func() error { return asker("http://"+address).get("/-/ready", nil) })
	return "http://" + address
}

// One rollout, seen by GitHub (a deployment and three statuses), Kafka (a CDEvent) and Prometheus (a new ReplicaSet), in any
// order, cut into any batches and all of it twice, must be one Change with the best times, and every id must lead to it.
func TestOneRolloutIsOneChange(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Minute)
	deployed := now.Add(-20 * time.Minute)
	running, created, done := deployed.Add(20*time.Second), deployed.Add(time.Minute), deployed.Add(4*time.Minute)

	hubConfig := github.DefaultConfig()
	hubConfig.Name, hubConfig.Token = "github", "x"
	hubConfig.Repositories = []github.Repository{{Name: "acme/cart", Service: "cart"}}
	hubConfig.Webhook = &github.Webhook{Secret: githubSecret}
	hub, err := github.New(github.Options{Config: hubConfig})
	if err != nil {
		t.Fatal(err)
	}
	var reports []triage.Event
	keep := func(_ context.Context, events []triage.Event) error {
		reports = append(reports, events...)
		return nil
	}
	for _, d := range []struct {
		event, state string
		at           time.Time
	}{
		{"deployment", "", deployed},
		{"deployment_status", "queued", deployed.Add(5 * time.Second)},
		{"deployment_status", "in_progress", running},
		{"deployment_status", "success", done.Add(10 * time.Second)},
	} {
		header, body := githubDelivery(d.event, d.state, deployed, d.at)
		if outcome, err := hub.Webhook(t.Context(), header, body, keep); err != nil || outcome != github.OutcomeAccepted {
			t.Fatalf("%s %s: %s (%v)", d.event, d.state, outcome, err)
		}
	}
	cdevent, err := json.Marshal(map[string]any{
		"context": map[string]any{"version": "0.4.1", "id": "c-1", "source": "/ci/acme", "type": "dev.cdevents.service.deployed.0.1.1", "timestamp": done.Format(time.RFC3339)},
		"subject": map[string]any{"id": "cart", "type": "service", "content": map[string]any{
			"environment": map[string]string{"id": "production"}, "artifactId": "pkg:oci/cart@" + strings.ReplaceAll(rolloutDigest, ":", "%3A") + "?tag=" + rolloutSHA,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	fromKafka, err := cloudevents.DecodeRecord([]cloudevents.Header{
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_id", Value: []byte("c-1")},
		{Key: "ce_source", Value: []byte("/ci/acme")},
		{Key: "ce_type", Value: []byte("dev.cdevents.service.deployed.0.1.1")},
		{Key: "content-type", Value: []byte("application/json")},
	}, cdevent, done.Add(3*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	reports = append(reports, fromKafka...)

	cfg := prometheus.DefaultConfig()
	cfg.Name, cfg.URL = "prometheus", startBackfilled(t, clusterText(now.Add(-2*time.Hour), now, created, done))
	metrics, err := prometheus.New(prometheus.Options{Config: cfg, Signals: prometheus.DefaultSignalsConfig(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	seen, err := metrics.Changes(t.Context(), now.Add(-time.Hour), now)
	if err != nil || len(seen) != 1 {
		t.Fatalf("Prometheus shows %d changes (%v): %+v", len(seen), err, seen)
	}
	reports = append(reports, triage.Event{Change: &seen[0]})
	if len(reports) != 6 {
		t.Fatalf("want six reports, got %d", len(reports))
	}
	twice := append(slices.Clip(reports), reports...)

	var reference *triage.Change
	rapid.Check(t, func(r *rapid.T) {
		order := rapid.Permutation(twice).Draw(r, "order")
		var batches [][]triage.Event
		for len(order) > 0 {
			n := rapid.IntRange(1, len(order)).Draw(r, "batch")
			batches, order = append(batches, order[:n]), order[n:]
		}
		got := collect(r, batches, reports)
		if !got.StartedAt.Equal(deployed) || !got.FinishedAt.Equal(done.Add(10*time.Second)) || got.Status != triage.StatusSucceeded {
			r.Errorf("times %s – %s, %s; want %s – %s", got.StartedAt, got.FinishedAt, got.Status, deployed, done.Add(10*time.Second))
		}
		if got.Service != "cart" || got.Environment != "production" || got.Namespace != "shop" || got.Digest != rolloutDigest || got.Labels["sha"] != rolloutSHA || got.PreviousVersion != "v1" {
			r.Errorf("something was lost: %+v", got)
		}
		if reference == nil {
			reference = &got
		}
		// What is seen first gives the id and is the source; nothing else may depend on the order.
		if diff := cmp.Diff(*reference, got, cmpopts.IgnoreFields(triage.Change{}, "ID", "ObservedAt", "Source"), cmpopts.EquateEmpty()); diff != "" {
			r.Errorf("the order matters (-first +this):\n%s", diff)
		}
	})
}

// collect runs the real collector over the real journal and returns the only Change there is then.
func collect(r *rapid.T, batches [][]triage.Event, reports []triage.Event) triage.Change {
	dir, err := os.MkdirTemp("", "rollout")
	if err != nil {
		r.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(context.Background())
	cfg := journal.DefaultConfig()
	cfg.Path = filepath.Join(dir, "triaged.db")
	store, err := journal.Open(ctx, journal.Options{Config: cfg})
	if err != nil {
		r.Fatal(err)
	}
	col, err := collector.New(collector.Options{Config: collector.DefaultConfig(), Journal: store, Directory: triage.NewDirectory(nil, nil)})
	if err != nil {
		r.Fatal(err)
	}
	done := make(chan error, 2)
	go func() { done <- store.Run(ctx) }()
	go func() { done <- col.Run(ctx) }()
	defer func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				r.Errorf("ended with %v", err)
			}
		}
		if err := store.Close(); err != nil {
			r.Error(err)
		}
	}()
	for _, b := range batches {
		if err := col.Emit(ctx, b); err != nil {
			r.Fatal(err)
		}
	}
	found, _, err := col.Find(ctx, triage.ChangeQuery{})
	if err != nil {
		r.Fatal(err)
	}
	if len(found) != 1 {
		for _, c := range found {
			r.Logf("%s %s %s refs %v", c.ID, c.Service, c.Environment, c.Refs)
		}
		r.Fatalf("want one Change, got %d", len(found))
	}
	for _, e := range reports {
		if to, err := store.ResolveChange(ctx, e.Change.ID); err != nil || to != found[0].ID {
			r.Errorf("%s leads to %q (%v), not to %s", e.Change.ID, to, err, found[0].ID)
		}
	}
	return found[0]
}
