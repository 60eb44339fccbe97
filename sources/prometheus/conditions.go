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

// condition is a state that is an anomaly while it holds, whatever the series did before.
type condition struct {
	name    string // as it is shown
	signal  triage.Signal
	object  string   // label that names what it is about
	expr    string   // true while not empty; %[1]s is the grouping, %[2]s the offset
	metrics []string // that must exist
}

var conditions = []condition{
	{
		name: "autoscaler at its maximum", signal: triage.SignalSaturation, object: "horizontalpodautoscaler",
		expr: "max by (%[1]s) (kube_horizontalpodautoscaler_status_desired_replicas%[2]s) >= max by (%[1]s) (kube_horizontalpodautoscaler_spec_max_replicas%[2]s)",
		metrics: []string{
			"kube_horizontalpodautoscaler_status_desired_replicas", "kube_horizontalpodautoscaler_spec_max_replicas",
		},
	},
	{
		name: "rollout does not progress", signal: triage.SignalCustom, object: "deployment",
		expr:    `max by (%[1]s) (kube_deployment_status_condition{condition="Progressing",status="false"}%[2]s) == 1`,
		metrics: []string{"kube_deployment_status_condition"},
	},
}

// expiries are times at which something stops working by itself.
var expiries = []struct{ metric, by string }{
	{"probe_ssl_earliest_cert_expiry", "instance"},
	{"certmanager_certificate_expiration_timestamp_seconds", "namespace, name"},
	{"x509_cert_not_after", "namespace, secret_name, subject_CN"},
}

// Conditions are states that are anomalies while they hold and began within [from, to] (an autoscaler at its maximum, a rollout
// that does not progress), and certificates that expired then. What was read is returned also with an error.
func (s *Source) Conditions(ctx context.Context, from, to time.Time) ([]triage.Anomaly, error) {
	found, err := s.discover(ctx, s.client)
	if err != nil {
		return nil, err
	}
	var out []triage.Anomaly
	var errs []error
	for start := from; start.Before(to) && ctx.Err() == nil; start = start.Add(changeChunk) {
		end := start.Add(changeChunk)
		if end.After(to) {
			end = to
		}
		r, err := s.newChangeReader(ctx, s.client, found, start, end)
		if err != nil {
			return out, errors.Join(append(errs, err)...)
		}
		as, err := r.conditions(ctx)
		out, errs = append(out, as...), append(errs, err)
	}
	return out, errors.Join(errs...)
}

// conditions are the states that began, and certificates that expired, within the stretch. What was read is returned also with
// an error.
func (r *changeReader) conditions(ctx context.Context) ([]triage.Anomaly, error) {
	var out []triage.Anomaly
	var errs []error
	for _, cd := range conditions {
		by := r.by(cd.object)
		now := fmt.Sprintf(cd.expr, by, "")
		before := fmt.Sprintf(cd.expr, by, " offset "+model.Duration(changeStep).String())
		pts, err := r.points(ctx, fmt.Sprintf("(%s) unless (%s)", now, before), cd.metrics...)
		errs = append(errs, err)
		for _, p := range pts {
			object := string(p.labels[model.LabelName(cd.object)])
			out = append(out, r.anomaly(cd.name, cd.signal, p, object, native(cd.object, p.labels, object)))
		}
	}
	for _, e := range expiries {
		v, err := r.atEnd(ctx, fmt.Sprintf("min by (%s) (last_over_time(%s[%s])) >= %d <= %d", e.by, e.metric, r.span(minInfo), r.from.Unix(), r.to.Unix()), e.metric)
		errs = append(errs, err)
		for _, s := range v {
			object := triage.HostOf(string(s.Metric["instance"]))
			for _, l := range []model.LabelName{"name", "secret_name", "subject_CN"} {
				if object == "" {
					object = string(s.Metric[l])
				}
			}
			p := point{at: time.Unix(int64(s.Value), 0).UTC(), labels: s.Metric, value: 1}
			a := r.anomaly("certificate expired", triage.SignalErrors, p, object, strings.Trim(s.Metric.String(), "{}"))
			a.Onset = triage.Interval{Earliest: p.at, Best: p.at, Latest: p.at}
			out = append(out, a)
		}
	}
	return out, errors.Join(errs...)
}

// anomaly is one condition that began between two looks. Its effect is the detector's own threshold: enough, not more.
func (r *changeReader) anomaly(name string, sig triage.Signal, p point, object, id string) triage.Anomaly {
	a := triage.Anomaly{
		ID:     triage.AnomalyID(fmt.Sprintf("%s:%s/%s@%d", r.s.cfg.Name, strings.ReplaceAll(name, " ", "-"), id, p.at.Unix())),
		Source: r.s.cfg.Name, Scope: r.scope, Signal: sig, Series: name + ": " + object, ObservedAt: r.s.now().UTC(),
		Onset: triage.Interval{Earliest: p.at.Add(-changeStep - ksmInterval), Best: p.at.Add(-changeStep / 2), Latest: p.at},
		To:    1, Effect: r.s.cfg.Anomalies.Spreads,
	}
	a.Service, _ = r.s.dir.Load().Resolve(object)
	a.Namespace = string(p.labels["namespace"])
	if c := string(p.labels["cluster"]); c != "" {
		a.Cluster = c
	}
	return a
}
