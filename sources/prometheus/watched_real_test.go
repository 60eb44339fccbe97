package prometheus

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/triaged-dev/triaged/triage"
)

// silent is a system that nobody reports changes of, over eight hours, with what looks like changes and is none.
func silent(now time.Time) *recording {
	from := now.Add(-8 * time.Hour)
	rec := &recording{}
	since := func(at time.Time, minutes int) bool {
		return !at.Before(now.Add(-time.Duration(minutes) * time.Minute))
	}
	pick := func(yes bool, a, b float64) float64 {
		if yes {
			return a
		}
		return b
	}
	text := func(yes bool, a, b string) string {
		if yes {
			return a
		}
		return b
	}
	unix := func(minutes int) float64 { return float64(now.Add(-time.Duration(minutes) * time.Minute).Unix()) }
	family := func(name string, each func(at time.Time, sample func(string, float64))) {
		rec.family(name, from, now, time.Minute, each)
	}
	// kube-state-metrics is away from 100 to 90 minutes ago: api-config was written meanwhile, web-config was not.
	away := func(at time.Time) bool { return since(at, 100) && !since(at, 90) }
	family("kube_configmap_metadata_resource_version", func(at time.Time, sample func(string, float64)) {
		if away(at) {
			return
		}
		sample(`namespace="shop",configmap="api-config"`, pick(since(at, 95), 200, 100))
		sample(`namespace="shop",configmap="web-config"`, 50)
		sample(`namespace="shop",configmap="heartbeat"`, float64(at.Unix())) // written by a habit that no list names
		if since(at, 60) {
			sample(`namespace="shop",configmap="brand-new-config"`, 7) // first sight
		}
	})
	family("kube_secret_metadata_resource_version", func(at time.Time, sample func(string, float64)) {
		sample(`namespace="shop",secret="web-tls"`, pick(since(at, 79), 11, 10)) // where the certificate is kept
		sample(`namespace="shop",secret="api-credentials"`, pick(since(at, 75), 21, 20))
	})
	family("kube_horizontalpodautoscaler_info", func(_ time.Time, sample func(string, float64)) {
		sample(`namespace="shop",horizontalpodautoscaler="web-hpa",scaletargetref_kind="Rollout",scaletargetref_name="web"`, 1)
	})
	family("kube_horizontalpodautoscaler_spec_max_replicas", func(at time.Time, sample func(string, float64)) {
		sample(`namespace="shop",horizontalpodautoscaler="web-hpa"`, pick(since(at, 70) && !since(at, 20), 4, 10))
	})
	family("kube_horizontalpodautoscaler_spec_min_replicas", func(_ time.Time, sample func(string, float64)) {
		sample(`namespace="shop",horizontalpodautoscaler="web-hpa"`, 2)
	})
	family("kube_horizontalpodautoscaler_status_desired_replicas", func(at time.Time, sample func(string, float64)) {
		sample(`namespace="shop",horizontalpodautoscaler="web-hpa"`, pick(since(at, 65), 4, 3))
	})
	// One kernel after another; a node of the old sort comes besides, and a pool comes back that was there six hours ago.
	node := func(sample func(string, float64), name, kernel string) {
		sample(fmt.Sprintf(`node=%q,kernel_version=%q,os_image="Debian 12",kubelet_version="v1.31.2",container_runtime_version="containerd://1.7"`, name, kernel), 1)
	}
	family("kube_node_info", func(at time.Time, sample func(string, float64)) {
		node(sample, "n1", text(since(at, 50), "6.1.0-28", "6.1.0-27"))
		node(sample, "n2", text(since(at, 45), "6.1.0-28", "6.1.0-27"))
		if since(at, 120) {
			node(sample, "n3", text(since(at, 40), "6.1.0-28", "6.1.0-27"))
		}
		if !since(at, 400) || since(at, 110) && !since(at, 105) {
			node(sample, "spot", "5.10.0-1")
		}
	})
	// A certificate renewed, as its issuer and its visitors see it; and two behind one address that answer in turns.
	family("certmanager_certificate_expiration_timestamp_seconds", func(at time.Time, sample func(string, float64)) {
		sample(`job="cert-manager",namespace="shop",name="web"`, pick(since(at, 80), unix(-90*24*60), unix(-20*24*60)))
	})
	family("probe_ssl_earliest_cert_expiry", func(at time.Time, sample func(string, float64)) {
		sample(`job="blackbox",instance="https://web/"`, pick(since(at, 78), unix(-90*24*60), unix(-20*24*60)))
		sample(`job="blackbox",instance="https://turns.example/"`, pick(at.Minute()%2 == 0, unix(-50*24*60), unix(-40*24*60)))
	})
	// Reloads: of other contents, of the same, because the process began, and every ten minutes.
	family("alertmanager_config_hash", func(at time.Time, sample func(string, float64)) {
		sample(`job="alertmanager",instance="a:9093"`, pick(since(at, 30), 222, 111))
	})
	family("alertmanager_config_last_reload_success_timestamp_seconds", func(at time.Time, sample func(string, float64)) {
		v := unix(1000)
		if since(at, 30) {
			v = unix(30)
		}
		if since(at, 25) {
			v = unix(25) // the same again
		}
		sample(`job="alertmanager",instance="a:9093"`, v)
	})
	family("prometheus_config_last_reload_success_timestamp_seconds", func(at time.Time, sample func(string, float64)) {
		sample(`job="prometheus",instance="p:9090"`, pick(since(at, 35), unix(35), unix(1000)))
		sample(`job="restarted",instance="r:9090"`, pick(since(at, 33), unix(33), unix(1000)))
	})
	family("process_start_time_seconds", func(at time.Time, sample func(string, float64)) {
		sample(`job="prometheus",instance="p:9090"`, unix(1000))
		sample(`job="restarted",instance="r:9090"`, pick(since(at, 33), unix(33)-8, unix(1000)-8))
	})
	family("nginx_ingress_controller_config_last_reload_successful_timestamp_seconds", func(at time.Time, sample func(string, float64)) {
		sample(`job="ingress",instance="i:1"`, float64(at.Truncate(10*time.Minute).Unix()))
	})
	// A StatefulSet and a DaemonSet rolled out; the first one's pods also say their version themselves.
	family("kube_statefulset_status_observed_generation", func(at time.Time, sample func(string, float64)) {
		sample(`namespace="shop",statefulset="db"`, pick(since(at, 55), 6, 5))
		sample(`namespace="shop",statefulset="queue"`, pick(since(at, 54), 3, 2))
	})
	family("kube_pod_owner", func(_ time.Time, sample func(string, float64)) {
		sample(`namespace="shop",pod="db-0",owner_kind="StatefulSet",owner_name="db"`, 1)
		sample(`namespace="shop",pod="queue-0",owner_kind="StatefulSet",owner_name="queue"`, 1)
	})
	family("kube_pod_container_info", func(at time.Time, sample func(string, float64)) {
		sample(`namespace="shop",pod="db-0",container="db",image="reg/db:`+text(since(at, 53), "16.4", "16.3")+`"`, 1)
		sample(`namespace="shop",pod="queue-0",container="queue",image="reg/queue:3"`, 1)
	})
	family("db_build_info", func(at time.Time, sample func(string, float64)) {
		sample(`job="db",namespace="shop",version="`+text(since(at, 52), "16.4", "16.3")+`"`, 1)
	})
	// Without Kubernetes: a container by its name; what CoreDNS serves; and a gauge of one's own.
	family("container_start_time_seconds", func(at time.Time, sample func(string, float64)) {
		sample(`job="cadvisor",instance="host1",name="shop-mail-1",container_label_com_docker_compose_service="mail",image="reg/mail:`+text(since(at, 15), "v9", "v8")+`"`, 1)
	})
	family("coredns_reload_version_info", func(at time.Time, sample func(string, float64)) {
		sample(`job="coredns",hash="sha512",value="`+text(since(at, 12), "bbb", "aaa")+`"`, 1)
	})
	family("app_feature_enabled", func(at time.Time, sample func(string, float64)) {
		sample(`job="apps",app="pricing",feature="new-pricing"`, pick(since(at, 10), 1, 0))
		sample(`job="apps",app="pricing",feature="old-one"`, 1)
	})
	family("db_schema_info", func(at time.Time, sample func(string, float64)) {
		sample(`job="apps",app="orders",version="`+text(since(at, 8), "43", "42")+`"`, 1)
	})
	return rec
}

