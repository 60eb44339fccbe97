package prometheus

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triaged-dev/triaged/triage"
)

// cluster is what kube-state-metrics and friends show of three hours: minutes ago of what happened are in the names below.
func cluster(now time.Time) *recording {
	from := now.Add(-3 * time.Hour)
	rec := &recording{}
	ago := func(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }
	since := func(at time.Time, minutes int) bool { return !at.Before(ago(minutes)) }
	pick := func(yes bool, a, b float64) float64 {
		if yes {
			return a
		}
		return b
	}
	family := func(name string, each func(at time.Time, sample func(string, float64))) {
		rec.family(name, from, now, 30*time.Second, each)
	}
	const oldRS, newRS = `namespace="shop",replicaset="cart-7d9f8b6c5d"`, `namespace="shop",replicaset="cart-5c6b7d8f9"`
	twice := func(sample func(string, float64), labels string, v float64) { // an HA pair read through one endpoint
		sample(labels+`,prometheus_replica="a"`, v)
		sample(labels+`,prometheus_replica="b"`, v)
	}
	// cart: a rollout 40 minutes ago, done 37 minutes ago, taken back 10 minutes ago.
	family("kube_replicaset_created", func(at time.Time, sample func(string, float64)) {
		twice(sample, oldRS, float64(ago(5000).Unix()))
		if since(at, 40) {
			twice(sample, newRS, float64(ago(40).Unix()))
		}
	})
	family("kube_replicaset_owner", func(at time.Time, sample func(string, float64)) {
		twice(sample, oldRS+`,owner_kind="Deployment",owner_name="cart"`, 1)
		if since(at, 40) {
			twice(sample, newRS+`,owner_kind="Deployment",owner_name="cart"`, 1)
		}
	})
	family("kube_replicaset_spec_replicas", func(at time.Time, sample func(string, float64)) {
		twice(sample, oldRS, pick(since(at, 10) || !since(at, 38), 3, 0))
		if since(at, 40) {
			twice(sample, newRS, pick(since(at, 10), 0, 3))
		}
	})
	family("kube_pod_owner", func(at time.Time, sample func(string, float64)) {
		if since(at, 10) || !since(at, 38) {
			twice(sample, `namespace="shop",pod="cart-7d9f8b6c5d-x2x9z",owner_kind="ReplicaSet",owner_name="cart-7d9f8b6c5d"`, 1)
		}
		if since(at, 40) && !since(at, 10) {
			twice(sample, `namespace="shop",pod="cart-5c6b7d8f9-b4b5b",owner_kind="ReplicaSet",owner_name="cart-5c6b7d8f9"`, 1)
		}
	})
	family("kube_pod_container_info", func(at time.Time, sample func(string, float64)) {
		if since(at, 10) || !since(at, 38) {
			twice(sample, `namespace="shop",pod="cart-7d9f8b6c5d-x2x9z",container="cart",image="reg.example/cart:v1"`, 1)
		}
		if since(at, 40) && !since(at, 10) {
			twice(sample, `namespace="shop",pod="cart-5c6b7d8f9-b4b5b",container="cart",image="reg.example:5000/cart:v2",image_id="reg.example:5000/cart@sha256:beef"`, 1)
			twice(sample, `namespace="shop",pod="cart-5c6b7d8f9-b4b5b",container="istio-proxy",image="istio/proxyv2:1.20"`, 1)
		}
	})
	family("http_requests_total", func(at time.Time, sample func(string, float64)) {
		n := at.Sub(from).Seconds()
		if since(at, 10) || !since(at, 38) {
			sample(`job="cart",namespace="shop",pod="cart-7d9f8b6c5d-x2x9z",code="200"`, n)
		}
		if since(at, 40) && !since(at, 10) {
			sample(`job="cart",namespace="shop",pod="cart-5c6b7d8f9-b4b5b",code="200"`, n)
			sample(`job="cart",namespace="shop",pod="cart-5c6b7d8f9-b4b5b",code="500"`, n)
		}
		sample(`job="cart",namespace="shop",pod="cart-by-hand",code="200"`, n)
	})
	// web: scaled by its autoscaler 25 minutes ago, at its maximum since. db: a StatefulSet rolled 30 minutes ago.
	family("kube_deployment_status_observed_generation", func(at time.Time, sample func(string, float64)) {
		sample(`namespace="shop",deployment="cart"`, pick(since(at, 40), 8, 7))
		sample(`namespace="shop",deployment="web"`, pick(since(at, 25), 3, 2))
	})
	for _, m := range []string{"kube_deployment_spec_replicas", "kube_deployment_status_replicas", "kube_deployment_status_replicas_available"} {
		family(m, func(at time.Time, sample func(string, float64)) {
			sample(`namespace="shop",deployment="cart"`, 3)
			sample(`namespace="shop",deployment="web"`, pick(since(at, 25), 6, 2))
		})
	}
	family("kube_deployment_status_replicas_updated", func(at time.Time, sample func(string, float64)) {
		sample(`namespace="shop",deployment="cart"`, pick(since(at, 40) && !since(at, 37), 1, 3))
		sample(`namespace="shop",deployment="web"`, pick(since(at, 25), 6, 2))
	})
	family("kube_horizontalpodautoscaler_info", func(_ time.Time, sample func(string, float64)) {
		sample(`namespace="shop",horizontalpodautoscaler="web",scaletargetref_kind="Deployment",scaletargetref_name="web"`, 1)
	})
	family("kube_horizontalpodautoscaler_spec_max_replicas", func(_ time.Time, sample func(string, float64)) {
		sample(`namespace="shop",horizontalpodautoscaler="web"`, 6)
	})
	family("kube_horizontalpodautoscaler_status_desired_replicas", func(at time.Time, sample func(string, float64)) {
		sample(`namespace="shop",horizontalpodautoscaler="web"`, pick(since(at, 25), 6, 2))
	})
	family("kube_statefulset_status_observed_generation", func(at time.Time, sample func(string, float64)) {
		sample(`namespace="shop",statefulset="db"`, pick(since(at, 30), 12, 11))
	})
	family("kube_statefulset_replicas", func(_ time.Time, sample func(string, float64)) { sample(`namespace="shop",statefulset="db"`, 3) })
	family("kube_configmap_metadata_resource_version", func(at time.Time, sample func(string, float64)) {
		sample(`namespace="shop",configmap="checkout-config"`, pick(since(at, 20), 812345, 712345))
		sample(`namespace="shop",configmap="controller-leader-election"`, float64(at.Unix()))
	})
	// billing reports a new version 50 minutes ago; an exporter's target flaps between 70 and 60 minutes ago.
	family("billing_build_info", func(at time.Time, sample func(string, float64)) {
		if since(at, 50) {
			sample(`job="shop/billing",namespace="shop",version="1.1"`, 1)
		} else {
			sample(`job="shop/billing",namespace="shop",version="1.0"`, 1)
		}
	})
	// Two services in one job: only one of them has a new version, and it is filed under its own name.
	family("shop_build_info", func(at time.Time, sample func(string, float64)) {
		sample(`job="shop-apps",namespace="shop",service="search",version="7"`, 1)
		sample(fmt.Sprintf(`job="shop-apps",namespace="shop",service="recommend",version="%.0f"`, pick(since(at, 48), 9, 8)), 1)
	})
	family("flappy_build_info", func(at time.Time, sample func(string, float64)) {
		if !since(at, 70) || since(at, 60) {
			sample(`job="flappy",version="3"`, 1)
		}
	})
	family("argocd_app_sync_total", func(at time.Time, sample func(string, float64)) {
		sample(`namespace="argocd",name="cart",dest_namespace="shop",phase="Succeeded"`, pick(since(at, 36), 5, 4))
		sample(`namespace="argocd",name="payments",dest_namespace="pay",phase="Failed"`, pick(since(at, 12), 2, 1))
	})
	family("prometheus_config_last_reload_success_timestamp_seconds", func(at time.Time, sample func(string, float64)) {
		sample(`job="monitoring/prometheus",instance="p:9090"`, pick(since(at, 15), float64(ago(15).Unix()), float64(ago(9000).Unix())))
	})
	family("probe_ssl_earliest_cert_expiry", func(_ time.Time, sample func(string, float64)) {
		sample(`job="blackbox",instance="https://shop.example/health"`, float64(ago(5).Unix()))
		sample(`job="blackbox",instance="https://pay.example/"`, float64(now.Add(30*day).Unix()))
	})
	return rec
}

