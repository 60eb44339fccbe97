package prometheus

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// discovery is what is known of the conventions this server's data follows. It is read again every discovery_interval.
type discovery struct {
	looking chan struct{} // holds one token while somebody looks
	state   atomic.Pointer[inUse]
}

// inUse is one finding; it does not change.
type inUse struct {
	at          time.Time
	fresh       time.Duration   // how long it is taken to stay so
	names       map[string]bool // which of the metrics we know how to use there are
	conventions []usedConvention
	services    map[string]bool   // canonical: those that a convention has signals of
	edges       []usedEdge        // in order of preference
	targets     map[string]string // address of a scrape target, with or without port → the service behind it
}

// usedConvention is a convention that has data here.
type usedConvention struct {
	Convention
	service  string              // the label that holds the service
	raw      map[string][]string // canonical service → label values, sorted
	failed   string              // matchers of failing requests; "" where there are none
	duration string              // metric of the quantile query; "" where there is none
	native   bool                // duration is a native histogram
	replicas []string            // labels that tell copies apart
	words    map[string]string   // version, pod, namespace, … → the label that holds it here
	matches  []string            // selectors of all its series
}

// discover returns the current findings, looking first where they are old. Old findings are better than waiting or none: they are
// returned while somebody else looks, and when the server does not answer. Somebody who waits for an answer is spared the look
// for a while, in which the background has its turn.
func (s *Source) discover(ctx context.Context, c *client) (*inUse, error) {
	known := s.found.state.Load()
	if known != nil {
		fresh := known.fresh
		if !c.background {
			fresh *= 3
		}
		if s.now().Sub(known.at) < fresh {
			return known, nil
		}
	}
	select {
	case s.found.looking <- struct{}{}:
		defer func() { <-s.found.looking }()
	default:
		if known != nil {
			return known, nil
		}
		select {
		case s.found.looking <- struct{}{}:
			defer func() { <-s.found.looking }()
		case <-ctx.Done():
			return nil, queryError(s.cfg.Name, ctx.Err())
		}
	}
	if now := s.found.state.Load(); now != known {
		return now, nil // somebody else has just looked
	}
	state, err := s.look(ctx, c, s.now(), s.freshAfter(known))
	if err != nil {
		if known != nil {
			return known, nil
		}
		return nil, fmt.Errorf("find the conventions in use: %w", err)
	}
	if known != nil && !state.same(known) {
		state.fresh = s.freshAfter(nil)
	}
	s.found.state.Store(state)
	return state, nil
}

// firstFresh is how long the first findings are taken to stay so.
const firstFresh = 30 * time.Second

// freshAfter is how long findings are to be kept, after those known, if nothing has changed: twice as long as those, up to the
// discovery interval. A server that has just started, or a cluster that is coming up, shows something new every minute.
func (s *Source) freshAfter(known *inUse) time.Duration {
	most := time.Duration(s.cfg.DiscoveryInterval)
	if known == nil {
		return min(firstFresh, most)
	}
	return min(2*known.fresh, most)
}

// same reports whether two looks found the same.
func (f *inUse) same(o *inUse) bool {
	return maps.Equal(f.names, o.names) && reflect.DeepEqual(f.conventions, o.conventions) &&
		reflect.DeepEqual(f.edges, o.edges) && maps.Equal(f.targets, o.targets)
}

// look asks which metrics there are (one request), for each convention found its labels and its services (three each), and, where
// there are calls, what is scraped where.
func (s *Source) look(ctx context.Context, c *client, at time.Time, fresh time.Duration) (*inUse, error) {
	names, err := c.labelValues(ctx, "__name__", []string{`{__name__=~"` + promEscape(alternatives(s.knownMetrics())) + `|.+_build_info|` + promEscape(hashMetrics) + `|` + promEscape(reloadMetrics) + `|` + promEscape(genericCalls) + `"}`}, at, fresh/2)
	if err != nil {
		return nil, err
	}
	state := &inUse{at: at, fresh: fresh, names: make(map[string]bool, len(names))}
	for _, n := range names {
		state.names[n] = true
	}
	for _, conv := range s.signals.Conventions {
		if err := s.follow(ctx, c, state, conv); err != nil {
			return nil, err
		}
	}
	state.services = make(map[string]bool)
	for _, name := range state.known() {
		state.services[name] = true
	}
	if err := s.usedEdges(ctx, c, state, fresh/2); err != nil {
		return nil, err
	}
	if len(state.edges) > 0 {
		if err := s.targets(ctx, c, state); err != nil {
			if r := reasonFor(s.cfg.Name, err); r != ReasonRefused && r != ReasonTooLarge {
				return nil, err
			}
			s.log.Warn("addresses that clients call are not resolved because the server refuses the question for its targets", "err", err)
		}
	}
	return state, nil
}

