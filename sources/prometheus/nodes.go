package prometheus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

const (
	nodeMemory = day // what a cluster's nodes ran within it is nothing new: pools come and go by the hour
	maxNewOnes = 10  // combinations new in one stretch that are asked about
)

// nodeMetric is a metric that says what nodes run.
type nodeMetric struct {
	metric string
	labels []model.LabelName // what they run, what says most first
	by     string            // what belongs together
	node   string            // the label that names one
}

// count counts nodes, each once in every group.
func (n nodeMetric) count(by string) string {
	return fmt.Sprintf("count by (%[1]s) (group by (%[2]s, %[1]s) (%[3]s))", by, n.node, n.metric)
}

var nodeMetrics = []nodeMetric{
	{
		metric: "kube_node_info", labels: []model.LabelName{"kubelet_version", "kernel_version", "os_image", "container_runtime_version"},
		by: "cluster", node: "node",
	},
	{metric: "node_uname_info", labels: []model.LabelName{"release", "machine"}, by: "cluster, job", node: "instance"},
}

// nodes are what nodes run that none of their cluster ran within a day: kernels, system images, kubelets. One change for all nodes
// that follow, whose steps say how many did. Nodes that come and go as the others are none.
func (r *changeReader) nodes(ctx context.Context) ([]triage.Change, error) {
	for _, n := range nodeMetrics {
		if r.exist(n.metric) {
			return r.nodesOf(ctx, n) // what the first one says the second one would say again
		}
	}
	return nil, nil
}

func (r *changeReader) nodesOf(ctx context.Context, n nodeMetric) ([]triage.Change, error) {
	labels := []string{n.by}
	for _, l := range n.labels {
		labels = append(labels, string(l))
	}
	m, err := r.c.matrix(ctx, n.count(strings.Join(labels, ", ")), newGrid(r.from, r.to, changeStep))
	if err != nil {
		return nil, err
	}
	all := sortedMatrix(m)
	var out []triage.Change
	for _, st := range all {
		if len(st.Values) == 0 || len(out) == maxNewOnes {
			continue
		}
		first := st.Values[0].Timestamp.Time().UTC()
		var match []string
		for _, l := range n.labels {
			match = append(match, fmt.Sprintf(`%s="%s"`, l, promEscape(string(st.Metric[l]))))
		}
		if c := st.Metric["cluster"]; c != "" {
			match = append(match, fmt.Sprintf(`cluster="%s"`, promEscape(string(c))))
		}
		was := r.usualBefore(n, all, st, first)
		if was == nil {
			continue // there was none before, or this is what there was
		}
		known, err := r.c.vector(ctx, fmt.Sprintf("group(last_over_time(%s{%s}[%s] offset %s))",
			n.metric, strings.Join(match, ","), model.Duration(nodeMemory), model.Duration(changeStep)), first)
		if err != nil {
			return out, err
		}
		if len(known) > 0 {
			continue
		}
		total, err := r.c.matrix(ctx, n.count(n.by), newGrid(r.from, r.to, changeStep))
		if err != nil {
			return out, err
		}
		out = append(out, r.renewedNodes(n, total, st, was))
	}
	return out, nil
}

// usualBefore is what most nodes ran just before; nil where there were none, or where that is what st is.
func (r *changeReader) usualBefore(n nodeMetric, all model.Matrix, st *model.SampleStream, at time.Time) model.Metric {
	var most model.SampleValue
	var usual model.Metric
	for _, o := range all {
		if !n.together(o, st) {
			continue
		}
		for _, p := range o.Values {
			if p.Timestamp.Time().Equal(at.Add(-changeStep)) && p.Value > most {
				most, usual = p.Value, o.Metric
			}
		}
	}
	return usual
}

func (n nodeMetric) together(a, b *model.SampleStream) bool {
	return a.Metric["cluster"] == b.Metric["cluster"] && (!strings.Contains(n.by, "job") || a.Metric["job"] == b.Metric["job"])
}

// renewedNodes is the change from one sort of node to another.
func (r *changeReader) renewedNodes(n nodeMetric, totals model.Matrix, st *model.SampleStream, was model.Metric) triage.Change {
	first := st.Values[0].Timestamp.Time().UTC()
	c := r.change(triage.KindInfra, fmt.Sprintf("nodes/%s/%s@%d", st.Metric["cluster"], st.Metric["job"], first.Unix()), st.Metric, "")
	c.Service, c.Namespace, c.Global = "", "", true
	delete(c.Labels, "namespace")
	var says []string
	for _, l := range n.labels {
		from, to := string(was[l]), string(st.Metric[l])
		if from == to {
			continue
		}
		c.Labels[string(l)] = to
		says = append(says, fmt.Sprintf("%s %s → %s", strings.ReplaceAll(string(l), "_", " "), from, to))
		if c.Version == "" {
			c.Version, c.PreviousVersion = to, from
		}
	}
	c.Title = "nodes: " + strings.Join(says, ", ")
	if len(c.Title) > triage.MaxText {
		c.Title = strings.ToValidUTF8(c.Title[:triage.MaxText], "")
	}
	c.Status = triage.StatusStarted
	between(&c, first.Add(-changeStep), first)
	share := 0.0
	for _, p := range st.Values {
		at, total := p.Timestamp.Time().UTC(), model.SampleValue(0)
		for _, o := range totals {
			if i := slices.IndexFunc(o.Values, func(v model.SamplePair) bool { return v.Timestamp == p.Timestamp }); i >= 0 && n.together(o, st) {
				total += o.Values[i].Value
			}
		}
		if now := 100 * float64(p.Value/total); now > share && len(c.Steps) < triage.MaxSteps {
			share = now
			c.Steps = append(c.Steps, triage.Step{At: at, Percent: share})
			if share == 100 {
				c.Status, c.FinishedAt = triage.StatusSucceeded, at
			}
		}
	}
	r.seen(&c, n.metric, triage.SurelyCertain, 0)
	return c
}
