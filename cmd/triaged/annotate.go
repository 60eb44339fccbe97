package main

import (
	"context"
	"log/slog"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/triaged-dev/triaged/alerting/grafana"
	"github.com/triaged-dev/triaged/collector"
)

// annotate writes every change that is stored into the Grafanas of the receivers in force, as it comes. Where Grafana does not keep up,
// or does not answer, changes are missing on its graphs and nothing else: they are in the journal, and the count says how many.
func annotate(ctx context.Context, col *collector.Collector, p *parts, reg prom.Registerer, log *slog.Logger) error {
	count := prom.NewCounterVec(prom.CounterOpts{Name: "triaged_grafana_annotations_total", Help: "Changes written to Grafana as annotations, by outcome."}, []string{"outcome"})
	reg.MustRegister(count)
	events, stop := col.Subscribe(1024)
	defer stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev, ok := <-events:
			if !ok {
				return nil
			}
			if ev.Change == nil {
				continue
			}
			for _, n := range p.current.Load().annotators() {
				err := n.Change(ctx, *ev.Change)
				outcome := "ok"
				if err != nil {
					outcome = "failed"
				}
				count.WithLabelValues(outcome).Inc()
				if (err != nil) != failing {
					failing = err != nil
					log.Warn("writing changes to Grafana", "works", !failing, "err", err)
				}
			}
		}
	}
}

// annotators are the Grafanas that want changes, in no particular order: each is written to by itself.
func (g *generation) annotators() []*grafana.Notifier {
	var out []*grafana.Notifier
	for _, integrations := range g.receivers {
		for _, i := range integrations {
			if n, ok := i.Notifier.(*grafana.Notifier); ok && n.WantsChanges() {
				out = append(out, n)
			}
		}
	}
	return out
}
