package prometheus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// upLabels are the labels of up that may hold the service, best first.
var upLabels = []string{"service_name", "app_kubernetes_io_name", "app", "service", "container", "job"}

// Health is one series per service of the query, named "up": the share of its processes that answered the scrape. It tells a
// service that is dead from one that is only not measured. It is no signal of the ranking: a rollout takes processes down too.
func (s *Source) Health(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error) {
	out, err := s.health(ctx, q)
	s.asked(err)
	return out, err
}

func (s *Source) health(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error) {
	if now := s.now(); q.To.After(now) {
		q.To = now
	}
	found, err := s.discover(ctx, s.client)
	if err != nil {
		return nil, err
	}
	raw := slices.Clone(q.Services)
	dir := s.dir.Load()
	for _, name := range q.Services {
		if svc, ok := dir.Service(name); ok {
			raw = append(raw, svc.Aliases...)
		}
		for _, conv := range found.conventions {
			raw = append(raw, conv.raw[name]...)
		}
	}
	slices.Sort(raw)
	scrape := finestStep
	if conf, err := s.serverConfig(ctx, s.client); err == nil && conf.Global.ScrapeInterval > 0 {
		scrape = time.Duration(conf.Global.ScrapeInterval)
	}
	g := newGrid(q.From, q.To, max(scrape, 5*time.Second))
	best := make(map[string]int) // by service: which label its series came from
	series := make(map[string]triage.Series)
	for _, chunk := range chunks(slices.Compact(raw), maxAlternation/len(upLabels)) {
		m, err := s.client.matrix(ctx, upExpr(chunk), g)
		if err != nil {
			return nil, fmt.Errorf("read which services are up: %w", err)
		}
		for _, st := range sortedMatrix(m) {
			for i, l := range upLabels {
				v := string(st.Metric[model.LabelName(l)])
				if v == "" {
					continue
				}
				name := s.serviceName(v)
				values, ok := g.values(st)
				if at, have := best[name]; !ok || !slices.Contains(q.Services, name) || have && at <= i {
					break
				}
				sr := g.series(values)
				sr.Metric, sr.Signal, sr.Better, sr.Labels = "up", triage.SignalErrors, triage.BetterHigher, map[string]string{"service": name}
				best[name], series[name] = i, sr
				break
			}
		}
	}
	var out []triage.Series
	for _, name := range q.Services {
		if sr, ok := series[name]; ok {
			out = append(out, sr)
		}
	}
	return out, nil
}

// upExpr asks for up by each label that may hold one of the names; a job may be written namespace/name.
func upExpr(names []string) string {
	any := promEscape(alternatives(names))
	parts := make([]string, len(upLabels))
	for i, l := range upLabels {
		prefix := ""
		if l == "job" {
			prefix = "(.+/)?"
		}
		parts[i] = fmt.Sprintf(`avg by (%[1]s) (up{%[1]s=~"%[2]s(%[3]s)"})`, l, prefix, any)
	}
	return strings.Join(parts, " or ")
}

// Health merges what the servers say; of two that scrape the same service the earlier one's is kept.
func (t *Set) Health(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error) {
	results, errs := make([][]triage.Series, len(t.sources)), make([]error, len(t.sources))
	var wg sync.WaitGroup
	for i, s := range t.sources {
		wg.Go(func() { results[i], errs[i] = s.Health(ctx, q) })
	}
	wg.Wait()
	var out []triage.Series
	for _, rs := range results {
		for _, sr := range rs {
			if !slices.ContainsFunc(out, func(o triage.Series) bool { return o.Labels["service"] == sr.Labels["service"] }) {
				out = append(out, sr)
			}
		}
	}
	if len(t.sources) > 0 && !slices.Contains(errs, nil) && len(out) == 0 {
		return nil, errors.Join(errs...)
	}
	return out, nil
}
