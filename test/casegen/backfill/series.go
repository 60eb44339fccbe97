package backfill

import (
	"math"
	"time"
)

// Sample is one value; time in Unix milliseconds.
type Sample struct {
	T int64
	V float64
}

// Each yields every series of the fortnight with its samples, in order of time. Labels are name and value in turn, the metric's
// name first. Both slices are valid during the call only.
func (w *World) Each(yield func(labels []string, samples []Sample) error) error {
	e := &emitter{w: w, yield: yield}
	for _, s := range w.services {
		e.requests(s)
		e.latency(s)
		e.graph(s)
		e.containers(s)
		e.kubernetes(s)
	}
	e.queue()
	e.reloads()
	e.alerts()
	return e.err
}

type emitter struct {
	w     *World
	yield func([]string, []Sample) error
	buf   []Sample
	err   error
}

func (e *emitter) time(minute int) int64 { return e.w.at(minute).UnixMilli() }

func (e *emitter) flush(labels ...string) {
	if e.err == nil && len(e.buf) > 0 {
		e.err = e.yield(labels, e.buf)
	}
	e.buf = e.buf[:0]
}

// counter sums what every minute of [from, to) adds, beginning with 0.
func (e *emitter) counter(from, to int, add func(minute int) float64, labels ...string) {
	from, to = max(from, 0), min(to, steps)
	sum := 0.0
	for i := from; i <= to; i++ {
		if i > from {
			sum += add(i - 1)
		}
		e.buf = append(e.buf, Sample{e.time(i), sum})
	}
	e.flush(labels...)
}

// gauge samples every four minutes, and every minute near a change of the value; NaN is no sample.
func (e *emitter) gauge(from, to int, value func(minute int) float64, labels ...string) {
	from, to = max(from, 0), min(to, steps)
	const near = 6
	moved := -1 << 30
	next := math.NaN()
	for i := from; i <= to; i++ {
		v := value(i)
		if ahead := value(min(i+near, to)); ahead != next {
			moved, next = i, ahead
		}
		if !math.IsNaN(v) && (i%4 == 0 || i == from || i-moved <= 2*near) {
			e.buf = append(e.buf, Sample{e.time(i), v})
		}
	}
	e.flush(labels...)
}

func (e *emitter) requests(s *service) {
	type life struct{ from, to int }
	lives := make(map[string]*life)
	var order []string
	weights := make([][]podShare, steps)
	for i := range steps {
		weights[i] = s.pods(i)
		for _, p := range weights[i] {
			if l := lives[p.name]; l != nil {
				l.to = i + 1
			} else {
				lives[p.name] = &life{i, i + 1}
				order = append(order, p.name)
			}
		}
	}
	for _, pod := range order {
		l := lives[pod]
		part := func(minute int) (all, failed float64) {
			// What a bad version fails, its own pods fail.
			extra, mine := 0.0, podShare{}
			for _, p := range weights[minute] {
				extra += p.weight * p.set.fail
				if p.name == pod {
					mine = p
				}
			}
			all = s.total[minute] * mine.weight
			ratio := s.failed[minute] / s.total[minute]
			return all, min(all, all*max(0, ratio-extra+mine.set.fail))
		}
		base := []string{"job", s.name, "namespace", "shop", "pod", pod, "service", s.name}
		e.counter(l.from, l.to, func(i int) float64 { a, f := part(i); return math.Round(a - f) }, append([]string{"__name__", "http_requests_total", "code", "200"}, base...)...)
		e.counter(l.from, l.to, func(i int) float64 { _, f := part(i); return math.Round(f) }, append([]string{"__name__", "http_requests_total", "code", "500"}, base...)...)
	}
}

func (e *emitter) latency(s *service) {
	for _, b := range []struct {
		le    string
		share func(i int) float64
	}{
		{"0.1", func(i int) float64 { return .7 * (s.total[i] - s.slowly[i]) }},
		{"0.5", func(i int) float64 { return s.total[i] - s.slowly[i] }},
		{"2.5", func(i int) float64 { return s.total[i] - .2*s.slowly[i] }},
		{"+Inf", func(i int) float64 { return s.total[i] }},
	} {
		e.counter(0, steps, func(i int) float64 { return math.Round(b.share(i)) },
			"__name__", "http_request_duration_seconds_bucket", "job", s.name, "le", b.le, "namespace", "shop", "service", s.name)
	}
	e.counter(0, steps, func(i int) float64 { return s.total[i] },
		"__name__", "http_request_duration_seconds_count", "job", s.name, "namespace", "shop", "service", s.name)
}

func (e *emitter) graph(s *service) {
	for _, callee := range s.calls {
		e.counter(0, steps, func(i int) float64 { return math.Round(s.total[i] * .6) },
			"__name__", "traces_service_graph_request_total", "client", s.name, "job", "tempo", "server", callee)
	}
}

func (e *emitter) containers(s *service) {
	e.counter(0, steps, func(i int) float64 { return s.total[i]*.004 + .5 },
		"__name__", "container_cpu_usage_seconds_total", "container", s.name, "job", "kubelet", "namespace", "shop")
	e.gauge(0, steps, func(i int) float64 { return 200e6 + 1e6*math.Round(10*math.Sin(float64(i)/700)) },
		"__name__", "container_memory_working_set_bytes", "container", s.name, "job", "kubelet", "namespace", "shop")
}

// queue is the depth of the notifications queue, which jumps for a few minutes now and then and drains by itself.
func (e *emitter) queue() {
	e.gauge(0, steps, func(i int) float64 {
		for _, p := range e.w.Pages {
			if p.Alert == Backlog && !e.w.at(i).Before(p.Onset) && e.w.at(i).Before(p.End) {
				return 1800
			}
		}
		return 40
	}, "__name__", "queue_depth", "job", "notifications", "namespace", "shop", "queue", "outbound", "service", "notifications")
}

// reloads are those of Prometheus itself: twice in the fortnight.
func (e *emitter) reloads() {
	e.gauge(0, steps, func(i int) float64 {
		at := e.w.From.Add(-50 * time.Hour)
		for _, m := range []int{4321, 12345} {
			if i > m {
				at = e.w.at(m)
			}
		}
		return float64(at.Unix())
	}, "__name__", "prometheus_config_last_reload_success_timestamp_seconds", "instance", "prometheus:9090", "job", "prometheus")
}
