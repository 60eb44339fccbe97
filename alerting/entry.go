package alerting

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Why a report was made: Report.Cause.
const (
	CauseAlert      = "alert"
	CauseMoreAlerts = "more alerts"
	CauseReopened   = "firing again"
	CauseLate       = "late change"
	CauseUndo       = "undo seen"
	CauseSecondLook = "second look"
	CauseRecovered  = "recovered"
	CauseMoving     = "change while open" // something went live in the blast radius
	CauseChecked    = "undo checked"
)

// causeWeight orders causes that meet in the queue: the report names the weightiest.
func causeWeight(c string) int {
	return slices.Index([]string{CauseSecondLook, CauseMoreAlerts, CauseMoving, CauseLate, CauseReopened, CauseUndo, CauseChecked, CauseAlert}, c)
}

// entry is one incident that is not closed, with what is known besides its record. Guarded by Alerting.mu except for writing.
type entry struct {
	inc    triage.Incident
	shared bool   // inc.Alerts was handed out: copy before changing it
	seq    uint64 // goes up with every change that must be stored
	saved  uint64 // seq that the store has

	writing chan struct{} // capacity 1: whoever holds it writes this incident to the store

	heard      map[string]time.Time // by LabelFingerprint: when a firing alert was last repeated
	report     *triage.Report       // latest
	posted     *triage.Report       // latest that went to the outbox
	postedAs   triage.IncidentState // state that one told of
	reach      map[string]bool      // services whose changes could matter, as of the latest report; nil: not computed
	looks      []time.Time          // second looks still to come, ascending
	wanted     string               // cause of a triage that found the queue full
	lastTriage time.Time
	undoFailed string           // one sentence; empty: none did
	peak       *triage.Severity // the worst proposed in this episode
	undos      []*undoing       // undos of suspects, oldest first; bounded
	moving     []triage.Change  // in the blast radius and acting since the onset, as of the latest triage; undos left out
}

// change prepares the incident for being changed in place.
func (e *entry) change() *triage.Incident {
	if e.shared {
		e.inc.Alerts = slices.Clone(e.inc.Alerts)
		e.shared = false
	}
	e.seq++
	return &e.inc
}

// snapshot is the incident as it is now; its alerts will not be changed.
func (e *entry) snapshot() triage.Incident {
	e.shared = true
	return e.inc
}

// snapshot returns the incident of e.
func (a *Alerting) snapshot(e *entry) (triage.Incident, uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return e.snapshot(), e.seq
}

// persist returns once the store has e at least as of seq. Callers that wait at the same time share one write: that is what
// bounds the writes of a storm to one in flight per incident.
func (a *Alerting) persist(ctx context.Context, e *entry, seq uint64) error {
	select {
	case e.writing <- struct{}{}:
		defer func() { <-e.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	a.mu.Lock()
	if e.saved >= seq {
		a.mu.Unlock()
		return nil
	}
	inc, at := e.snapshot(), e.seq
	a.mu.Unlock()
	if err := a.store.SaveIncident(ctx, inc); err != nil {
		a.metrics.storeFailed.WithLabelValues("incident").Inc()
		return fmt.Errorf("journal incident %s: %w", inc.ID, err)
	}
	a.mu.Lock()
	e.saved = max(e.saved, at)
	a.mu.Unlock()
	a.subs.publish(Update{Incident: inc})
	return nil
}

// index makes e findable. Needs a.mu.
func (a *Alerting) index(e *entry) {
	a.entries[e.inc.ID] = e
	for _, al := range e.inc.Alerts {
		a.byAlert[al.LabelFingerprint()] = e
	}
	if k := e.inc.GroupKey; k != "" {
		a.byGroup[k] = append(a.byGroup[k], e)
	}
	a.byService[e.inc.Service] = append(a.byService[e.inc.Service], e)
}

// forget undoes index. Needs a.mu.
func (a *Alerting) forget(e *entry) {
	delete(a.entries, e.inc.ID)
	for _, al := range e.inc.Alerts {
		if fp := al.LabelFingerprint(); a.byAlert[fp] == e {
			delete(a.byAlert, fp)
		}
	}
	drop := func(m map[string][]*entry, k string) {
		m[k] = slices.DeleteFunc(m[k], func(o *entry) bool { return o == e })
		if len(m[k]) == 0 {
			delete(m, k)
		}
	}
	if e.inc.GroupKey != "" {
		drop(a.byGroup, e.inc.GroupKey)
	}
	drop(a.byService, e.inc.Service)
	a.setReach(e, nil)
}

// setReach notes which services matter to e. Needs a.mu.
func (a *Alerting) setReach(e *entry, reach map[string]bool) {
	for s := range e.reach {
		if a.near[s]--; a.near[s] <= 0 {
			delete(a.near, s)
		}
	}
	e.reach = reach
	for s := range reach {
		a.near[s]++
	}
}

func (a *Alerting) count(s triage.IncidentState) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, e := range a.entries {
		if e.inc.State == s {
			n++
		}
	}
	return n
}

// newEntry wraps an incident.
func newEntry(inc triage.Incident) *entry {
	return &entry{inc: inc, writing: make(chan struct{}, 1), heard: make(map[string]time.Time)}
}

// incidentID names an incident by when it was opened and the alert that opened it, so that the same input gives the same id.
func incidentID(first triage.Alert, now time.Time) string {
	h := sha256.Sum256([]byte(first.Key() + "\x00" + first.GroupKey + "\x00" + now.UTC().Format(time.RFC3339Nano)))
	return now.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(h[:4])
}

// sortEntries gives candidates a fixed order: earliest opened first, then id.
func sortEntries(es []*entry) {
	slices.SortFunc(es, func(x, y *entry) int {
		return cmp.Or(x.inc.OpenedAt.Compare(y.inc.OpenedAt), cmp.Compare(x.inc.ID, y.inc.ID))
	})
}

// incident is the incident as it is now, from memory if it is open.
func (a *Alerting) incident(ctx context.Context, id string) (triage.Incident, error) {
	a.mu.Lock()
	if e := a.entries[id]; e != nil {
		defer a.mu.Unlock()
		return e.snapshot(), nil
	}
	a.mu.Unlock()
	return a.store.Incident(ctx, id)
}
