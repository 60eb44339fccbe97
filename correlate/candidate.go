package correlate

import (
	"cmp"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// candidate is a change that may have set off the symptom, with what was found for and against it.
type candidate struct {
	ch       *triage.Change
	act      acting
	place    place
	hops     int
	findings []weighed
	logOdds  triage.MilliNats
	veto     bool
	direct   bool
	alone    string // the one measurement on which its lead stands; empty: no single one
	far      bool   // over before the usual lookback
	micros   int64  // probability in millionths
	density  float64
	own      ownShift
	words    []string // of title and paths
}

// place is where a change sits, seen from the symptom.
type place int

const (
	placeSelf place = iota
	placeCallee
	placeCaller
	placeGlobal
	placeNoService
	placeNoGraph
	placeUnplaced // there is a graph, and it does not know the service
	placeOffGraph
)

// selectCandidates keeps the changes whose start can lie in the lookback and not after the onset. What began after it,
// seen to have begun, is no suspect however much else fits.
func (m *ranking) selectCandidates() {
	changes := make([]*triage.Change, 0, len(m.in.Changes))
	for i := range m.in.Changes {
		if seenBy(m.in.Changes[i], m.at) {
			changes = append(changes, &m.in.Changes[i])
		}
	}
	slices.SortStableFunc(changes, func(a, b *triage.Change) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), a.OccurredAt().Compare(b.OccurredAt()), cmp.Compare(a.Title, b.Title))
	})
	changes = slices.CompactFunc(changes, func(a, b *triage.Change) bool { return a.ID == b.ID })
	near, from, to := m.onset.earliest-m.lookback, m.onset.earliest-m.reach, m.onset.latest+m.grace
	for _, ch := range changes {
		c := &candidate{ch: ch, act: m.actingOf(ch)}
		switch {
		case c.act.start > to:
			m.after = append(m.after, *ch)
			continue
		case m.rel(ch.LastActivity()) < from && c.act.last < from:
			continue
		}
		c.far = m.rel(ch.LastActivity()) < near && c.act.last < near
		m.locate(c)
		m.candidates = append(m.candidates, c)
	}
}

// locate finds where the change sits.
func (m *ranking) locate(c *candidate) {
	name := c.ch.Service
	c.hops = -1
	switch {
	case name == "" && c.ch.Global:
		c.place = placeGlobal
	case name == "":
		c.place = placeNoService
	case name == m.scope.Service:
		c.place, c.hops = placeSelf, 0
	case m.down[name] > 0:
		c.place, c.hops = placeCallee, m.down[name]
	case m.up[name] > 0:
		c.place, c.hops = placeCaller, m.up[name]
	case m.noGraph():
		c.place = placeNoGraph
	case !m.in.Topology.Has(name):
		c.place = placeUnplaced
		if !c.far {
			m.unplaced++
		}
	default:
		c.place = placeOffGraph
		if !c.far {
			m.offGraph++
		}
	}
}

// path is the chain of services from the symptom to the change, nil where there is none.
func (m *ranking) path(c *candidate) []string {
	if c.place == placeSelf {
		return []string{m.scope.Service}
	}
	next, dist := m.in.Topology.Callers, m.down
	if c.place == placeCaller {
		next, dist = m.in.Topology.Callees, m.up
	} else if c.place != placeCallee {
		return nil
	}
	path := []string{c.ch.Service}
	for at := c.ch.Service; at != m.scope.Service; {
		d := dist[at]
		found := false
		for _, n := range next(at) {
			if nd, ok := dist[n]; ok && nd == d-1 {
				path, at, found = append(path, n), n, true
				break
			}
		}
		if !found {
			return nil
		}
	}
	slices.Reverse(path)
	return path
}
