package prometheus

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// meaning says what the value of a watched series is, and so what a move of it says.
type meaning string

const (
	meansSetting meaning = "setting" // the value is what was set: from one to another
	meansWritten meaning = "written" // the value marks a state, as a resource version does: whatever it is, something was written
	meansTime    meaning = "time"    // the value is when it happened last, in seconds since 1970
	meansExpiry  meaning = "expiry"  // the value is when it ends, in seconds since 1970
	meansLabel   meaning = "label"   // the value says nothing, a label does
)

var meanings = []meaning{meansSetting, meansWritten, meansTime, meansExpiry, meansLabel}

// surely is how surely a move of such a series says that something changed. Labels and owners of an object are written into the
// same resource version as its contents; what is read again may read as before.
func (m meaning) surely() triage.Surely {
	switch m {
	case meansWritten:
		return triage.SurelyLikely
	case meansTime:
		return triage.SurelyPossible
	case meansSetting, meansExpiry, meansLabel:
	}
	return triage.SurelyCertain
}

// watchedSeries is one metric in which a change shows that nobody reports.
type watchedSeries struct {
	metric  string
	match   string // further matchers
	kind    triage.Kind
	means   meaning
	what    string            // what it is about, in a title: "ConfigMap"
	key     string            // the one setting of it; empty: the name alone
	name    []model.LabelName // labels that name it, best first; the first one is the label of the Change as well
	service []model.LabelName // labels that hold the service; empty: as serviceOf says
	label   model.LabelName   // with meansLabel
	of      serviceRule
}

// serviceRule says how the service of a watched series is found.
type serviceRule int

const (
	ofAlert  serviceRule = iota // as an alert with these labels would be read
	ofConfig                    // the service whose configuration has this name: only one that is known
	ofScaler                    // what the autoscaler of this name scales
	ofHost                      // the host, or the object, that a certificate is for
)

// shipped are the watched series that everybody gets. What needs more than the value of one series has an observer of its own:
// ReplicaSets, workloads, versions, reloads, nodes.
var shipped = []watchedSeries{
	{metric: "kube_configmap_metadata_resource_version", kind: triage.KindConfig, means: meansWritten, what: "ConfigMap", name: []model.LabelName{"configmap"}, of: ofConfig},
	{metric: "kube_secret_metadata_resource_version", kind: triage.KindConfig, means: meansWritten, what: "Secret", name: []model.LabelName{"secret"}, of: ofConfig},
	{metric: "kube_horizontalpodautoscaler_spec_max_replicas", kind: triage.KindConfig, means: meansSetting, what: "autoscaler", key: "maxReplicas", name: []model.LabelName{"horizontalpodautoscaler"}, of: ofScaler},
	{metric: "kube_horizontalpodautoscaler_spec_min_replicas", kind: triage.KindConfig, means: meansSetting, what: "autoscaler", key: "minReplicas", name: []model.LabelName{"horizontalpodautoscaler"}, of: ofScaler},
	{metric: "certmanager_certificate_expiration_timestamp_seconds", kind: triage.KindInfra, means: meansExpiry, what: "certificate", name: []model.LabelName{"name"}, of: ofHost},
	{metric: "x509_cert_not_after", kind: triage.KindInfra, means: meansExpiry, what: "certificate", name: []model.LabelName{"secret_name", "subject_CN", "filename"}, of: ofHost},
	{metric: "probe_ssl_earliest_cert_expiry", kind: triage.KindInfra, means: meansExpiry, what: "certificate", name: []model.LabelName{"instance"}, of: ofHost},
}

// watch is what this server's series are watched for: what is shipped, without what the file leaves out, and the file's own.
func (c ChangesConfig) watch() []watchedSeries {
	out := slices.DeleteFunc(slices.Clone(shipped), func(w watchedSeries) bool { return slices.Contains(c.Without, w.metric) })
	for _, o := range c.Watch {
		w := watchedSeries{metric: o.Metric, match: o.Match, kind: triage.Kind(o.Kind), means: meaning(o.Means), what: o.What, label: model.LabelName(o.Label)}
		for _, l := range o.Name {
			w.name = append(w.name, model.LabelName(l))
		}
		for _, l := range o.Service {
			w.service = append(w.service, model.LabelName(l))
		}
		out = append(out, w)
	}
	return out
}

