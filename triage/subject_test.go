package triage

import (
	"maps"
	"strings"
	"testing"
)

// ksm are the labels kube-state-metrics gets by its ServiceMonitor when its own series are not honoured over.
func ksm(more map[string]string) map[string]string {
	ls := map[string]string{
		"job": "kube-state-metrics", "service": "kps-kube-state-metrics", "container": "kube-state-metrics", "endpoint": "http",
		"instance": "ksm.monitoring.svc:8080", "prometheus": "monitoring/k8s", "severity": "warning", "namespace": "shop",
	}
	maps.Copy(ls, more)
	return ls
}

const cartPod = "cart-7d9f8b6c5d-x2x9z"

func TestSubjectOf(t *testing.T) {
	type ls = map[string]string
	for _, tt := range []struct {
		name                string
		labels              ls
		service, node, from string
	}{
		{"own metrics", ls{"service": "checkout", "job": "checkout"}, "checkout", "", "label service=checkout"},
		{"OTLP job", ls{"job": "shop/checkout", "instance": "abc"}, "checkout", "", "label job=shop/checkout"},
		{"app before job", ls{"app": "cart", "job": "kubernetes-pods"}, "cart", "", "label app=cart"},
		{"aggregated by service_name", ls{"service_name": "cart", "severity": "page"}, "cart", "", "label service_name=cart"},
		{"a name in UTF-8", ls{"service.name": "cart", "deployment.environment.name": "production"}, "cart", "", "label service_name=cart"},
		{"workload in UTF-8", ls{"k8s.deployment.name": "cart", "k8s.namespace.name": "shop"}, "cart", "", "label k8s_deployment_name=cart"},
		{"Kubernetes label in UTF-8", ls{"app.kubernetes.io/name": "cart"}, "cart", "", "label app_kubernetes_io_name=cart"},
		{"pod in UTF-8", ls{"k8s.pod.name": cartPod}, "cart", "", "label k8s_pod_name=" + cartPod + ", its owner"},

		{"sloth", ls{"sloth_id": "cart-requests-availability", "sloth_service": "cart", "sloth_slo": "requests-availability"}, "cart", "", "label sloth_service=cart"},
		{"sloth, by the id alone", ls{"sloth_id": "cart-requests-availability", "sloth_slo": "requests-availability"}, "cart", "", "label sloth_id=cart-requests-availability"},
		{"pyrra", ls{"slo": "cart-errors", "job": "cart", "exhaustion": "4d", "long": "1h", "short": "5m"}, "cart", "", "label job=cart"},
		{"pyrra, by the objective alone", ls{"slo": "cart-http-availability", "namespace": "monitoring", "exhaustion": "4d"}, "cart", "", "label slo=cart-http-availability"},

		{"PodMonitor", ls{"job": "shop/cart", "namespace": "shop", "pod": cartPod, "container": "app"}, "cart", "", "label pod=" + cartPod + ", its owner"},
		{"PodMonitor without the pod", ls{"job": "shop/cart", "namespace": "shop", "container": "app"}, "cart", "", "label job=shop/cart"},
		{"ServiceMonitor", ls{"job": "cart", "service": "cart", "namespace": "shop", "pod": "cart-v2-7d9f8b6c5d-x2x9z", "container": "app", "endpoint": "http"}, "cart", "", "label service=cart"},
		{"a Service that only carries metrics", ls{"job": "cart-metrics", "service": "cart-metrics", "pod": cartPod, "endpoint": "metrics"}, "cart", "", "label pod=" + cartPod + ", its owner"},
		{"sidecar of Istio", ls{"namespace": "shop", "pod": cartPod, "container": "istio-proxy"}, "cart", "", "label pod=" + cartPod + ", its owner"},
		{"sidecar alone", ls{"namespace": "shop", "container": "linkerd-proxy"}, "", "", ""},
		{"sandbox alone", ls{"namespace": "shop", "container": "POD"}, "", "", ""},
		{"container of no name", ls{"namespace": "shop", "container": "app"}, "", "", ""},
		{"container alone", ls{"namespace": "shop", "container": "cart"}, "cart", "", "label container=cart"},
		{"pod before container", ls{"namespace": "shop", "pod": "cart-7d9f8b6c5d-x2x9z", "container": "php-fpm"}, "cart", "", "label pod=" + cartPod + ", its owner"},
		{"DaemonSet of log shippers", ksm(ls{"daemonset": "fluent-bit"}), "fluent-bit", "", "label daemonset=fluent-bit"},
		{"a Deployment called worker", ksm(ls{"deployment": "worker"}), "worker", "", "label deployment=worker"},

		{"ingress-nginx", ls{
			"job": "ingress-nginx-controller-metrics", "service": "ingress-nginx-controller-metrics", "exported_service": "cart", "exported_namespace": "shop",
			"ingress": "cart-public", "namespace": "ingress-nginx", "pod": "ingress-nginx-controller-7d9f8b6c5d-x2x9z", "container": "controller",
		}, "cart", "", "label exported_service=cart"},
		{"ingress-nginx, by ingress alone", ls{"job": "ingress-nginx", "service": "ingress-nginx-controller", "ingress": "cart"}, "cart", "", "label ingress=cart"},
		{"Traefik", ls{"job": "traefik", "service": "traefik", "exported_service": "cart@docker"}, "cart", "", "label exported_service=cart@docker"},
		{"Traefik on Kubernetes", ls{"job": "traefik", "service": "shop-cart-80@kubernetes"}, "shop-cart", "", "label service=shop-cart-80@kubernetes"},
		{"Kong", ls{"job": "kong", "exported_service": "shop.cart.80"}, "cart", "", "label exported_service=shop.cart.80"},
		{"Contour", ls{"job": "envoy", "envoy_cluster_name": "shop/cart/80/da39a3ee5e"}, "cart", "", "label envoy_cluster_name=shop/cart/80/da39a3ee5e"},
		{"Envoy of Istio", ls{"service": "gateway", "upstream_cluster": "outbound|8080||cart.shop.svc.cluster.local"}, "cart", "", "label upstream_cluster=outbound|8080||cart.shop.svc.cluster.local"},
		{"HAProxy", ls{"job": "haproxy", "backend": "be_cart", "instance": "10.0.0.1:8404"}, "cart", "", "label backend=be_cart"},
		{"exporter of any name", ls{"job": "our-own-thing", "service": "our-own-thing", "exported_job": "shop/cart", "namespace": "tools", "pod": "our-own-thing-0"}, "cart", "", "label exported_job=shop/cart"},
		{"pushgateway", ls{"job": "pushgateway", "exported_job": "nightly-report"}, "nightly-report", "", "label exported_job=nightly-report"},
		{"federated probe", ls{"job": "federate", "exported_job": "blackbox", "exported_instance": "https://cart.example/health"}, "cart.example", "", "label exported_instance=https://cart.example/health"},
		{"exported pod", ls{"job": "dcgm-exporter", "exported_pod": cartPod, "exported_namespace": "shop", "exported_container": "app", "pod": "dcgm-exporter-x2x9z", "namespace": "gpu"}, "cart", "", "label exported_pod=" + cartPod + ", its owner"},

		{"Istio", ls{"destination_service_name": "cart", "destination_workload": "cart", "destination_workload_namespace": "shop", "reporter": "destination"}, "cart", "", "label destination_workload=cart"},
		{"Istio, from the caller", ls{"source_workload": "web", "destination_service": "cart.shop.svc.cluster.local", "destination_workload": "unknown", "reporter": "source", "pod": "web-7d9f8b6c5d-x2x9z"}, "cart", "", "label destination_service=cart.shop.svc.cluster.local"},
		{"Linkerd", ls{"deployment": "web", "dst_deployment": "cart", "direction": "outbound"}, "cart", "", "label dst_deployment=cart"},
		{"service graph", ls{"client": "web", "server": "cart"}, "cart", "", "label server=cart"},
		{"target_service", ls{"job": "canary", "target_service": "cart"}, "cart", "", "label target_service=cart"},

		{"KubePodCrashLooping", ksm(ls{"pod": cartPod, "container": "app", "reason": "CrashLoopBackOff", "uid": "x"}), "cart", "", "label pod=" + cartPod + ", its owner"},
		{"KubePodNotReady", ksm(ls{"pod": "cart-worker-7d9f8b6c5d-x2x9z"}), "cart-worker", "", "label pod=cart-worker-7d9f8b6c5d-x2x9z, its owner"},
		{"a hash with vowels", ksm(ls{"pod": "cart-7c9f8b6c5d-abcde"}), "cart", "", "label pod=cart-7c9f8b6c5d-abcde, its owner"},
		{"KubeDeploymentReplicasMismatch", ksm(ls{"deployment": "checkout"}), "checkout", "", "label deployment=checkout"},
		{"KubeStatefulSetReplicasMismatch", ksm(ls{"statefulset": "db"}), "db", "", "label statefulset=db"},
		{"DaemonSet of an exporter", ksm(ls{"daemonset": "node-exporter"}), "node-exporter", "", "label daemonset=node-exporter"},
		{"KubeHpaMaxedOut", ksm(ls{"horizontalpodautoscaler": "web-hpa"}), "web", "", "label horizontalpodautoscaler=web-hpa"},
		{"KubeJobFailed", ksm(ls{"job_name": "report-28391820"}), "report", "", "label job_name=report-28391820"},
		{"stateful pod", ksm(ls{"pod": "db-2"}), "db", "", "label pod=db-2, its owner"},
		{"daemon pod", ksm(ls{"pod": "agent-x2x9z"}), "agent", "", "label pod=agent-x2x9z, its owner"},
		{"cron pod", ksm(ls{"pod": "report-28391820-x2x9z"}), "report", "", "label pod=report-28391820-x2x9z, its owner"},
		{"pod of Knative", ksm(ls{"pod": "cart-00004-deployment-7d9f8b6c5d-x2x9z"}), "cart", "", "label pod=cart-00004-deployment-7d9f8b6c5d-x2x9z, its owner"},
		{"pod of no pattern", ksm(ls{"pod": "etcd-master"}), "etcd-master", "", "label pod=etcd-master"},
		{"a namespace is no service", ksm(nil), "", "", ""},
		{"KubePersistentVolumeFillingUp", ls{"job": "kubelet", "service": "kps-kubelet", "namespace": "shop", "persistentvolumeclaim": "data-orders-db-0", "node": "n1", "instance": "10.0.0.1:10250"}, "orders-db", "", "label persistentvolumeclaim=data-orders-db-0, its owner"},
		{"container metrics of cadvisor", ls{"job": "cadvisor", "namespace": "shop", "pod": cartPod, "container": "app", "node": "n1"}, "cart", "", "label pod=" + cartPod + ", its owner"},
		{"cadvisor beside compose", ls{"job": "cadvisor", "name": "shop_cart_1", "image": "cart:1", "instance": "cadvisor:8080"}, "cart", "", "label name=shop_cart_1"},

		{"KubeNodeNotReady", ksm(ls{"namespace": "monitoring", "node": "node-02", "pod": "kps-kube-state-metrics-7c9f8b6c5d-abcde", "condition": "Ready", "status": "true"}), "", "node-02", "label node=node-02, a node"},
		{"KubeletTooManyPods", ls{"job": "kubelet", "node": "node-02", "namespace": "kube-system"}, "", "node-02", "label node=node-02, a node"},
		{"node exporter by name", ls{"job": "node-exporter", "instance": "worker-7:9100", "namespace": "monitoring", "pod": "node-exporter-x2x9z", "container": "node-exporter"}, "", "worker-7", "label instance=worker-7:9100, a node"},
		{"node exporter by address", ls{"job": "node-exporter", "instance": "10.1.2.3:9100", "namespace": "monitoring"}, "", "10.1.2.3", "label instance=10.1.2.3:9100, a node"},
		{"node exporter of VMs", ls{"job": "node", "instance": "10.1.2.3:9100", "device": "sda"}, "", "10.1.2.3", "label instance=10.1.2.3:9100, a node"},
		{"an instance of the usual port", ls{"instance": "worker-7:9100"}, "", "worker-7", "label instance=worker-7:9100, a node"},
		{"systemd unit", ls{"job": "node-exporter", "instance": "worker-7:9100", "name": "cart.service", "state": "failed"}, "cart", "", "label name=cart.service"},

		{"blackbox", ls{"job": "blackbox", "instance": "https://shop.example:8443/health"}, "shop.example", "", "label instance=https://shop.example:8443/health"},
		{"blackbox inside", ls{"job": "blackbox", "instance": "http://cart.shop.svc:8080/health"}, "cart", "", "label instance=http://cart.shop.svc:8080/health"},
		{"blackbox with target", ls{"job": "blackbox-http", "target": "shop.example/health", "namespace": "monitoring"}, "shop.example", "", "label target=shop.example/health"},
		{"Probe resource", ls{"job": "probe/shop/cart", "instance": "https://cart.example", "namespace": "shop"}, "cart", "", "label job=probe/shop/cart"},
		{"database exporter", ls{"job": "postgres-exporter", "instance": "postgres-exporter:9187", "namespace": "data"}, "", "", ""},
		{"database exporter of many", ls{"job": "mysqld-exporter", "instance": "orders-db:3306"}, "orders-db", "", "label instance=orders-db:3306"},
		{"database exporter with app", ls{"job": "mysqld-exporter", "app": "orders-db", "instance": "10.0.0.9:9104"}, "orders-db", "", "label app=orders-db"},
		{"database exporter in the database's pod", ls{"job": "postgres-exporter", "pod": "orders-db-0", "container": "exporter", "namespace": "shop", "endpoint": "metrics", "service": "orders-db-metrics"}, "orders-db", "", "label pod=orders-db-0, its owner"},
		{"consumer group", ls{"job": "kafka-exporter", "consumergroup": "cart-consumers", "topic": "orders"}, "cart", "", "label consumergroup=cart-consumers"},
		{"consumer group beside the broker", ls{"job": "kafka", "consumergroup": "cart", "topic": "orders"}, "cart", "", "label consumergroup=cart"},
		{"queue", ls{"job": "rabbitmq", "queue": "orders"}, "rabbitmq", "", "label job=rabbitmq"},
		{"Argo CD application", ls{"job": "argocd-metrics", "name": "cart", "dest_namespace": "shop", "project": "default"}, "cart", "", "label name=cart"},
		{"Spring application", ls{"application": "cart", "instance": "10.0.0.9:8080", "job": "spring"}, "cart", "", "label application=cart"},
		{"IPv6 target", ls{"job": "blackbox", "instance": "[::1]:80"}, "", "", ""},
		{"a template nobody filled", ls{"service": "{{ $labels.service }}", "job": "cart"}, "cart", "", "label job=cart"},
		{"nothing", ls{"severity": "page"}, "", "", ""},
		{"no labels", nil, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := SubjectOf(tt.labels, nil)
			if got.Service != tt.service || got.Node != tt.node || got.From != tt.from {
				t.Errorf("want %q, node %q, from %q\ngot  %q, node %q, from %q", tt.service, tt.node, tt.from, got.Service, got.Node, got.From)
			}
		})
	}
}

