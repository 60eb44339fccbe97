package backfill

import _ "embed"

// Rules is the rule file whose alerts the samples hold, as Prometheus would have evaluated it every minute.
//
//go:embed rules.yml
var Rules string

// rule is one alerting rule, evaluated here over the minutes' sums: with a scrape a minute, rate over five minutes is the sum of
// the last five.
type rule struct {
	name, severity string
	pending        int // minutes
	holds          func(s *service, minute int) bool
}

func over(hits, all []float64, minute int, bar float64) bool {
	h, a := 0.0, 0.0
	for i := max(0, minute-5); i < minute; i++ {
		h, a = h+hits[i], a+all[i]
	}
	return a > 0 && h/a > bar
}

func (e *emitter) rules() []rule {
	return []rule{
		{Errors, "critical", 2, func(s *service, i int) bool { return over(s.failed, s.total, i, .05) }},
		{Latency, "critical", 3, func(s *service, i int) bool { return over(s.slowly, s.total, i, .10) }},
		{Backlog, "page", 0, func(s *service, i int) bool {
			for _, p := range e.w.Pages {
				if p.Alert == Backlog && p.Service == s.name && !e.w.at(i).Before(p.Onset) && e.w.at(i).Before(p.End) {
					return true
				}
			}
			return false
		}},
	}
}

// alerts writes ALERTS and ALERTS_FOR_STATE.
func (e *emitter) alerts() {
	for _, r := range e.rules() {
		for _, s := range e.w.services {
			var pending, firing, since []Sample
			active := -1
			for i := range steps + 1 {
				if i == steps || !r.holds(s, i) {
					active = -1
					continue
				}
				if active < 0 {
					active = i
				}
				if i-active >= r.pending {
					firing = append(firing, Sample{e.time(i), 1})
				} else {
					pending = append(pending, Sample{e.time(i), 1})
				}
				since = append(since, Sample{e.time(i), float64(e.w.at(active).Unix())})
			}
			base := []string{"alertname", r.name, "namespace", "shop", "service", s.name, "severity", r.severity}
			if r.name == Backlog {
				base = append(base, "job", "notifications", "queue", "outbound")
			}
			for _, out := range []struct {
				labels  []string
				samples []Sample
			}{
				{append([]string{"__name__", "ALERTS", "alertstate", "pending"}, base...), pending},
				{append([]string{"__name__", "ALERTS", "alertstate", "firing"}, base...), firing},
				{append([]string{"__name__", "ALERTS_FOR_STATE"}, base...), since},
			} {
				e.buf = append(e.buf, out.samples...)
				e.flush(out.labels...)
			}
		}
	}
	for i := 0; i <= steps; i += 4 { // Watchdog always fires, and pages nobody
		e.buf = append(e.buf, Sample{e.time(i), 1})
	}
	e.flush("__name__", "ALERTS", "alertname", "Watchdog", "alertstate", "firing", "severity", "none")
}

// Config is the configuration of a Prometheus that serves the fortnight: it scrapes nothing.
const Config = `global:
  scrape_interval: 1m
  evaluation_interval: 1m
  external_labels: {cluster: prod-eu1, environment: production}
rule_files: [rules.yml]
`
