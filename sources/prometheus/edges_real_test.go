package prometheus

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const edgeConf = "global: {scrape_interval: 15s}\nstorage: {tsdb: {out_of_order_time_window: 1d}}\n"

// called is one way in which a caller's metrics tell of a callee. All of them make 10 calls a second, of which every second fails in
// the last ten minutes.
type called struct {
	name   string
	metric string
	labels string // of every series
	ok     string // further labels of those that worked
	failed string // and of those that did not; "": a counter of its own
	other  string // that counter
	want   string // caller → callee
}

var calledWays = []called{
	{name: "otel http, a host of the cluster", metric: "http_client_request_duration_seconds_count", labels: `service_name="checkout",server_address="pricing.shop.svc.cluster.local",server_port="8080"`, ok: `http_response_status_code="200"`, failed: `http_response_status_code="503"`, want: "checkout → pricing"},
	{name: "otel http, no answer", metric: "http_client_request_duration_seconds_count", labels: `service_name="cart",server_address="pricing"`, ok: `http_response_status_code="200"`, failed: `error_type="connection_refused"`, want: "cart → pricing"},
	{name: "otel http, a vendor", metric: "http_client_request_duration_seconds_count", labels: `service_name="payments",server_address="api.acmepay.example"`, ok: `http_response_status_code="200"`, failed: `http_response_status_code="500"`, want: "payments → api.acmepay.example"},
	{name: "otel http, the address of a scrape target", metric: "http_client_request_duration_seconds_count", labels: `service_name="web",server_address="127.0.0.1",server_port="9101"`, ok: `http_response_status_code="200"`, failed: `http_response_status_code="500"`, want: "web → checkout"},
	{name: "otel http, old", metric: "http_client_duration_milliseconds_count", labels: `service_name="web",net_peer_name="cart",net_peer_port="80"`, ok: `http_status_code="200"`, failed: `http_status_code="502"`, want: "web → cart"},
	{name: "otel rpc", metric: "rpc_client_duration_milliseconds_count", labels: `service_name="pricing",rpc_service="shop.v1.CartService"`, ok: `rpc_grpc_status_code="0"`, failed: `rpc_grpc_status_code="14"`, want: "pricing → cart"},
	{name: "otel database by address", metric: "db_client_operation_duration_seconds_count", labels: `service_name="checkout",server_address="orders-db",db_system_name="postgresql",db_namespace="checkout"`, failed: `error_type="57P03"`, want: "checkout → orders-db"},
	{name: "otel database by name", metric: "db_client_operation_duration_seconds_count", labels: `service_name="cart",db_system="postgresql",db_namespace="cart"`, failed: `error_type="57P03"`, want: "cart → postgresql/cart"},
	{name: "istio", metric: "istio_requests_total", labels: `reporter="source",source_canonical_service="checkout-api",destination_canonical_service="unknown",destination_service_name="stock"`, ok: `response_code="200"`, failed: `response_code="0"`, want: "checkout → stock"},
	{name: "linkerd", metric: "response_total", labels: `direction="outbound",deployment="web",dst_deployment="stock"`, ok: `classification="success"`, failed: `classification="failure"`, want: "web → stock"},
	{name: "service graph", metric: "traces_service_graph_request_total", labels: `client="stock",server="postgres"`, other: "traces_service_graph_request_failed_total", want: "stock → postgres"},
	{name: "envoy", metric: "envoy_cluster_upstream_rq_xx", labels: `app="edge-proxy",envoy_cluster_name="outbound|8080||web.shop.svc.cluster.local"`, ok: `envoy_response_code_class="2"`, failed: `envoy_response_code_class="5"`, want: "edge-proxy → web"},
	{name: "spring", metric: "http_client_requests_seconds_count", labels: `application="billing",client_name="pricing"`, ok: `outcome="SUCCESS",status="200"`, failed: `outcome="UNKNOWN",status="IO_ERROR"`, want: "billing → pricing"},
	{name: "grpc", metric: "grpc_client_attempt_duration_seconds_count", labels: `app="billing",grpc_target="dns:///stock:443"`, ok: `grpc_status="OK"`, failed: `grpc_status="UNAVAILABLE"`, want: "billing → stock"},
	{name: "named by nobody's rule", metric: "shop_client_requests_total", labels: `service="search",target="http://stock:9000/"`, ok: `outcome="ok"`, failed: `outcome="timeout"`, want: "search → stock"},
	{name: "the same by a team that knows no label service", metric: "shop_client_requests_total", labels: `job="ledger",target="http://pricing:9000/"`, ok: `outcome="ok"`, failed: `outcome="timeout"`, want: "ledger → pricing"},
	{name: "the same with a counter of failures", metric: "upstream_requests_total", labels: `job="search",upstream="pricing"`, other: "upstream_requests_errors_total", want: "search → pricing"},
}