// What the metrics say of a pod's owner goes before what its name looks like.
func TestSubjectOfAsksForOwners(t *testing.T) {
	owners := func(namespace, pod string) string {
		return map[string]string{"shop/web-x2x9z": "storefront"}[namespace+"/"+pod]
	}
	if got := SubjectOf(map[string]string{"namespace": "shop", "pod": "web-x2x9z", "container": "php"}, owners); got.Service != "storefront" {
		t.Errorf("want storefront, got %+v", got)
	}
	if got := SubjectOf(map[string]string{"namespace": "shop", "pod": cartPod}, owners); got.Service != "cart" {
		t.Errorf("a pod that is not known is read by its name: want cart, got %+v", got)
	}
}

// The namespace is that of the subject: the exporter's own would contradict every change of the service.
func TestSubjectNamespace(t *testing.T) {
	type ls = map[string]string
	for name, tt := range map[string]struct {
		labels ls
		want   string
	}{
		"exported":           {ls{"exported_namespace": "shop", "exported_service": "cart", "namespace": "ingress-nginx"}, "shop"},
		"mesh":               {ls{"destination_workload": "cart", "destination_workload_namespace": "shop", "namespace": "istio-system"}, "shop"},
		"object":             {ksm(ls{"pod": cartPod}), "shop"},
		"quota":              {ksm(nil), "shop"},
		"node":               {ksm(ls{"namespace": "monitoring", "node": "n", "pod": "kps-kube-state-metrics-7c9f8b6c5d-x2x9z"}), ""},
		"probe":              {ls{"job": "blackbox", "namespace": "monitoring", "instance": "https://shop.example"}, ""},
		"database exporter":  {ls{"job": "mysqld-exporter", "namespace": "monitoring", "instance": "orders-db:3306"}, ""},
		"own":                {ls{"job": "cart", "namespace": "shop"}, "shop"},
		"OpenTelemetry, dot": {ls{"service.name": "cart", "k8s.namespace.name": "shop"}, "shop"},
	} {
		if got := SubjectOf(tt.labels, nil).Namespace; got != tt.want {
			t.Errorf("%s: want %q, got %q", name, tt.want, got)
		}
	}
}

// Whatever the labels, the subject is never what only reports, unless kube-state-metrics tells of it as of any workload.
func FuzzSubjectIsNeverAnExporter(f *testing.F) {
	f.Add("kube-state-metrics", "kps-kube-state-metrics", "cart-7d9f8b6c5d-x2x9z", "10.0.0.1:8080", "shop")
	f.Add("blackbox", "", "", "https://[bad", "")
	f.Fuzz(func(t *testing.T, job, service, pod, instance, namespace string) {
		if !IsReporter(job) {
			t.Skip("not an exporter")
		}
		got := SubjectOf(map[string]string{"job": job, "service": service, "pod": pod, "instance": instance, "namespace": namespace}, nil)
		if reporterKind(lastPart(job)) == reportsObjects && reporterKind(got.Service) != reportsObjects {
			return
		}
		if got.Service != "" && IsReporter(got.Service) && !strings.Contains(got.From, "claim") {
			t.Errorf("%+v", got)
		}
	})
}
