package prometheus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

const (
	firingStep = time.Minute
	firingGap  = 5 * time.Minute // a pause up to this long is the same firing

	leastFiringChunk = time.Hour // of one query
)

// Firings are the alerts that fired within [from, to], each firing by itself, by StartsAt: what ALERTS remembers. Times are a
// minute coarse. Alerts of severity none and info are left out, and the server's external labels are added, as a receiver of the
// alerts would see them. progress, where not nil, is told how much of the time has been read. What could be read is returned
// also with an error.
func (s *Source) Firings(ctx context.Context, from, to time.Time, progress func(done float64)) ([]triage.Alert, error) {
	var external map[string]string
	if conf, err := s.serverConfig(ctx, s.client); err == nil {
		external = conf.Global.ExternalLabels
	}
	open := make(map[string]*triage.Alert)
	var out []*triage.Alert
	var err error
	chunk := changeChunk
	for start := from; start.Before(to); {
		end := start.Add(chunk)
		if end.After(to) {
			end = to
		}
		var m model.Matrix
		m, err = s.client.matrix(ctx, fmt.Sprintf(`count_over_time(ALERTS{alertstate="firing",severity!~"none|info"}[%s])`, model.Duration(firingStep)),
			newGrid(start, end, firingStep))
		if r := reasonFor(s.cfg.Name, err); (r == ReasonTooLarge || r == ReasonRefused) && chunk > leastFiringChunk {
			chunk /= 4 // many alerts that never end: less at once
			continue
		}
		if err != nil {
			break
		}
		for _, st := range sortedMatrix(m) {
			out = fired(open, out, st, external)
		}
		if start = end; progress != nil {
			progress(float64(end.Sub(from)) / float64(to.Sub(from)))
		}
	}
	s.asked(err)
	result := make([]triage.Alert, 0, len(out))
	for _, a := range out {
		a.Status = triage.AlertResolved
		if to.Sub(a.EndsAt) <= firingGap {
			a.EndsAt, a.Status = time.Time{}, triage.AlertFiring
		}
		result = append(result, *a)
	}
	slices.SortStableFunc(result, func(a, b triage.Alert) int {
		if c := a.StartsAt.Compare(b.StartsAt); c != 0 {
			return c
		}
		return strings.Compare(labelKey(a.Labels), labelKey(b.Labels))
	})
	return result, err
}

// fired adds the firings of one stream; a firing that is still open from the chunk before goes on.
func fired(open map[string]*triage.Alert, out []*triage.Alert, st *model.SampleStream, external map[string]string) []*triage.Alert {
	ls := make(map[string]string, len(st.Metric)+len(external))
	maps.Copy(ls, external)
	for k, v := range st.Metric {
		if k != "alertstate" && k != model.MetricNameLabel {
			ls[string(k)] = string(v)
		}
	}
	key := labelKey(ls)
	for _, p := range st.Values {
		at := p.Timestamp.Time().UTC()
		if a := open[key]; a != nil && at.Sub(a.EndsAt) <= firingGap {
			a.EndsAt = at
			continue
		}
		a := &triage.Alert{Labels: ls, StartsAt: at, EndsAt: at}
		open[key], out = a, append(out, a)
	}
	return out
}

// ActiveSince is when the alert's expression first held before it fired at a.StartsAt, as ALERTS_FOR_STATE remembers; zero where
// it does not.
func (s *Source) ActiveSince(ctx context.Context, a triage.Alert) (time.Time, error) {
	var external map[string]string
	if conf, err := s.serverConfig(ctx, s.client); err == nil {
		external = conf.Global.ExternalLabels
	}
	var match []string
	for _, k := range slices.Sorted(maps.Keys(a.Labels)) {
		if external[k] != a.Labels[k] && model.LegacyValidation.IsValidLabelName(k) {
			match = append(match, fmt.Sprintf(`%s="%s"`, k, promEscape(a.Labels[k])))
		}
	}
	v, err := s.client.vector(ctx, "max(ALERTS_FOR_STATE{"+strings.Join(match, ",")+"})", a.StartsAt)
	s.asked(err)
	if err != nil || len(v) == 0 {
		return time.Time{}, err
	}
	at := time.Unix(int64(v[0].Value), 0).UTC()
	if at.After(a.StartsAt) {
		return time.Time{}, nil
	}
	return at, nil
}
