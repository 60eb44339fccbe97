package api

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI is the description of the API, as served at /api/openapi.yaml.
func OpenAPI() []byte { return append([]byte(nil), openAPI...) }

func (a *API) getOpenAPI(*request) (any, error) {
	return reply{raw: openAPI, header: http.Header{"Content-Type": {"application/yaml"}, "Cache-Control": {"max-age=300"}}}, nil
}

func (a *API) getMetrics(*request) (any, error) {
	if a.opts.Gatherer == nil {
		return nil, problem(kindNotFound, "Metrics are not served here.")
	}
	return reply{handler: promhttp.HandlerFor(a.opts.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true})}, nil
}

// getConfig shows the running configuration, as YAML, without its secrets.
func (a *API) getConfig(r *request) (any, error) {
	if p := query(r); p.err != nil {
		return nil, p.err
	}
	if a.opts.ConfigYAML == nil {
		return nil, problem(kindNotFound, "The configuration is not served here.")
	}
	return reply{raw: []byte(a.opts.ConfigYAML()), header: http.Header{"Content-Type": {"application/yaml"}}}, nil
}

// healthTimeout is how long the locks may take to be had before we call ourselves stuck.
const healthTimeout = 5 * time.Second

// getHealthy takes the locks. While one probe hangs no second one is started, so a stuck daemon does not pile them up.
func (a *API) getHealthy(r *request) (any, error) {
	if a.opts.Healthy == nil {
		return map[string]string{"status": "healthy"}, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	done := a.probe.DoChan("healthy", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
		defer cancel()
		return nil, a.opts.Healthy(ctx)
	})
	select {
	case res := <-done:
		if res.Err != nil {
			return nil, problem(kindUnavailable, "Not healthy: %v.", res.Err).because(res.Err)
		}
		return map[string]string{"status": "healthy"}, nil
	case <-ctx.Done():
		return nil, problem(kindUnavailable, "Not healthy: a lock could not be taken in %v.", healthTimeout).because(ctx.Err())
	}
}

// readiness is the answer of /-/ready, in either case.
type readiness struct {
	Ready    bool          `json:"ready"`
	Checks   []checkResult `json:"checks"`
	Warnings []string      `json:"warnings"` // what an operator should know though we are ready
	Details  []readyDetail `json:"details,omitempty"`
}

// readyDetail is one thing that works less well than it should, and what to do.
type readyDetail struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
	Fix    string `json:"fix"`
}

type checkResult struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

// getReady says whether we can do our work, and if not, why not. It is 503 from the moment that shutdown begins. With verbose it
// says besides what works less well than it should; that names sources and receivers, so it takes the scope read.
func (a *API) getReady(r *request) (any, error) {
	p := query(r, "verbose")
	verbose := one(p, "verbose", []string{"true", "false", "1", "0"})
	if p.err != nil {
		return nil, p.err
	}
	out := readiness{Ready: true, Checks: []checkResult{}, Warnings: append([]string{}, r.settings.auth.warnings...)}
	add := func(name string, err error) {
		res := checkResult{Name: name, OK: err == nil}
		if err != nil {
			res.Reason = err.Error()
			out.Ready = false
		}
		out.Checks = append(out.Checks, res)
	}
	select {
	case <-a.draining:
		add("shutdown", errors.New("shutting down"))
	default:
	}
	for _, c := range a.opts.Ready {
		add(c.Name, c.Err())
	}
	if verbose == "true" || verbose == "1" {
		if err := a.authorize(r, ScopeRead); err != nil {
			return nil, err
		}
		out.Details = a.readyDetails(r.Context())
	}
	status := http.StatusOK
	if !out.Ready {
		status = http.StatusServiceUnavailable
	}
	return reply{status: status, value: out}, nil
}

// postReload reads the configuration again; all of it takes effect, or none.
func (a *API) postReload(r *request) (any, error) {
	if p := query(r); p.err != nil {
		return nil, p.err
	}
	if a.opts.Reload == nil {
		return nil, problem(kindNotFound, "This daemon was started without a configuration file to reload.")
	}
	if err := a.opts.Reload(r.Context()); err != nil {
		return nil, problem(kindConfiguration, "%v", err).because(err)
	}
	return map[string]string{"status": "reloaded"}, nil
}