var edgeDirectory = triage.NewDirectory(map[string]triage.Service{"checkout": {Aliases: []string{"checkout-api"}}, "cart": {}, "pricing": {}}, nil)

// edgeWorld is two hours of all of them, with pools of connections in which somebody waits in the last ten minutes.
func edgeWorld(now time.Time) (rec *recording, fault time.Time) {
	now = now.Truncate(15 * time.Second)
	from, to := now.Add(-time.Hour), now.Add(5*time.Minute)
	fault = now.Add(-10 * time.Minute)
	rec = &recording{}
	type line struct {
		labels string
		value  func(total, bad float64) float64
	}
	lines := make(map[string][]line)
	join := func(parts ...string) string {
		return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ",")
	}
	good := func(total, bad float64) float64 { return total - bad }
	failed := func(_, bad float64) float64 { return bad }
	all := func(total, _ float64) float64 { return total }
	for _, w := range calledWays {
		if w.other != "" {
			lines[w.metric] = append(lines[w.metric], line{w.labels, all})
			lines[w.other] = append(lines[w.other], line{w.labels, failed})
			continue
		}
		lines[w.metric] = append(lines[w.metric], line{join(w.labels, w.ok), good}, line{join(w.labels, w.failed), failed})
	}
	waits := func(_, bad float64) float64 { return min(bad, 7) }
	for metric, l := range map[string]string{
		"hikaricp_connections": `application="billing",pool="HikariPool-1"`, "hikaricp_connections_pending": `application="billing",pool="HikariPool-1"`,
		"go_sql_open_connections": `app="search",db_name="main"`, "db_client_connections_pending_requests": `service_name="checkout",pool_name="orders"`,
	} {
		lines[metric] = append(lines[metric], line{l, waits})
	}
	lines["go_sql_wait_duration_seconds_total"] = []line{{`app="search",db_name="main"`, func(_, bad float64) float64 { return bad }}}
	lines["http_server_request_duration_seconds_count"] = []line{{`service_name="checkout"`, all}, {`service_name="web"`, all}}
	lines["up"] = []line{{`instance="127.0.0.1:9101",job="checkout"`, func(float64, float64) float64 { return 1 }}}
	lines["istio_requests_total"] = append(lines["istio_requests_total"], // the callee's end sees nothing of what does not arrive
		line{`reporter="destination",source_canonical_service="checkout-api",destination_canonical_service="stock",response_code="200"`, good})
	for _, metric := range slices.Sorted(maps.Keys(lines)) {
		rec.family(metric, from, to, 15*time.Second, func(at time.Time, sample func(string, float64)) {
			total, bad := at.Sub(from).Seconds()*10, max(0, at.Sub(fault).Seconds())*5
			for _, l := range lines[metric] {
				sample(l.labels, l.value(total, bad))
			}
		})
	}
	return rec, fault
}

