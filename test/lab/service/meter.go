package service

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// convention is how a team names its metrics. A company has several.
type convention int

const (
	otel    convention = iota // OpenTelemetry semantic conventions, as the SDK exports them
	classic                   // http_requests_total and what goes with it
	bare                      // nothing about requests: process metrics only
)

var buckets = []float64{.005, .01, .02, .03, .05, .075, .1, .15, .2, .3, .5, .75, 1, 1.5, 2, 3}

// meter holds the metrics of one process.
type meter struct {
	reg     *prometheus.Registry
	how     convention
	served  *prometheus.HistogramVec // by route (and, with otel, method and status)
	count   *prometheus.CounterVec   // classic: by route, method, code
	called  *prometheus.HistogramVec // by callee (and, with otel, status and error)
	calls   *prometheus.CounterVec   // classic: by callee, code
	queried *prometheus.HistogramVec // by operation
	cached  *prometheus.CounterVec   // by cache and result
	jobs    *prometheus.CounterVec   // by kind and result
	job     *prometheus.HistogramVec // by kind
}

func newMeter(s *Settings, how convention) *meter {
	m := &meter{reg: prometheus.NewRegistry(), how: how}
	m.reg.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: s.Name + "_build_info", Help: "The build.", ConstLabels: prometheus.Labels{"version": s.Version, "branch": "main"},
	})
	build.Set(1)
	m.reg.MustRegister(build)
	histogram := func(name string, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: name, Buckets: buckets}, labels)
		m.reg.MustRegister(h)
		return h
	}
	counter := func(name string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: name}, labels)
		m.reg.MustRegister(c)
		return c
	}
	switch how {
	case otel:
		m.served = histogram("http_server_request_duration_seconds", "http_route", "http_request_method", "http_response_status_code", "error_type")
		m.called = histogram("http_client_request_duration_seconds", "server_address", "http_request_method", "http_response_status_code", "error_type")
		m.queried = histogram("db_client_operation_duration_seconds", "db_system_name", "server_address", "db_operation_name", "error_type")
	case classic:
		m.served = histogram("http_request_duration_seconds", "handler")
		m.count = counter("http_requests_total", "handler", "method", "code")
		m.called = histogram("upstream_request_duration_seconds", "peer_service")
		m.calls = counter("upstream_requests_total", "peer_service", "code")
		m.queried = histogram("db_query_duration_seconds", "query", "status")
	case bare:
		return m
	}
	m.cached = counter("cache_requests_total", "cache", "result")
	m.jobs = counter("jobs_processed_total", "job", "result")
	m.job = histogram("job_duration_seconds", "job")
	return m
}

// request records a request that was answered.
func (m *meter) request(route, method string, code int, took time.Duration) {
	status := strconv.Itoa(code)
	switch m.how {
	case otel:
		failed := ""
		if code >= 500 {
			failed = status
		}
		m.served.WithLabelValues(route, method, status, failed).Observe(took.Seconds())
	case classic:
		m.served.WithLabelValues(route).Observe(took.Seconds())
		m.count.WithLabelValues(route, method, status).Inc()
	}
}

// call records a call to another service, as its caller saw it. failure is empty, or what kept an answer from coming.
func (m *meter) call(callee, method string, code int, failure string, took time.Duration) {
	status := strconv.Itoa(code)
	switch m.how {
	case otel:
		if failure != "" {
			status = ""
		} else if code >= 500 {
			failure = status
		}
		m.called.WithLabelValues(callee, method, status, failure).Observe(took.Seconds())
	case classic:
		if failure != "" {
			status = failure
		}
		m.called.WithLabelValues(callee).Observe(took.Seconds())
		m.calls.WithLabelValues(callee, status).Inc()
	}
}

// query records an operation on a database or on the store.
func (m *meter) query(system, server, operation string, err error, took time.Duration) {
	switch m.how {
	case otel:
		failed := ""
		if err != nil {
			failed = "error"
		}
		m.queried.WithLabelValues(system, server, operation, failed).Observe(took.Seconds())
	case classic:
		status := "ok"
		if err != nil {
			status = "error"
		}
		m.queried.WithLabelValues(system+" "+operation, status).Observe(took.Seconds())
	}
}

func (m *meter) cache(name string, hit bool) {
	result := "miss"
	if hit {
		result = "hit"
	}
	m.cached.WithLabelValues(name, result).Inc()
}

func (m *meter) worked(kind string, err error, took time.Duration) {
	result := "success"
	if err != nil {
		result = "failure"
	}
	m.jobs.WithLabelValues(kind, result).Inc()
	m.job.WithLabelValues(kind).Observe(took.Seconds())
}

// gauge adds a gauge that is read when it is scraped.
func (m *meter) gauge(name string, labels prometheus.Labels, read func() float64) {
	m.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: name, ConstLabels: labels}, read))
}