// watches are the changes that the value of one series shows.
func (r *changeReader) watches(ctx context.Context) ([]triage.Change, error) {
	ignore, err := ignoreRegexp(r.s.cfg.Changes.IgnoreConfigMaps)
	if err != nil {
		return nil, err
	}
	var out []triage.Change
	for _, w := range r.s.cfg.Changes.watch() {
		if w.means == meansLabel {
			cs, err := r.tagged(ctx, w.asTagged())
			if err != nil {
				return out, fmt.Errorf("%s: %w", w.metric, err)
			}
			out = append(out, cs...)
			continue
		}
		ms, err := r.movesOf(ctx, w)
		if err != nil {
			return out, fmt.Errorf("%s: %w", w.metric, err)
		}
		if len(ms) == 0 {
			continue
		}
		var always map[model.Fingerprint]bool
		if w.means != meansExpiry {
			if always, err = r.habits(ctx, w.by(r), w.selector(), w.firstName(), ms); err != nil {
				return out, fmt.Errorf("%s: %w", w.metric, err)
			}
		}
		for _, m := range ms {
			if name := w.nameOf(m.labels); always[m.labels.Fingerprint()] || w.of == ofConfig && ignore != nil && ignore.MatchString(name) {
				continue
			}
			out = append(out, r.watchedChange(w, m))
		}
	}
	return out, nil
}

func (w watchedSeries) selector() string { return selector(w.metric, w.match) }

// by is the grouping of a watched series: where it lives, whose it is, what it is called.
func (w watchedSeries) by(r *changeReader) string {
	labels := slices.Clone(r.kube)
	if w.of != ofConfig && w.of != ofScaler {
		labels = []string{"cluster", "namespace"}
	}
	if w.of == ofAlert && len(w.service) == 0 {
		labels = strings.Split(nameGroup, ", ")
	}
	for _, l := range slices.Concat(w.service, w.name) {
		labels = append(labels, string(l))
	}
	slices.Sort(labels)
	return strings.Join(slices.Compact(labels), ", ")
}

func (w watchedSeries) nameOf(m model.Metric) string {
	for _, l := range w.name {
		if v := string(m[l]); v != "" {
			return v
		}
	}
	if len(w.name) == 0 {
		return w.metric
	}
	return ""
}

// movesOf reads the moves that mean something. A certificate is renewed where its end leaves what was seen of it in the last hour:
// two of them behind one address answer in turns.
func (r *changeReader) movesOf(ctx context.Context, w watchedSeries) ([]move, error) {
	by, sel, step := w.by(r), w.selector(), model.Duration(changeStep)
	switch w.means {
	case meansTime:
		pts, err := r.points(ctx, fmt.Sprintf("max by (%[1]s) (%[2]s) > max by (%[1]s) (max_over_time(%[2]s[%[3]s] offset %[4]s))", by, sel, versionMemory, step), w.metric)
		return movesAt(pts), err
	case meansExpiry:
		pts, err := r.points(ctx, fmt.Sprintf(
			"max by (%[1]s) (%[2]s) > 60 + max by (%[1]s) (max_over_time(%[2]s[%[3]s] offset %[4]s)) or min by (%[1]s) (%[2]s) < min by (%[1]s) (min_over_time(%[2]s[%[3]s] offset %[4]s)) - 60",
			by, sel, versionMemory, step), w.metric)
		return movesAt(pts), err
	case meansWritten, meansSetting, meansLabel:
	}
	if w.match != "" {
		return r.movesOfSome(ctx, by, sel, w.metric)
	}
	return r.moves(ctx, by, w.metric)
}

func movesAt(pts []point) []move {
	var out []move
	for _, p := range pts {
		out = append(out, move{point: p, since: p.at.Add(-changeStep)})
	}
	return out
}

// movesOfSome are the moves of a selector's series; a gap of these alone is not looked into.
func (r *changeReader) movesOfSome(ctx context.Context, by, sel, metric string) ([]move, error) {
	pts, err := r.points(ctx, moved(by, sel, "!="), metric)
	if err != nil || len(pts) == 0 {
		return nil, err
	}
	were, err := r.points(ctx, movedFrom(by, sel), metric)
	out := movesAt(pts)
	for i, m := range out {
		if j := slices.IndexFunc(were, func(w point) bool { return w.at.Equal(m.at) && w.labels.Equal(m.labels) }); j >= 0 {
			out[i].from = were[j].value
		}
	}
	return out, err
}