// follow finds who follows a convention. Teams put the service into different labels of one metric: what lacks the first label is
// looked for by the next, as a convention of its own.
func (s *Source) follow(ctx context.Context, c *client, state *inUse, conv Convention) error {
	for {
		u, ok := state.metricsOf(conv)
		if !ok {
			return nil
		}
		have, err := c.labelNames(ctx, u.matches, state.at, state.fresh/2)
		if err == nil && !u.chooseLabels(have, s.signals) {
			return nil
		}
		var values []string
		if err == nil {
			values, err = c.labelValues(ctx, u.service, u.matches, state.at, state.fresh/2)
		}
		if err != nil {
			if r := reasonFor(s.cfg.Name, err); r == ReasonRefused || r == ReasonTooLarge {
				s.log.Warn("a convention is left out because the server refuses its labels", "convention", conv.Name, "err", err)
				return nil
			}
			return err
		}
		if u.raw = s.canonical(values); len(u.raw) > 0 {
			state.conventions = append(state.conventions, u)
		}
		i := slices.Index(conv.Service, u.service)
		if i+1 == len(conv.Service) {
			return nil
		}
		conv.Service, conv.Match = conv.Service[i+1:], joinMatch(conv.Match, u.service+`=""`)
	}
}

// knownMetrics are all metric names that conventions, edges and changes speak of.
func (s *Source) knownMetrics() []string {
	var out []string
	conventions := slices.Clone(s.signals.Conventions)
	for _, e := range s.signals.Edges {
		out = append(out, e.Metric)
		conventions = append(conventions, e.convention())
	}
	for _, c := range conventions {
		out = append(out, c.Requests, c.FailedMetric)
		if c.Duration != "" {
			out = append(out, c.Duration, c.Duration+"_bucket")
		}
		for _, g := range c.Gauges {
			out = append(out, g.Metric)
		}
	}
	out = append(out, s.changeNames()...)
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(n string) bool { return n == "" })
}

// metricsOf reduces a convention to the metrics that exist; false where none does.
func (f *inUse) metricsOf(c Convention) (usedConvention, bool) {
	u := usedConvention{Convention: c}
	keep := func(name string) string {
		if !f.names[name] {
			return ""
		}
		u.matches = append(u.matches, selector(name, c.Match))
		return name
	}
	u.Requests, u.FailedMetric = keep(c.Requests), keep(c.FailedMetric)
	if u.duration = keep(c.Duration + "_bucket"); u.duration == "" {
		u.duration = keep(c.Duration)
		u.native = u.duration != ""
	}
	u.Gauges = slices.DeleteFunc(slices.Clone(c.Gauges), func(g Gauge) bool { return keep(g.Metric) == "" })
	return u, len(u.matches) > 0
}

// chooseLabels picks, among the labels the series have, those that hold the service and our other words; false where no label
// holds the service.
func (u *usedConvention) chooseLabels(have []string, cfg SignalsConfig) bool {
	first := func(candidates []string) string {
		i := slices.IndexFunc(candidates, func(l string) bool { return slices.Contains(have, l) })
		if i < 0 {
			return ""
		}
		return candidates[i]
	}
	if u.service = first(u.Service); u.service == "" {
		return false
	}
	u.words = make(map[string]string)
	for word, candidates := range cfg.Labels {
		if l := first(candidates); l != "" && l != u.service {
			u.words[word] = l
		}
	}
	for _, l := range cfg.ReplicaLabels {
		if slices.Contains(have, l) {
			u.replicas = append(u.replicas, l)
		}
	}
	for _, f := range u.Failed {
		ls, _ := matcherLabels(f)
		if !slices.ContainsFunc(ls, func(l string) bool { return !slices.Contains(have, l) }) {
			u.failed = f
			break
		}
	}
	return true
}

// canonical groups label values by the service they name. OTLP writes jobs as namespace/name: both forms are tried.
func (s *Source) canonical(values []string) map[string][]string {
	out := make(map[string][]string)
	for _, v := range values {
		if name := s.serviceName(v); name != "" {
			out[name] = append(out[name], v)
		}
	}
	return out
}

func (s *Source) serviceName(raw string) string {
	dir := s.dir.Load()
	if name, rule := dir.Resolve(raw); rule == triage.NameAlias || rule == triage.NameExact {
		return name
	}
	name, rule := dir.Resolve(stripNamespace(raw))
	if rule == triage.NameUnknown && triage.IsReporter(name) {
		return ""
	}
	return name
}

// selector writes metric{match}; the metric may have any UTF-8 name.
func selector(metric, match string) string {
	if plainMetric.MatchString(metric) {
		return metric + "{" + match + "}"
	}
	if match != "" {
		match = "," + match
	}
	return `{"` + promEscape(metric) + `"` + match + "}"
}

var plainMetric = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)

// promEscape makes text safe between double quotes in PromQL.
func promEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s)
}

// alternatives is a regular expression that matches exactly the values.
func alternatives(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = regexp.QuoteMeta(v)
	}
	return strings.Join(quoted, "|")
}

// chunks splits values so that each alternation stays within limit bytes; every chunk has at least one.
func chunks(values []string, limit int) [][]string {
	var out [][]string
	size := limit + 1
	for _, v := range values {
		n := len(regexp.QuoteMeta(v)) + 1
		if size+n > limit {
			out = append(out, nil)
			size = 0
		}
		out[len(out)-1] = append(out[len(out)-1], v)
		size += n
	}
	return out
}

// known lists the services a convention has, sorted.
func (f *inUse) known() []string {
	seen := make(map[string]bool)
	for _, c := range f.conventions {
		for name := range c.raw {
			seen[name] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}
