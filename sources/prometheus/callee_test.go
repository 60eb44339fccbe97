package prometheus

import (
	"testing"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// A client names what it calls in many ways; all of them that mean a service we know must come out as that service, or its
// callers would look at a callee of their own each, and nothing of it would be shared.
func TestHostName(t *testing.T) {
	dir := triage.NewDirectory(map[string]triage.Service{
		"pricing": {Aliases: []string{"price-api", "10.0.0.9:7000"}}, "cart": {}, "api": {},
	}, nil)
	s, err := New(Options{Config: func() Config { c := DefaultConfig(); c.Name, c.URL = "test", "http://x"; return c }(), Signals: DefaultSignalsConfig(), Directory: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	found := &inUse{services: map[string]bool{"stock": true}, targets: map[string]string{"127.0.0.1:9101": "stock", "10.1.2.3": "cart"}}
	for raw, want := range map[string]string{
		"pricing":                                "pricing",
		"Pricing:8080":                           "pricing",
		"price-api:443":                          "pricing",
		"pricing.shop":                           "pricing",
		"stock.shop.svc":                         "stock",
		"stock.shop.svc.cluster.local.":          "stock",
		"pg-0.pg.shop.svc.cluster.local:5432":    "pg",
		"v2.pricing.service.dc1.consul":          "pricing",
		"stock.internal":                         "stock",
		"dns:///pricing:443":                     "pricing",
		"http://user:word@pricing:8080/x?y":      "pricing",
		"jdbc:postgresql://orders-db:5432/app":   "orders-db",
		"kafka-1:9092,kafka-2:9092":              "kafka-1",
		"outbound|80|v1|cart.shop.svc.cluster.x": "cart",
		"inbound|80||":                           "",
		"127.0.0.1:9101":                         "stock",
		"127.0.0.1:9999":                         "localhost:9999",
		"localhost":                              "",
		"10.1.2.3:8080":                          "cart",
		"10.0.0.9:7000":                          "pricing",
		"10.9.9.9:80":                            "10.9.9.9",
		"[2001:db8::1]:80":                       "2001:db8::1",
		"api.stripe.com":                         "api.stripe.com", // not our service api
		"stock-1":                                "stock",
		"unheard-of":                             "unheard-of",
		"postgres-exporter":                      "",
	} {
		if got := s.hostName(found, raw, ""); got != want {
			t.Errorf("%q: want %q, got %q", raw, want, got)
		}
	}
}

// The database orders is not the service orders that uses it, a pool is its process's own, and an interface is a service's only where
// that service is known.
func TestCalleeOfLabels(t *testing.T) {
	dir := triage.NewDirectory(map[string]triage.Service{"orders": {}, "pricing": {}, "ledger": {Aliases: []string{"billing/HikariPool-1"}}}, nil)
	s, err := New(Options{Config: func() Config { c := DefaultConfig(); c.Name, c.URL = "test", "http://x"; return c }(), Signals: DefaultSignalsConfig(), Directory: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	found := &inUse{services: map[string]bool{}}
	edge := func(servers []string, perClient bool) *usedEdge {
		return &usedEdge{clients: []string{"app"}, servers: servers, EdgeConvention: EdgeConvention{PerClient: perClient}}
	}
	for name, c := range map[string]struct {
		u      *usedEdge
		labels []string
		want   string
	}{
		"database by name":       {edge(dbServer, false), []string{"app", "orders", "db_system", "mysql", "db_name", "orders"}, "mysql/orders"},
		"database by system":     {edge(dbServer, false), []string{"app", "orders", "db_system", "redis"}, "redis"},
		"database by peer":       {edge(dbServer, false), []string{"app", "orders", "db_system", "mysql", "db_name", "orders", "peer_service", "orders-db"}, "orders-db"},
		"pool":                   {edge([]string{"pool"}, true), []string{"app", "orders", "pool", "HikariPool-1"}, "orders/HikariPool-1"},
		"pool with an alias":     {edge([]string{"pool"}, true), []string{"app", "billing", "pool", "HikariPool-1"}, "ledger"},
		"interface":              {edge([]string{"grpc_service"}, false), []string{"app", "orders", "grpc_service", "shop.PricingService"}, "pricing"},
		"interface of nobody":    {edge([]string{"grpc_service"}, false), []string{"app", "orders", "grpc_service", "grpc.health.v1.Health"}, ""},
		"itself":                 {edge([]string{"target"}, false), []string{"app", "orders", "target", "orders:80"}, ""},
		"the next label instead": {edge([]string{"target", "peer"}, false), []string{"app", "orders", "target", "unknown", "peer", "pricing"}, "pricing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := s.ends(found, c.u, model.Metric(toLabelSet(c.labels...)))
			if got != c.want {
				t.Errorf("want %q, got %q", c.want, got)
			}
		})
	}
}
