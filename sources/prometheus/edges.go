package prometheus

import (
	"context"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// usedEdge is an edge convention that has data here.
type usedEdge struct {
	usedConvention // as of a service's metrics: service is the label that holds the caller
	EdgeConvention
	clients []string // labels there are that may hold the caller
	servers []string // and the callee
}

// usedEdges finds the edge conventions that have data: three requests each, as for services.
func (s *Source) usedEdges(ctx context.Context, c *client, state *inUse, keep time.Duration) error {
	for _, e := range slices.Concat(s.signals.Edges, genericEdges(state.names, s.signals)) {
		if err := s.followCalls(ctx, c, state, e, keep); err != nil {
			return err
		}
	}
	return nil
}

// followCalls finds who records calls by a convention: by the first label that may hold the caller, and where that is missing by
// the next.
func (s *Source) followCalls(ctx context.Context, c *client, state *inUse, e EdgeConvention, keep time.Duration) error {
	for {
		u, ok := state.metricsOf(e.convention())
		if e.Info && state.names[e.Metric] {
			u.matches = append(u.matches, selector(e.Metric, e.Match))
			ok = true
		}
		if !ok {
			return nil
		}
		have, err := c.labelNames(ctx, u.matches, state.at, keep)
		edge := usedEdge{usedConvention: u, EdgeConvention: e}
		if err == nil && !edge.chooseEnds(have, s.signals) {
			return nil
		}
		var values []string
		if err == nil {
			values, err = c.labelValues(ctx, edge.service, u.matches, state.at, keep)
		}
		if err != nil {
			if r := reasonFor(s.cfg.Name, err); r == ReasonRefused || r == ReasonTooLarge {
				s.log.Warn("calls of a convention are left out because the server refuses its labels", "convention", e.Name, "err", err)
				return nil
			}
			return err
		}
		if edge.raw = s.canonical(values); len(edge.raw) > 0 {
			state.edges = append(state.edges, edge)
		}
		i := slices.Index(e.Client, edge.service)
		if i < 0 || i+1 == len(e.Client) {
			return nil
		}
		e.Client, e.Match = e.Client[i+1:], joinMatch(e.Match, edge.service+`=""`)
	}
}

func (u *usedEdge) chooseEnds(have []string, cfg SignalsConfig) bool {
	if !u.chooseLabels(have, cfg) {
		return false
	}
	maps.DeleteFunc(u.words, func(_, l string) bool { // where the callee lives says nothing of where the caller does
		return strings.HasPrefix(l, "destination_") || strings.HasPrefix(l, "dst_")
	})
	for _, l := range u.Client {
		if slices.Contains(have, l) {
			u.clients = append(u.clients, l)
		}
	}
	for _, l := range u.Server {
		if slices.Contains(have, l) && l != u.service {
			u.servers = append(u.servers, l)
		}
	}
	if !slices.Contains(have, u.Port) {
		u.Port = ""
	}
	return len(u.servers) > 0
}

// by are the labels that tell the edges apart.
func (u *usedEdge) by() []string {
	out := slices.Concat(u.clients, u.servers)
	if u.Port != "" {
		out = append(out, u.Port)
	}
	for _, l := range []string{"db_system_name", "db_system"} { // stands before the name of a database
		if slices.ContainsFunc(u.servers, func(s string) bool { return strings.HasPrefix(s, "db_") }) && slices.Contains(u.Server, l) {
			out = append(out, l)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Labels of scrape targets that name the service, as the process metrics are read.
var scrapeLabels = []string{"service_name", "app_kubernetes_io_name", "app", "service", "job"}

// targets learns which service answers at which address, for clients that know only that: scrape targets are the services'
// own processes. A host stands for its service where all its targets are of one; the loopback never does.
func (s *Source) targets(ctx context.Context, c *client, state *inUse) error {
	v, err := c.vector(ctx, fmt.Sprintf("group by (instance, %s) (up)", strings.Join(scrapeLabels, ", ")), state.at)
	if err != nil {
		return err
	}
	state.targets = make(map[string]string)
	several := make(map[string]bool)
	note := func(at, name string) {
		if was, ok := state.targets[at]; ok && was != name {
			several[at] = true
		}
		state.targets[at] = name
	}
	for _, smp := range v[:min(len(v), maxEdges)] {
		name := ""
		for _, l := range scrapeLabels {
			if n := s.serviceName(string(smp.Metric[model.LabelName(l)])); n != "" && (name == "" || state.services[n] && !state.services[name]) {
				name = n
			}
		}
		at := strings.ToLower(string(smp.Metric["instance"]))
		if name == "" || at == "" {
			continue
		}
		h, port, err := net.SplitHostPort(at)
		if err != nil {
			h = at
		}
		ip := net.ParseIP(h)
		if ip == nil && h != "localhost" && err == nil {
			continue // a name speaks for itself
		}
		if local := h == "localhost" || ip != nil && ip.IsLoopback(); local {
			for _, same := range []string{"127.0.0.1", "localhost", "::1"} {
				note(net.JoinHostPort(same, port), name)
			}
			continue
		}
		note(at, name)
		note(h, name)
	}
	for at := range several {
		delete(state.targets, at)
	}
	return nil
}

// genericCalls match counters of calls as people name them who follow no convention, and the histograms beside them.
const genericCalls = `(.+_)?(client|upstream|outbound|dependency|downstream|backend|external)_(request|call|querie|operation)s?_(total|errors_total|failures_total|duration_seconds_bucket)` +
	`|(.+_)?(client|upstream|outbound|dependency|downstream|backend|external)_(duration|latency)_seconds_bucket`

var genericCounter = regexp.MustCompile(`^((?:.+_)?(?:client|upstream|outbound|dependency|downstream|backend|external))_(request|call|querie|operation)s?_total$`)

var (
	genericClient = append([]string{"caller", "source_service"}, classicClient...)
	genericServer = []string{
		"target", "upstream", "dependency", "destination", "destination_service", "callee", "peer_service", "peer", "backend", "downstream",
		"server", "server_address", "remote", "remote_service", "to", "target_service", "host", "hostname",
	}
	genericFailed = []string{
		`code=~"5..|0|-1|(?i:.*err.*|.*time.?out.*|.*refused.*|fail.*)"`, `status_code=~"5..|0|-1"`, `http_status=~"5..|0"`, `response_code=~"5..|0"`,
		`status=~"5..|0|(?i:.*err.*|.*time.?out.*|.*refused.*|fail.*|unavailable)"`, `outcome=~"(?i:.*err.*|.*time.?out.*|fail.*|unknown|unavailable)"`,
		`result=~"5..|(?i:.*err.*|.*time.?out.*|.*refused.*|fail.*|unavailable)"`, `grpc_code=~"Unknown|DeadlineExceeded|Internal|Unavailable|DataLoss"`,
		`error=~"true|1|yes"`, `success="false"`,
	}
	// Counters of these are not a service's calls to another: controllers asking their API server, Prometheus its own peers.
	genericNot = []string{"rest_client_requests_total"}
)

// genericEdges are conventions made from the names of the metrics there are: x_client_requests_total{target}, with its failures and
// its durations where those are named alike. Only what has a label that names the other end will count.
func genericEdges(names map[string]bool, cfg SignalsConfig) []EdgeConvention {
	known := make(map[string]bool)
	for _, e := range cfg.Edges {
		known[e.Metric] = true
	}
	for _, c := range cfg.Conventions {
		known[c.Requests] = true
	}
	var out []EdgeConvention
	for name := range names {
		m := genericCounter.FindStringSubmatch(name)
		if m == nil || known[name] || slices.Contains(genericNot, name) {
			continue
		}
		base, unit := m[1], m[2]
		e := EdgeConvention{Name: "calls:" + name, Metric: name, Client: genericClient, Server: genericServer, Failed: genericFailed}
		plural := strings.TrimSuffix(name, "_total")
		for _, d := range []string{base + "_" + unit + "_duration_seconds", plural + "_duration_seconds", base + "_duration_seconds", base + "_latency_seconds"} {
			if names[d+"_bucket"] {
				e.Duration = d
				break
			}
		}
		for _, f := range []string{plural + "_errors_total", plural + "_failures_total", base + "_" + unit + "_errors_total", base + "_" + unit + "_failures_total"} {
			if names[f] {
				e.FailedMetric, e.Failed = f, nil
				break
			}
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b EdgeConvention) int { return strings.Compare(a.Name, b.Name) })
	return out[:min(len(out), maxGeneric)]
}

// maxGeneric bounds what is made from names: each costs two requests a discovery.
const maxGeneric = 10