// watchedChange is what a move says.
func (r *changeReader) watchedChange(w watchedSeries, m move) triage.Change {
	name := w.nameOf(m.labels)
	c := r.change(w.kind, "", m.labels, "")
	c.Service = r.serviceOf(w, m.labels, name)
	if l := w.firstName(); l != "" {
		c.Labels[string(l)] = name
	}
	id := native(cmp.Or(string(w.idLabel()), w.metric), m.labels, name)
	if w.key != "" {
		id += "/" + w.key
	}
	c.ID = triage.ChangeID(fmt.Sprintf("%s:%s@%s", r.s.cfg.Name, id, written(m.value)))
	c.Status = triage.StatusSucceeded
	between(&c, m.since, m.at)
	c.FinishedAt = m.at
	switch w.means {
	case meansWritten:
		c.Title = fmt.Sprintf("%s %s changed", w.what, name)
	case meansSetting:
		c.ID += triage.ChangeID("/" + strconv.FormatInt(m.at.Unix(), 10)) // the same value may be set again
		c.Labels["from"], c.Labels["to"] = written(m.from), written(m.value)
		c.Title = strings.Join(strings.Fields(fmt.Sprintf("%s %s: %s %s → %s", w.what, name, w.key, c.Labels["from"], c.Labels["to"])), " ")
		switch {
		case w.kind == triage.KindFlag:
			c.Labels["flag"] = name
		case w.key != "":
			c.Labels["key"] = name + " " + w.key
		default:
			c.Labels["key"] = name
		}
		c.Reversible = triage.Reversible{Value: triage.ReversibleYes, Reason: "the previous value is known"}
	case meansTime:
		c.StartedAt = time.Unix(int64(m.value), 0).UTC()
		c.FinishedAt, c.TimeUncertaintyS = c.StartedAt, 1
		c.Title = fmt.Sprintf("%s %s: done again", w.what, name)
	case meansExpiry:
		end := time.Unix(int64(m.value), 0).UTC()
		c.Labels["not_after"] = end.Format(time.RFC3339)
		c.Title = fmt.Sprintf("%s of %s replaced: valid until %s", w.what, name, end.Format(time.DateOnly))
	case meansLabel:
	}
	c.Title = strings.TrimSpace(c.Title)
	r.seen(&c, w.metric, w.means.surely(), m.at.Sub(m.since)-changeStep)
	return c
}

func (w watchedSeries) firstName() model.LabelName {
	if len(w.name) == 0 {
		return ""
	}
	return w.name[0]
}

// idLabel is the first label of the name: what kind of object this is.
func (w watchedSeries) idLabel() model.LabelName {
	if w.of == ofAlert || w.of == ofHost {
		return ""
	}
	return w.firstName()
}

// written writes a value as people do.
func written(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func (r *changeReader) serviceOf(w watchedSeries, m model.Metric, name string) string {
	resolve := func(name string) string {
		service, _ := r.s.dir.Load().Resolve(name)
		return service
	}
	for _, l := range w.service {
		if v := string(m[l]); v != "" {
			return resolve(v)
		}
	}
	switch w.of {
	case ofConfig:
		return r.configOf(name)
	case ofScaler:
		return resolve(cmp.Or(r.scalers.target[native("", m, name)], name))
	case ofHost:
		return resolve(cmp.Or(triage.HostOf(string(m["instance"])), name))
	case ofAlert:
	}
	return resolve(cmp.Or(r.subjectOf(m).Service, stripNamespace(string(m["job"]))))
}

var configSuffix = regexp.MustCompile(`[-_.](config|configmap|cm|env|settings|secrets?|credentials|properties|[0-9a-f]{8,10})$`)

// configOf is the service whose configuration has this name: only one that is known, never a guess.
func (r *changeReader) configOf(name string) string {
	for {
		if service, rule := r.s.dir.Load().Resolve(name); rule != triage.NameUnknown {
			return service
		}
		cut := configSuffix.ReplaceAllString(name, "")
		if cut == name {
			return ""
		}
		name = cut
	}
}
