package collector

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// maxSkew is how far ahead of our clock a time may lie before it is taken for a wrong clock.
const maxSkew = 5 * time.Minute

// joinKey is the hash of one of Change.JoinKeys, and how much it proves.
type joinKey struct {
	hash uint64
	weak weakness
}

// weakness says what a join key may be mistaken about. A ref names one execution. A sha and a digest name what was put in
// place, which may be put in place twice within the hour: they bow to evidence that these were two executions. A version is what
// senders call it: it unites the words of two senders only, said soon after one another, since each tells its own changes apart.
type weakness int

const (
	byExecution weakness = iota
	byContent
	byName
)

// report is one Change as it came, made ready for folding.
type report struct {
	change triage.Change
	keys   []joinKey
	prior  *triage.Change // what the journal has under this id, where the window does not
	event  int            // position in the call of Emit
}

// idKey is the hash under which an alias is kept among the join keys of its Change.
func idKey(id triage.ChangeID) uint64 { return triage.HashJoinKey("id\x00" + string(id)) }

func joinKeys(c *triage.Change) []joinKey {
	keys := c.JoinKeys()
	out := make([]joinKey, len(keys))
	for i, k := range keys {
		out[i] = joinKey{hash: triage.HashJoinKey(k), weak: weaknessOf(k)}
	}
	return out
}

func weaknessOf(key string) weakness {
	switch kind, _, _ := strings.Cut(key, "\x00"); kind {
	case triage.JoinRef:
		return byExecution
	case triage.JoinVersion:
		return byName
	}
	return byContent
}

// normalise makes a Change from outside into one of ours: names resolved, times in UTC and not in the future, an id. The error
// says why it cannot be taken at all.
func normalise(c triage.Change, source string, dir *triage.Directory, now time.Time) (out triage.Change, skewed bool, err error) {
	if c.Source == "" {
		c.Source = source
	}
	if c.ObservedAt.IsZero() || c.ObservedAt.After(now.Add(maxSkew)) {
		c.ObservedAt = now
	}
	if err := c.Validate(""); err != nil {
		return c, false, err
	}
	if err := finite(c); err != nil {
		return c, false, err
	}
	if c.ID == "" { // before anything depends on our clock or configuration, so that the same report has the same id tomorrow
		c.ID = c.DeriveID()
	}
	c, skewed = unskew(c, now)
	c.Service, c.Labels = resolve(c.Service, c.Labels, dir)
	c.Environment = dir.Environment(c.Environment)
	return normal(c), skewed, nil
}

// resolve applies the directory to a service name and leaves word of it in the labels.
func resolve(service string, labels map[string]string, dir *triage.Directory) (string, map[string]string) {
	if service == "" {
		return "", labels
	}
	name, rule := dir.Resolve(service)
	if name != service {
		labels = with(labels, labelServiceRaw, service)
	}
	if rule != triage.NameExact {
		labels = with(labels, labelServiceRule, string(rule))
	}
	return name, labels
}

// unskew pulls the times of a Change whose sender's clock is more than maxSkew ahead back to when we saw it.
func unskew(c triage.Change, now time.Time) (triage.Change, bool) {
	latest := c.LastActivity()
	if c.StartedAt.After(latest) {
		latest = c.StartedAt
	}
	ahead := latest.Sub(now)
	if ahead <= maxSkew {
		return c, false
	}
	clamp := func(t time.Time) time.Time {
		if t.After(c.ObservedAt) {
			return c.ObservedAt
		}
		return t
	}
	steps := make([]triage.Step, len(c.Steps))
	for i, s := range c.Steps {
		s.At = clamp(s.At)
		steps[i] = s
	}
	c.StartedAt, c.FinishedAt, c.Steps = clamp(c.StartedAt), clamp(c.FinishedAt), steps
	c.Labels = with(c.Labels, labelClockSkew, strconv.FormatInt(int64(ahead/time.Second), 10))
	return c, true
}

func finite(c triage.Change) error {
	bad := math.IsNaN(c.TimeUncertaintyS) || (c.RolloutPercent != nil && math.IsNaN(*c.RolloutPercent))
	for _, s := range c.Steps {
		bad = bad || math.IsNaN(s.Percent)
	}
	if bad {
		return errors.New("time_uncertainty_s, rollout_percent and steps[].percent must be numbers")
	}
	return nil
}

// normaliseAnomaly is normalise for an Anomaly.
func normaliseAnomaly(a triage.Anomaly, source string, dir *triage.Directory, now time.Time) (out triage.Anomaly, skewed bool, err error) {
	if a.Source == "" {
		a.Source = source
	}
	if a.ObservedAt.IsZero() || a.ObservedAt.After(now.Add(maxSkew)) {
		a.ObservedAt = now
	}
	if err := a.Validate(""); err != nil {
		return a, false, err
	}
	for _, f := range [...]float64{a.From, a.To, a.Effect} {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return a, false, errors.New("from, to and effect must be finite numbers")
		}
	}
	if a.ID == "" {
		a.ID = a.DeriveID()
	}
	if ahead := a.Onset.Best.Sub(now); ahead > maxSkew {
		skewed = true
		a.Labels = with(a.Labels, labelClockSkew, strconv.FormatInt(int64(ahead/time.Second), 10))
		for _, t := range [...]*time.Time{&a.Onset.Earliest, &a.Onset.Best, &a.Onset.Latest, &a.EndedAt} {
			if t.After(a.ObservedAt) {
				*t = a.ObservedAt
			}
		}
	}
	a.Service, a.Labels = resolve(a.Service, a.Labels, dir)
	a.Environment = dir.Environment(a.Environment)
	a.ObservedAt, a.EndedAt = utc(a.ObservedAt), utc(a.EndedAt)
	a.Onset = triage.Interval{Earliest: utc(a.Onset.Earliest), Best: utc(a.Onset.Best), Latest: utc(a.Onset.Latest)}
	return a, skewed, nil
}

// eventOrigin is the origin of what was read well and still could not be taken.
const eventOrigin = "event"

// refused is a Change or Anomaly that could not be taken, as it is quarantined.
func refused(source string, event any, reason error, now time.Time) triage.Quarantined {
	body, err := json.Marshal(event)
	if err != nil { // what cannot be written as JSON, a number that is none, is kept as Go prints it
		body = fmt.Appendf(nil, "%+v", event)
	}
	q := triage.Quarantined{Source: source, Origin: eventOrigin, Reason: reason.Error(), At: now}
	q.SetBody(body)
	sum := sha256.Sum256(append([]byte(source+"\x00"), q.Body...))
	q.ID = "q:" + hex.EncodeToString(sum[:12])
	return q
}