func TestChangesAgainstRealPrometheus(t *testing.T) {
	needPeer(t, "prometheus")
	now := time.Now().Truncate(time.Minute).UTC()
	base := startPrometheus(t, cluster(now), "global: {scrape_interval: 30s, external_labels: {cluster: eu1, env: prod}}\n", nil)
	dir := triage.NewDirectory(map[string]triage.Service{"checkout": {}, "cart": {}}, nil)
	s := newSource(t, base, dir, func(o *Options) {
		o.Config.QueriesPerMinute = 6000
		o.Now = func() time.Time { return now }
	})
	got, err := s.Changes(t.Context(), now.Add(-150*time.Minute), now)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range got {
		if err := c.Validate(""); err != nil {
			t.Errorf("%s: %v", c.ID, err)
		}
		if c.Environment != "production" || c.Cluster != "eu1" || c.Source != "test" {
			t.Errorf("%s: scope %+v", c.ID, c.Scope)
		}
		lines = append(lines, fmt.Sprintf("%.0f min ago: %s %s %s %s %q→%q controller=%q undoes=%v", now.Sub(c.OccurredAt()).Minutes(),
			c.Kind, c.Status, c.Service, strings.TrimPrefix(string(c.ID), "test:"), c.PreviousVersion, c.Version, c.Labels["controller"], c.Undoes))
	}
	at := func(minutes int) string { return fmt.Sprint(now.Add(-time.Duration(minutes) * time.Minute).Unix()) }
	want := []string{
		`50 min ago: deploy started billing version/billing_build_info/shop/shop/billing/1.1@` + now.Add(-50*time.Minute).Format(time.RFC3339) + ` "1.0"→"1.1" controller="" undoes=[]`,
		`48 min ago: deploy started recommend version/shop_build_info/shop/shop-apps/recommend/9@` + now.Add(-48*time.Minute).Format(time.RFC3339) + ` "8"→"9" controller="" undoes=[]`,
		`40 min ago: deploy succeeded cart replicaset//shop/cart-5c6b7d8f9 "v1"→"v2" controller="" undoes=[]`,
		`30 min ago: deploy started db statefulset//shop/db@12 ""→"" controller="" undoes=[]`,
		`26 min ago: scale succeeded web deployment//shop/web@` + at(25) + ` "2 replicas"→"6 replicas" controller="horizontalpodautoscaler" undoes=[]`,
		`20 min ago: config succeeded checkout configmap//shop/checkout-config@812345 ""→"" controller="" undoes=[]`,
		`15 min ago: config succeeded prometheus reload//prometheus@` + at(15) + ` ""→"" controller="" undoes=[]`,
		`12 min ago: deploy failed payments argocd/payments@` + at(12) + ` ""→"" controller="" undoes=[]`,
		`10 min ago: rollback  cart replicaset//shop/cart-7d9f8b6c5d@` + at(10) + ` "v2"→"v1" controller="" undoes=[test:replicaset//shop/cart-5c6b7d8f9]`,
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Errorf("changes (-want +got):\n%s", d)
	}
	i := slices.IndexFunc(got, func(c triage.Change) bool { return c.Labels["replicaset"] == "cart-5c6b7d8f9" })
	if i < 0 {
		t.Fatal("no rollout of cart")
	}
	c := got[i]
	if !c.StartedAt.Equal(now.Add(-40*time.Minute)) || c.Digest != "sha256:beef" || c.Labels["argocd_app"] != "cart" || c.Reversible.Value != triage.ReversibleYes {
		t.Errorf("rollout: %+v", c)
	}
	if d := now.Sub(c.FinishedAt).Minutes(); d < 36 || d > 37 {
		t.Errorf("rollout finished %.0f minutes ago", d)
	}

	t.Run("split by version without a version label", func(t *testing.T) {
		got, err := s.Signals(t.Context(), triage.SignalQuery{Services: []string{"cart"}, From: now.Add(-time.Hour), To: now, SplitBy: []string{"version"}})
		if err != nil {
			t.Fatal(err)
		}
		at20 := make(map[string]string)
		for _, sr := range got {
			at20[string(sr.Signal)+" "+sr.Labels["version"]] = fmt.Sprintf("%.2f", valueAt(sr, now.Add(-20*time.Minute)))
		}
		want := map[string]string{
			"traffic v1": "NaN", "traffic v2": "2.00", "traffic ": "1.00", "errors v1": "NaN", "errors v2": "0.50", "errors ": "0.00",
		}
		if d := cmp.Diff(want, at20); d != "" {
			t.Errorf("20 minutes ago (-want +got):\n%s", d)
		}
	})
	t.Run("follower", func(t *testing.T) {
		f := newFollower(s)
		c := &collect{err: fmt.Errorf("store is full")}
		if err := f.evaluate(t.Context(), c.emit); err == nil {
			t.Fatal("an error of emit must come back")
		}
		c.err = nil
		if err := f.evaluate(t.Context(), c.emit); err != nil {
			t.Fatal(err)
		}
		var anomalies []string
		changes := 0
		for _, e := range c.events {
			if e.Anomaly != nil {
				anomalies = append(anomalies, e.Anomaly.Series+" "+e.Anomaly.Service)
				if err := e.Anomaly.Validate(""); err != nil {
					t.Error(err)
				}
			} else {
				changes++
			}
		}
		slices.Sort(anomalies)
		if d := cmp.Diff([]string{"autoscaler at its maximum: web web", "certificate expired: shop.example shop.example"}, anomalies); d != "" {
			t.Error(d)
		}
		if changes != len(want) {
			t.Errorf("want %d changes, got %d", len(want), changes)
		}
		if n := testutil.ToFloat64(s.client.m.changes.WithLabelValues(string(triage.SurelyCertain))); n != 5 {
			t.Errorf("want 5 changes counted as certain, got %g", n)
		}
		before := len(c.events)
		if err := f.evaluate(t.Context(), c.emit); err != nil || len(c.events) != before {
			t.Errorf("nothing new: %v, %d more events", err, len(c.events)-before)
		}
	})
}
