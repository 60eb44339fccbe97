package prometheus

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// Names that stand for nobody: outside callers, what a mesh could not name.
var nobody = []string{"", "user", "unknown", "PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster"}

// ends are caller and callee of one series of an edge; "" where they are not known or are one.
func (s *Source) ends(found *inUse, u *usedEdge, m model.Metric) (caller, callee string) {
	for _, l := range u.clients {
		if v := string(m[model.LabelName(l)]); !slices.Contains(nobody, v) {
			caller = s.serviceName(v)
			break
		}
	}
	if caller == "" {
		return "", ""
	}
	for _, l := range u.servers {
		v := string(m[model.LabelName(l)])
		if slices.Contains(nobody, v) {
			continue
		}
		if callee = s.callee(found, caller, u, l, v, m); callee != "" {
			break
		}
	}
	if callee == caller {
		return "", ""
	}
	return caller, callee
}

// callee names what one label says is called. Names of databases and of pools are told apart from names of services: the
// database orders is not the service orders that uses it.
func (s *Source) callee(found *inUse, caller string, u *usedEdge, label, v string, m model.Metric) string {
	port := string(m[model.LabelName(u.Port)])
	switch {
	case strings.HasPrefix(label, "db_") && label != "db_client_connection_pool_name" && !u.PerClient:
		system := string(m["db_system_name"])
		if system == "" {
			system = string(m["db_system"])
		}
		if v != system && system != "" {
			v = system + "/" + v
		}
		return s.aliased(v)
	case label == "rpc_service" || label == "grpc_service":
		return s.ofInterface(found, v)
	case u.PerClient && label != "server_address":
		return s.aliased(caller + "/" + v)
	}
	return s.hostName(found, v, port)
}

// aliased is the service that somebody gave this very name, or the name.
func (s *Source) aliased(name string) string {
	if to, rule := s.dir.Load().Resolve(name); rule == triage.NameAlias || rule == triage.NameExact {
		return to
	}
	return name
}

var (
	versionPart = regexp.MustCompile(`^v\d+`)
	wordEdge    = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

// ofInterface reads a service from the interface it offers: shop.v1.PricingService is pricing's where there is a pricing. A package
// name is no service's, so an interface that says nothing more is left out.
func (s *Source) ofInterface(found *inUse, name string) string {
	parts := strings.Split(name, ".")
	last := strings.TrimSuffix(strings.TrimSuffix(parts[len(parts)-1], "Service"), "API")
	candidates := []string{last, strings.ToLower(last), strings.ToLower(wordEdge.ReplaceAllString(last, "$1-$2"))}
	for _, p := range slices.Backward(parts[:len(parts)-1]) {
		if !versionPart.MatchString(p) {
			candidates = append(candidates, p)
		}
	}
	for _, c := range candidates {
		if n, ok := s.isService(found, c); ok {
			return n
		}
	}
	return ""
}

// isService reports whether a name is one of a service that is known, and its canonical form.
func (s *Source) isService(found *inUse, name string) (string, bool) {
	if name == "" {
		return "", false
	}
	to, rule := s.dir.Load().Resolve(name)
	return to, rule != triage.NameUnknown || found.services[to]
}

// Where a DNS name ends in one of these it is of the inside.
var insideSuffixes = []string{"local", "internal", "lan", "intern", "corp", "localdomain", "consul", "svc", "test"}

var copyNumber = regexp.MustCompile(`[-_]\d+$`)

// hostName is the service behind an address that a client calls: a name, host:port, URL, Envoy cluster, or the address of a scrape
// target. Worked examples: pricing.shop.svc.cluster.local:8080, pg-0.pg.shop.svc, dns:///pricing:443, pricing.service.consul and
// outbound|8080||pricing.shop.svc.cluster.local are pricing, pg, pricing, pricing and pricing. A host that nobody knows is kept as it is.
func (s *Source) hostName(found *inUse, raw, port string) string {
	if i := strings.LastIndexByte(raw, '|'); i >= 0 { // an Envoy cluster of a mesh: direction|port|subset|host
		if strings.HasPrefix(raw, "inbound") {
			return ""
		}
		raw = raw[i+1:]
	}
	if i := strings.Index(raw, "://"); i >= 0 {
		u, err := url.Parse(strings.TrimPrefix(raw, "jdbc:"))
		if err != nil {
			return ""
		}
		if raw = u.Host; raw == "" {
			raw = strings.TrimPrefix(u.Path, "/")
		}
	}
	raw, _, _ = strings.Cut(raw, ",") // a list of servers of one cluster
	raw, _, _ = strings.Cut(raw, "/")
	h := strings.ToLower(strings.TrimSuffix(raw, "."))
	if name, p, err := net.SplitHostPort(h); err == nil {
		h, port = name, p
	}
	for _, full := range []string{raw, net.JoinHostPort(h, port), h} {
		if to, rule := s.dir.Load().Resolve(full); rule == triage.NameAlias || rule == triage.NameExact {
			return to
		}
	}
	for _, at := range []string{net.JoinHostPort(h, port), h} {
		if name := found.targets[at]; name != "" {
			return name
		}
	}
	if ip := net.ParseIP(strings.Trim(h, "[]")); ip != nil || h == "localhost" {
		if ip == nil || ip.IsLoopback() {
			if port == "" || port == "0" {
				return "" // something beside the caller
			}
			return "localhost:" + port
		}
		return h
	}
	return s.dnsName(found, h)
}

func (s *Source) dnsName(found *inUse, h string) string {
	labels := strings.Split(h, ".")
	last := labels[len(labels)-1]
	if i := slices.Index(labels, "svc"); i >= 1 { // [pod.]service.namespace.svc[.cluster.local]
		h = labels[max(0, i-2)]
		return s.serviceName(h)
	}
	if i := slices.Index(labels, "service"); i >= 1 && last == "consul" { // [tag.]service.service[.dc].consul
		return s.serviceName(labels[i-1])
	}
	if len(labels) == 1 || len(labels) == 2 || slices.Contains(insideSuffixes, last) {
		for _, name := range []string{labels[0], copyNumber.ReplaceAllString(labels[0], "")} {
			if n, ok := s.isService(found, name); ok {
				return n
			}
		}
	}
	if len(labels) == 1 {
		return s.serviceName(h)
	}
	return h
}
