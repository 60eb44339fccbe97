package prometheus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// Names that stand for nobody: outside callers, what a mesh could not name.
var nobody = []string{"", "user", "unknown", "PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster"}

const maxEdges = 20_000 // about 4 MiB; a graph beyond that is cut, in order of names

// refreshTopology reads the call graph anew. A graph that could be read only in part replaces the old one only where all of its
// conventions answered: half a graph would send the ranking the wrong way without a word.
func (s *Source) refreshTopology(ctx context.Context) error {
	found, err := s.discover(ctx, s.bg)
	if err != nil {
		return err
	}
	var edges []triage.Edge
	var errs []error
	for _, e := range s.signals.Edges {
		if !found.names[e.Metric] {
			continue
		}
		es, err := s.edges(ctx, e)
		if err != nil {
			errs = append(errs, fmt.Errorf("read call graph of %s: %w", e.Name, err))
		}
		edges = append(edges, es...)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	t := triage.NewTopology(edges)
	if es := t.Edges(); len(es) > maxEdges {
		s.client.m.dropped.Add(float64(len(es) - maxEdges))
		t = triage.NewTopology(es[:maxEdges])
	}
	s.topo.Store(&t)
	return nil
}

// edges asks one convention who called whom within the lookback.
func (s *Source) edges(ctx context.Context, e EdgeConvention) ([]triage.Edge, error) {
	v, err := s.bg.vector(ctx, edgeQuery(e, time.Duration(s.cfg.Topology.Lookback)), s.now())
	if err != nil {
		return nil, err
	}
	var out []triage.Edge
	for _, smp := range v {
		from, to := s.edgeEnd(smp.Metric, e.Client), s.edgeEnd(smp.Metric, e.Server)
		if from != "" && to != "" && from != to {
			out = append(out, triage.Edge{From: from, To: to, Origin: "prometheus:" + s.cfg.Name})
		}
	}
	return out, nil
}

func edgeQuery(e EdgeConvention, lookback time.Duration) string {
	by := strings.Join(append(slices.Clone(e.Client), e.Server...), ", ")
	if e.Info {
		return fmt.Sprintf("count by (%s) (last_over_time(%s[%s])) > 0", by, selector(e.Metric, e.Match), model.Duration(lookback))
	}
	return fmt.Sprintf("sum by (%s) (rate(%s[%s])) > 0", by, selector(e.Metric, e.Match), model.Duration(lookback))
}

func (s *Source) edgeEnd(m model.Metric, labels []string) string {
	for _, l := range labels {
		if v := string(m[model.LabelName(l)]); !slices.Contains(nobody, v) {
			return s.serviceName(v)
		}
	}
	return ""
}