// What a caller sees of a callee is read for every edge, whoever's convention tells of it, under the catalog's names, with the
// requests behind each share.
func TestEdgesAgainstRealPrometheus(t *testing.T) {
	needPeer(t, "prometheus")
	now := time.Now()
	rec, fault := edgeWorld(now)
	base := startPrometheus(t, rec, edgeConf, nil)
	s := newSource(t, base, edgeDirectory, func(o *Options) { o.Config.QueriesPerMinute = 6000 })
	clients := []string{"billing", "cart", "checkout", "edge-proxy", "ledger", "payments", "pricing", "search", "stock", "web"}
	got, err := s.Signals(t.Context(), triage.SignalQuery{Services: clients, From: now.Add(-45 * time.Minute), To: now, Edges: true})
	if err != nil {
		t.Fatal(err)
	}
	byEdge := make(map[string]triage.Series)
	for _, sr := range got {
		from, to, ok := sr.Edge()
		if !ok {
			t.Errorf("want edges only, got %v", sr.Labels)
		}
		key := fmt.Sprintf("%s → %s %s", from, to, sr.Signal)
		if _, twice := byEdge[key]; twice && sr.Signal != triage.SignalSaturation {
			t.Errorf("%s is there twice", key)
		}
		byEdge[key] = sr
	}
	for _, w := range calledWays {
		t.Run(w.name, func(t *testing.T) {
			sr, ok := byEdge[w.want+" errors"]
			if !ok {
				t.Fatalf("want errors of %s, got %v", w.want, slices.Sorted(maps.Keys(byEdge)))
			}
			if before, after := valueAt(sr, fault.Add(-3*time.Minute)), valueAt(sr, now.Add(-2*time.Minute)); math.Abs(before) > .01 || math.Abs(after-.5) > .03 {
				t.Errorf("want a share of 0 and then .5, got %g and %g", before, after)
			}
			if sr.RangeS != 60 || len(sr.Counts) != len(sr.Values) {
				t.Fatalf("want a count beside each of %d samples of 60 s, got %d of %g s", len(sr.Values), len(sr.Counts), sr.RangeS)
			}
			if n := sr.Counts[len(sr.Counts)-10]; math.Abs(n-600) > 20 {
				t.Errorf("want 600 requests behind a sample, got %g", n)
			}
			if tr := valueAt(byEdge[w.want+" traffic"], now.Add(-2*time.Minute)); math.Abs(tr-10) > .3 {
				t.Errorf("want 10 calls a second, got %g", tr)
			}
		})
	}
	for _, edge := range []string{"billing → billing/HikariPool-1", "search → search/main", "checkout → checkout/orders"} {
		t.Run("pool "+edge, func(t *testing.T) {
			sr, ok := byEdge[edge+" saturation"]
			if !ok {
				t.Fatalf("want who waits at %s, got %v", edge, slices.Sorted(maps.Keys(byEdge)))
			}
			if before, after := valueAt(sr, fault.Add(-3*time.Minute)), valueAt(sr, now.Add(-2*time.Minute)); before != 0 || after < 4 {
				t.Errorf("want nobody and then somebody waiting, got %g and %g", before, after)
			}
		})
	}
	t.Run("call graph", func(t *testing.T) {
		if err := s.refreshTopology(t.Context()); err != nil {
			t.Fatal(err)
		}
		edges := make(map[string]bool)
		for _, e := range s.Topology().Edges() {
			edges[e.From+" → "+e.To] = e.Origin == "metrics"
		}
		for _, w := range calledWays {
			if !edges[w.want] {
				t.Errorf("want %s in the graph, got %v", w.want, slices.Sorted(maps.Keys(edges)))
			}
		}
		for e := range edges {
			if strings.Contains(e, "unknown") || strings.Contains(e, "cluster.local") {
				t.Errorf("want no %q", e)
			}
		}
	})
	t.Run("a service's own are its own", func(t *testing.T) {
		got, err := s.Signals(t.Context(), triage.SignalQuery{Services: clients, From: now.Add(-45 * time.Minute), To: now})
		if err != nil {
			t.Fatal(err)
		}
		for _, sr := range got {
			if sr.Labels["service"] == "" || sr.Labels["source"] != "" || sr.Labels["destination"] != "" {
				t.Errorf("want no edges, got %v", sr.Labels)
			}
		}
	})
}
