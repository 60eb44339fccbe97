package prometheus

import (
	"maps"
	"testing"
)

func TestVictim(t *testing.T) {
	ksm := func(more map[string]string) map[string]string {
		ls := map[string]string{
			"job": "kube-state-metrics", "service": "kps-kube-state-metrics", "container": "kube-state-metrics", "endpoint": "http",
			"instance": "ksm.monitoring.svc:8080", "prometheus": "monitoring/k8s", "severity": "warning", "namespace": "shop",
		}
		maps.Copy(ls, more)
		return ls
	}
	for _, tt := range []struct {
		name          string
		labels        map[string]string
		service, from string
	}{
		{"own metrics", map[string]string{"service": "checkout", "job": "checkout"}, "checkout", "label service"},
		{"OTLP job", map[string]string{"job": "shop/checkout", "instance": "abc"}, "checkout", "label job"},
		{"app before job", map[string]string{"app": "cart", "job": "kubernetes-pods"}, "cart", "label app"},
		{"aggregated by service_name", map[string]string{"service_name": "cart", "severity": "page"}, "cart", "label service_name"},
		{"KubePodCrashLooping", ksm(map[string]string{"alertname": "KubePodCrashLooping", "pod": "cart-7d9f8b6c5d-x2x9z", "container": "app", "reason": "CrashLoopBackOff"}), "cart", "label pod"},
		{"KubePodNotReady", ksm(map[string]string{"pod": "cart-worker-7d9f8b6c5d-x2x9z"}), "cart-worker", "label pod"},
		{"KubeDeploymentReplicasMismatch", ksm(map[string]string{"deployment": "checkout"}), "checkout", "label deployment"},
		{"KubeStatefulSetReplicasMismatch", ksm(map[string]string{"statefulset": "db"}), "db", "label statefulset"},
		{"KubeDaemonSetRolloutStuck", ksm(map[string]string{"daemonset": "fluentd"}), "fluentd", "label daemonset"},
		{"KubeDaemonSet of an exporter", ksm(map[string]string{"daemonset": "node-exporter"}), "node-exporter", "label daemonset"},
		{"KubeHpaMaxedOut", ksm(map[string]string{"horizontalpodautoscaler": "web"}), "web", "label horizontalpodautoscaler"},
		{"KubeJobFailed", ksm(map[string]string{"job_name": "report-28391820"}), "report", "label job_name"},
		{"stateful pod", ksm(map[string]string{"pod": "db-2"}), "db", "label pod"},
		{"daemon pod", ksm(map[string]string{"pod": "agent-x2x9z"}), "agent", "label pod"},
		{"cron pod", ksm(map[string]string{"pod": "report-28391820-x2x9z"}), "report", "label pod"},
		{"pod of no pattern", ksm(map[string]string{"pod": "etcd-master"}), "etcd-master", "label pod"},
		{"KubeQuotaExceeded", ksm(nil), "shop", "label namespace"},
		{"KubePersistentVolumeFillingUp", map[string]string{"job": "kubelet", "service": "kps-kubelet", "namespace": "shop", "persistentvolumeclaim": "data-db-0", "node": "n1", "instance": "10.0.0.1:10250"}, "data-db-0", "label persistentvolumeclaim"},
		{"CPUThrottlingHigh", map[string]string{"namespace": "shop", "pod": "cart-7d9f8b6c5d-x2x9z", "container": "cart"}, "cart", "label container"},
		{"container metrics of cadvisor", map[string]string{"job": "cadvisor", "namespace": "shop", "pod": "cart-7d9f8b6c5d-x2x9z", "container": "app"}, "cart", "label pod"},
		{"blackbox", map[string]string{"job": "blackbox", "instance": "https://shop.example:8443/health"}, "shop.example", "label instance"},
		{"blackbox with target", map[string]string{"job": "blackbox-http", "target": "shop.example/health", "namespace": "monitoring"}, "shop.example", "label target"},
		{"node exporter by name", map[string]string{"job": "node-exporter", "instance": "worker-7:9100", "namespace": "monitoring", "pod": "node-exporter-x2x9z", "container": "node-exporter"}, "worker-7", "label instance"},
		{"node exporter by address", map[string]string{"job": "node-exporter", "instance": "10.1.2.3:9100", "namespace": "monitoring", "container": "node-exporter"}, "", ""},
		{"database exporter", map[string]string{"job": "postgres-exporter", "instance": "postgres-exporter:9187", "namespace": "data"}, "", ""},
		{"database exporter with app", map[string]string{"job": "mysqld-exporter", "app": "orders-db", "instance": "10.0.0.9:9104"}, "orders-db", "label app"},
		{"only a pod", map[string]string{"pod": "cart-7d9f8b6c5d-x2x9z"}, "cart", "label pod"},
		{"IPv6 target", map[string]string{"job": "blackbox", "instance": "[::1]:80"}, "", ""},
		{"nothing", map[string]string{"severity": "page"}, "", ""},
		{"no labels", nil, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			service, from := Victim(tt.labels, DefaultVictimRules())
			if service != tt.service || from != tt.from {
				t.Errorf("want %q from %q, got %q from %q", tt.service, tt.from, service, from)
			}
		})
	}
}

// Whatever the labels, the victim is never what only reports: an exporter is one only where kube-state-metrics tells of it.
func FuzzVictimIsNeverAnExporter(f *testing.F) {
	f.Add("kube-state-metrics", "kps-kube-state-metrics", "cart-7d9f8b6c5d-x2x9z", "10.0.0.1:8080", "shop")
	f.Add("blackbox", "", "", "https://[bad", "")
	f.Fuzz(func(t *testing.T, job, service, pod, instance, namespace string) {
		rules := DefaultVictimRules()
		if !isExporter(stripNamespace(job), rules) {
			t.Skip("not an exporter")
		}
		got, from := Victim(map[string]string{"job": job, "service": service, "pod": pod, "instance": instance, "namespace": namespace}, rules)
		if reportsObjects(stripNamespace(job)) && !reportsObjects(got) {
			return
		}
		if got != "" && from != "label namespace" && isExporter(got, rules) {
			t.Errorf("%q from %q", got, from)
		}
	})
}
