package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// ksm are the labels that kube-state-metrics' alerts carry of the exporter itself, beside those of the object.
func ksm(more ...string) map[string]string {
	return labelled(append([]string{
		"job", "kube-state-metrics", "service", "kube-prometheus-stack-kube-state-metrics", "container", "kube-state-metrics",
		"endpoint", "http", "instance", "10.244.1.7:8080", "prometheus", "monitoring/k8s", "namespace", "shop",
	}, more...)...)
}

func labelled(pairs ...string) map[string]string {
	out := map[string]string{"severity": "critical"}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

// The alerts that come with kube-prometheus, with the labels their rules leave: each must be about the workload, never about
// the exporter that measured it, and say which label and which rule told so.
func TestStockAlertsNameTheWorkload(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, `
services:
  checkout: {aliases: [checkout-web]}
  payments: {}
incidents: {join_hops: 0, join_within: 0s, second_looks: []}
`)
	// In kube-prometheus most rules aggregate or keep the exporter's labels; both forms are here.
	for _, tc := range []struct {
		alert         string
		labels        map[string]string
		service, from string
		rule          triage.NameRule
	}{
		{"KubePodCrashLooping", ksm("pod", "cart-7d9f8b6c5d-x2x9z", "container", "app", "uid", "1", "reason", "CrashLoopBackOff"), "cart", "label pod", triage.NameUnknown},
		{"KubePodNotReady", labelled("namespace", "shop", "pod", "search-5f6d7c8b9-k4k2w", "cluster", "eu1"), "search", "label pod", triage.NameUnknown},
		{"KubeContainerWaiting", ksm("pod", "orders-0", "container", "app", "reason", "ImagePullBackOff"), "orders", "label pod", triage.NameUnknown},
		{"KubeDeploymentReplicasMismatch", ksm("deployment", "checkout-web"), "checkout", "label deployment: checkout-web is an alias of checkout", triage.NameAlias},
		{"KubeDeploymentGenerationMismatch", ksm("deployment", "prod-payments-svc"), "payments", "label deployment: prod-payments-svc without its affixes is payments", triage.NameNormalised},
		{"KubeDeploymentRolloutStuck", ksm("deployment", "invoices", "condition", "Progressing"), "invoices", "label deployment", triage.NameUnknown},
		{"KubeStatefulSetReplicasMismatch", ksm("statefulset", "ledger-db"), "ledger-db", "label statefulset", triage.NameUnknown},
		{"KubeStatefulSetUpdateNotRolledOut", ksm("statefulset", "queue"), "queue", "label statefulset", triage.NameUnknown},
		{"KubeDaemonSetRolloutStuck", ksm("daemonset", "log-agent"), "log-agent", "label daemonset", triage.NameUnknown},
		{"KubeHpaMaxedOut", ksm("horizontalpodautoscaler", "web"), "web", "label horizontalpodautoscaler", triage.NameUnknown},
		{"KubeJobFailed", ksm("job_name", "report-28391820"), "report", "label job_name", triage.NameUnknown},
		{"KubePersistentVolumeFillingUp", labelled("job", "kubelet", "service", "kubelet", "namespace", "shop", "persistentvolumeclaim", "data-mail-0", "node", "n1", "instance", "10.0.0.1:10250", "metrics_path", "/metrics"), "mail", "label persistentvolumeclaim", triage.NameUnknown},
		{"CPUThrottlingHigh", labelled("namespace", "shop", "pod", "images-7d9f8b6c5d-x2x9z", "container", "images", "cluster", "eu1"), "images", "label pod", triage.NameUnknown},
		{"TargetDown", labelled("job", "profile", "namespace", "shop", "service", "profile", "cluster", "eu1"), "profile", "label service", triage.NameUnknown},
		{"NodeFilesystemSpaceFillingUp", labelled("job", "node-exporter", "instance", "worker-7:9100", "namespace", "monitoring", "pod", "node-exporter-x2x9z", "container", "node-exporter", "service", "kube-prometheus-stack-prometheus-node-exporter", "device", "/dev/sda1", "mountpoint", "/"), "", "label instance", triage.NameUnknown},
		{"BlackboxProbeFailed", labelled("job", "blackbox", "instance", "https://shop.example/health", "service", "blackbox-exporter", "namespace", "monitoring"), "shop.example", "label instance", triage.NameUnknown},
		{"PostgresqlDown", labelled("job", "postgres-exporter", "instance", "postgres-exporter:9187", "service", "postgres-exporter", "namespace", "data"), "", "", triage.NameUnknown},
	} {
		t.Run(tc.alert, func(t *testing.T) {
			tc.labels["alertname"] = tc.alert
			d.post(t, "/api/v2/alerts", []any{map[string]any{"labels": tc.labels, "startsAt": time.Now().UTC().Format(time.RFC3339Nano)}})
			var found triage.Incident
			eventually(t, 5*time.Second, "an incident", func() error {
				var page struct{ Items []triage.Incident }
				if err := d.get("/api/v1/incidents?limit=100", &page); err != nil {
					return err
				}
				for _, inc := range page.Items {
					if len(inc.Alerts) == 1 && inc.Alerts[0].Name() == tc.alert {
						found = inc
						return nil
					}
				}
				return fmt.Errorf("%s is in none of %d incidents", tc.alert, len(page.Items))
			})
			// The label's value may stand behind its name, and how it was joined after that.
			from, _, _ := strings.Cut(found.ServiceFrom, "=")
			want, _, _ := strings.Cut(tc.from, ":")
			if _, how, joined := strings.Cut(tc.from, ": "); joined && !strings.HasSuffix(found.ServiceFrom, ": "+how) {
				t.Errorf("want it joined as %q, got %q", how, found.ServiceFrom)
			}
			from, _, _ = strings.Cut(from, ":")
			if found.Service != tc.service || from != want || found.ServiceRule != tc.rule {
				t.Errorf("want %q from %q by rule %q, got %q from %q by rule %q", tc.service, tc.from, tc.rule, found.Service, found.ServiceFrom, found.ServiceRule)
			}
		})
	}
}
