package prometheus

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

const (
	// Metrics that hold when a configuration was last read well, and those that hold a number made of its contents. Prometheus and its
	// kin, ingress controllers, collectors and agents name them alike.
	reloadMetrics = `.+_config_last_(re)?load_success(ful)?(_timestamp)?_seconds|traefik_config_last_reload_success|reloader_last_reload_success_timestamp_seconds`
	hashMetrics   = `.+_config_hash`

	afterStart  = time.Minute     // what is read so soon after the process began is read because it began
	oneReload   = 5 * time.Minute // replicas of one job that read within it were told at once
	firstSecond = 1e9             // values below are no times: some name a gauge of 0 and 1 alike
)

var (
	reloadMetric = regexp.MustCompile(`^(?:` + reloadMetrics + `)$`)
	hashMetric   = regexp.MustCompile(`^(?:` + hashMetrics + `)$`)
)

// those are the metrics found that a pattern matches, sorted.
func (r *changeReader) those(pattern *regexp.Regexp) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(r.found.names)), func(n string) bool { return !pattern.MatchString(n) })
}

// reloads are configurations read anew: rules, routes, upstreams may have changed. Not because the process began, not as a habit; and
// where a hash of the contents is told, only with another hash.
func (r *changeReader) reloads(ctx context.Context) ([]triage.Change, error) {
	names := r.those(reloadMetric)
	if len(names) == 0 {
		return nil, nil
	}
	sel := fmt.Sprintf(`{__name__=~"%s"}`, promEscape(alternatives(names)))
	by := "__name__, instance, pod, " + nameGroup
	wide := *r
	wide.from = r.from.Add(-oneReload) // of several that read at once the first one counts, also where the stretch begins between them
	pts, err := wide.points(ctx, fmt.Sprintf("max by (%[1]s) (%[2]s) > max by (%[1]s) (max_over_time(%[2]s[%[3]s] offset %[4]s))", by, sel, versionMemory, model.Duration(changeStep)))
	if err != nil || len(pts) == 0 {
		return nil, err
	}
	began, err := wide.processes(ctx, pts)
	if err != nil {
		return nil, err
	}
	hashes, err := wide.hashes(ctx, by)
	if err != nil {
		return nil, err
	}
	always, err := r.reloadHabits(ctx, pts)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(pts, func(a, b point) int { return cmp.Compare(a.value, b.value) })
	latest := make(map[string]time.Time) // what reloads → its last reload
	var out []triage.Change
	for _, p := range pts {
		at := time.Unix(int64(p.value), 0).UTC()
		if p.value < firstSecond || always[string(p.labels[model.MetricNameLabel])][unnamed(p.labels).Fingerprint()] {
			continue
		}
		moved, told := hashes.moved(p)
		if told && !moved || !told && began.within(p, at) {
			continue // read again, and the same; or read because it began
		}
		c := r.reload(p, at, told)
		key := c.Cluster + "\x00" + c.Namespace + "\x00" + c.Labels["job"] + "\x00" + c.Service
		again := at.Sub(latest[key]) <= oneReload
		latest[key] = at
		if !again && !at.Before(r.from) {
			out = append(out, c)
		}
	}
	return out, nil
}

// reloadHabits are habits, metric by metric.
func (r *changeReader) reloadHabits(ctx context.Context, pts []point) (map[string]map[model.Fingerprint]bool, error) {
	of := make(map[string][]point)
	for _, p := range pts {
		name := string(p.labels[model.MetricNameLabel])
		of[name] = append(of[name], p)
	}
	out := make(map[string]map[model.Fingerprint]bool)
	for _, name := range slices.Sorted(maps.Keys(of)) {
		always, err := r.habits(ctx, "instance, pod, "+nameGroup, selector(name, ""), "job", movesAt(of[name]))
		if err != nil {
			return nil, err
		}
		out[name] = always
	}
	return out, nil
}

func unnamed(m model.Metric) model.Metric {
	m = m.Clone()
	delete(m, model.MetricNameLabel)
	return m
}

func (r *changeReader) reload(p point, at time.Time, hashed bool) triage.Change {
	job := stripNamespace(string(p.labels["job"]))
	subject := r.subjectOf(p.labels)
	name := cmp.Or(subject.Service, job)
	c := r.change(triage.KindConfig, fmt.Sprintf("reload/%s/%s@%.0f", p.labels["namespace"], job, p.value), p.labels, name)
	c.StartedAt, c.FinishedAt, c.Status = at, at, triage.StatusSucceeded
	c.Title = name + " reloaded its configuration"
	c.Labels["job"] = string(p.labels["job"])
	surely := triage.SurelyPossible
	if hashed {
		surely = triage.SurelyCertain
		c.Title = name + " reloaded its configuration, which differs"
	}
	r.seen(&c, string(p.labels[model.MetricNameLabel]), surely, 0)
	return c
}

// byInstance are values over time of what one process tells.
type byInstance map[string][]point

func instanceOf(m model.Metric) string {
	return strings.Join([]string{string(m["cluster"]), string(m["namespace"]), string(m["job"]), string(m["instance"]), string(m["pod"])}, "\x00")
}

func (b byInstance) add(pts []point) {
	for _, p := range pts {
		key := instanceOf(p.labels)
		b[key] = append(b[key], p)
	}
}

// processes are when the processes that reloaded began.
func (r *changeReader) processes(ctx context.Context, pts []point) (byInstance, error) {
	out := make(byInstance)
	var jobs []string
	for _, p := range pts {
		jobs = append(jobs, string(p.labels["job"]))
	}
	slices.Sort(jobs)
	for _, chunk := range chunks(slices.Compact(jobs), maxAlternation) {
		began, err := r.points(ctx, fmt.Sprintf(`max by (cluster, namespace, job, instance, pod) (process_start_time_seconds{job=~"%s"})`, promEscape(alternatives(chunk))))
		if err != nil {
			return nil, err
		}
		out.add(began)
	}
	return out, nil
}

// within reports whether the process began just before that time.
func (b byInstance) within(p point, at time.Time) bool {
	return slices.ContainsFunc(b[instanceOf(p.labels)], func(o point) bool {
		since := at.Sub(time.Unix(int64(o.value), 0))
		return since >= -5*time.Second && since < afterStart
	})
}

// hashes are the numbers made of configurations, over time.
func (r *changeReader) hashes(ctx context.Context, by string) (byInstance, error) {
	out := make(byInstance)
	names := r.those(hashMetric)
	if len(names) == 0 {
		return out, nil
	}
	pts, err := r.points(ctx, fmt.Sprintf(`max by (%s) ({__name__=~"%s"})`, by, promEscape(alternatives(names))))
	out.add(pts)
	return out, err
}

// moved reports whether a number of this process is another one than before p, and whether it tells any at both times.
func (b byInstance) moved(p point) (moved, told bool) {
	before := make(map[model.LabelValue]float64)
	for _, o := range b[instanceOf(p.labels)] {
		name := o.labels[model.MetricNameLabel]
		was, there := before[name]
		switch {
		case o.at.Before(p.at.Add(-changeStep)):
			before[name] = o.value
		case there && !o.at.Before(p.at):
			moved, told = moved || was != o.value, true
		}
	}
	return moved, told
}
