package prometheus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

const maxEdges = 20_000 // about 4 MiB; a graph beyond that is cut, in order of names

// topologyInterval is how long until the call graph is read again: soon, until there is a whole one. Without calls to be seen the
// look costs nothing, as discovery is what finds them.
func (s *Source) topologyInterval() time.Duration {
	usual := time.Duration(s.cfg.Topology.Interval)
	if s.topoWhole.Load() && len(s.Topology().Edges()) > 0 {
		return usual
	}
	return min(firstFresh, usual)
}

// refreshTopology reads the call graph anew. One that could be read only in part replaces none that was whole: calls that are gone
// of a sudden would send the ranking the wrong way. Where there is none yet, a part is better; it is an error all the same.
func (s *Source) refreshTopology(ctx context.Context) error {
	found, err := s.discover(ctx, s.bg)
	if err != nil {
		return err
	}
	var edges []triage.Edge
	var errs []error
	for i := range found.edges {
		u := &found.edges[i]
		if !found.names[u.Metric] {
			continue
		}
		es, err := s.calls(ctx, found, u)
		if r := reasonFor(s.cfg.Name, err); r == ReasonRefused || r == ReasonTooLarge {
			s.log.Warn("calls of a convention are left out of the graph because the server refuses the question", "convention", u.Name, "err", err)
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read call graph of %s: %w", u.Name, err))
		}
		edges = append(edges, es...)
	}
	if len(errs) > 0 && s.topoWhole.Load() {
		return errors.Join(errs...)
	}
	t := triage.NewTopology(edges)
	if es := t.Edges(); len(es) > maxEdges {
		s.client.m.dropped.Add(float64(len(es) - maxEdges))
		t = triage.NewTopology(es[:maxEdges])
	}
	s.topo.Store(&t)
	s.topoWhole.Store(len(errs) == 0)
	return errors.Join(errs...)
}

// originMetrics is the origin of edges that metrics showed.
const originMetrics = "metrics"

// calls asks one convention who called whom within the lookback.
func (s *Source) calls(ctx context.Context, found *inUse, u *usedEdge) ([]triage.Edge, error) {
	v, err := s.bg.vector(ctx, edgeQuery(u, time.Duration(s.cfg.Topology.Lookback)), s.now())
	if err != nil {
		return nil, err
	}
	var out []triage.Edge
	for _, smp := range v {
		if from, to := s.ends(found, u, smp.Metric); from != "" && to != "" {
			out = append(out, triage.Edge{From: from, To: to, Origin: originMetrics})
		}
	}
	return out, nil
}

func edgeQuery(u *usedEdge, lookback time.Duration) string {
	by, sel := strings.Join(u.by(), ", "), selector(u.Metric, u.Match)
	if u.Info {
		return fmt.Sprintf("count by (%s) (last_over_time(%s[%s])) > 0", by, sel, model.Duration(lookback))
	}
	return fmt.Sprintf("sum by (%s) (rate(%s[%s])) > 0", by, sel, model.Duration(lookback))
}