// What nobody reports is seen, once each, with how surely and by when; what only looks like a change is none.
func TestUnreportedChangesAgainstRealPrometheus(t *testing.T) {
	needPeer(t, "prometheus")
	now := time.Now().Truncate(10 * time.Minute).UTC()
	base := startPrometheus(t, silent(now), "global: {external_labels: {cluster: eu1, env: prod}}\n", nil)
	dir := triage.NewDirectory(map[string]triage.Service{"api": {}, "web": {}, "db": {}}, nil)
	s := newSource(t, base, dir, func(o *Options) {
		o.Config.QueriesPerMinute = 6000
		o.Now = func() time.Time { return now }
		o.Config.Changes.Watch = []WatchConfig{
			{Metric: "app_feature_enabled", Kind: "flag", Means: "setting", Name: []string{"feature"}, Service: []string{"app"}, What: "flag"},
			{Metric: "db_schema_info", Kind: "migration", Means: "label", Label: "version", Service: []string{"app"}, What: "schema"},
		}
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
		from, to := c.Moved()
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%.0f min ago ± %.0f s: %s %s: %s [%s → %s] %s by %.0f s %s%s", now.Sub(c.OccurredAt()).Minutes(), c.TimeUncertaintyS,
			c.Kind, c.Service, c.Title, from, to, c.Seen.Surely, c.Seen.LateS, c.Seen.In, map[bool]string{true: " (reaction)"}[c.Labels["controller"] != ""])))
	}
	want := []string{
		"93 min ago ± 210 s: config api: ConfigMap api-config changed [ → ] likely by 450 s kube_configmap_metadata_resource_version",
		"80 min ago ± 60 s: infra web: certificate of web replaced: valid until " + now.Add(90*day).Format(time.DateOnly) + " [ → ] certain by 150 s certmanager_certificate_expiration_timestamp_seconds",
		"76 min ago ± 60 s: config api: Secret api-credentials changed [ → ] likely by 150 s kube_secret_metadata_resource_version",
		"70 min ago ± 60 s: config web: autoscaler web-hpa: maxReplicas 10 → 4 [10 → 4] certain by 150 s kube_horizontalpodautoscaler_spec_max_replicas",
		"66 min ago ± 60 s: scale web: Rollout web scaled to 4 by its autoscaler [3 replicas → 4 replicas] certain by 150 s kube_horizontalpodautoscaler_status_desired_replicas (reaction)",
		"56 min ago ± 60 s: deploy db: StatefulSet db rolls out reg/db:16.4 [16.3 → 16.4] certain by 150 s kube_pod_container_info",
		"54 min ago ± 60 s: deploy queue: StatefulSet queue changed: generation 3 [ → ] likely by 150 s kube_statefulset_status_observed_generation",
		"50 min ago ± 60 s: infra : nodes: kernel version 6.1.0-27 → 6.1.0-28 [6.1.0-27 → 6.1.0-28] certain by 150 s kube_node_info",
		"35 min ago ± 0 s: config prometheus: prometheus reloaded its configuration [ → ] possible by 150 s prometheus_config_last_reload_success_timestamp_seconds",
		"30 min ago ± 0 s: config alertmanager: alertmanager reloaded its configuration, which differs [ → ] certain by 150 s alertmanager_config_last_reload_success_timestamp_seconds",
		"20 min ago ± 60 s: config web: autoscaler web-hpa: maxReplicas 4 → 10 [4 → 10] certain by 150 s kube_horizontalpodautoscaler_spec_max_replicas",
		"16 min ago ± 60 s: deploy mail: mail now runs reg/mail:v9 [v8 → v9] certain by 150 s container_start_time_seconds",
		"12 min ago ± 60 s: config coredns: coredns configuration changed [aaa → bbb] certain by 150 s coredns_reload_version_info",
		"10 min ago ± 60 s: flag pricing: flag new-pricing: 0 → 1 [0 → 1] certain by 150 s app_feature_enabled",
		"8 min ago ± 60 s: migration orders: orders schema changed [42 → 43] certain by 150 s db_schema_info",
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Errorf("changes (-want +got):\n%s", d)
	}
	for _, c := range got {
		if !c.Global {
			continue
		}
		var steps []string
		for _, st := range c.Steps {
			steps = append(steps, fmt.Sprintf("%.0f %% %.0f min ago", st.Percent, now.Sub(st.At).Minutes()))
		}
		if d := cmp.Diff([]string{"33 % 50 min ago", "67 % 45 min ago", "100 % 40 min ago"}, steps); d != "" || c.Status != triage.StatusSucceeded {
			t.Errorf("nodes, %s (-want +got):\n%s", c.Status, d)
		}
	}
	t.Run("what the file leaves out is not watched", func(t *testing.T) {
		s := newSource(t, base, dir, func(o *Options) {
			o.Config.QueriesPerMinute = 6000
			o.Now = func() time.Time { return now }
			o.Config.Changes.Without = []string{"kube_secret_metadata_resource_version", "probe_ssl_earliest_cert_expiry"}
		})
		again, err := s.Changes(t.Context(), now.Add(-150*time.Minute), now)
		if err != nil || len(again) != len(want)-3 { // the Secret, the flag, the schema
			t.Errorf("want %d changes, got %d, %v", len(want)-3, len(again), err)
		}
	})
}
