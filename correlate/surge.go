package correlate

import (
	"fmt"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// More traffic from outside is a trigger of its own, and a change inside cannot make it. It shows where requests enter and,
// in proportion, on all that is called from there. What rises behind an entrance that stays calm is something else: retries,
// a cache that no longer helps, a new call: somebody's change.
type surge struct {
	at            *service
	series        *prepared
	before, after float64 // requests per second, or whatever the series counts
	rose, watched int     // services whose traffic rose with it, of those watched
	log           float64 // nats for such a rise against the usual wobble
}

// What counts as a rise: a third more than in the minutes before, well outside what these minutes did.
const (
	surgeLeast  = 0.27 // ln 1.3
	surgeZ      = 4
	surgeFloor  = 0.06 // spread of the calmest traffic, in logarithms
	surgeBefore = ms(300_000)
	surgeLag    = ms(20_000) // a window of a rate shows it later than the queue that fills
	surgeAll    = 6.0        // nats, where everything watched rose: rarer still
	surgeMost   = 5.0        // nats: such a rise comes by chance in less than one of a hundred minutes
)

// traffic is how one service's traffic stands against the minutes before the onset.
type traffic struct {
	s             *service
	p             *prepared
	before, after float64
	log           float64 // of after over before
	rose          bool
}

// trafficOf compares the newest samples with the minutes before the onset. A rate over a window turns a jump into a climb,
// so the newest sample is nearest the truth, and it is enough that the climb had begun by the onset.
func (m *ranking) trafficOf(s *service) (traffic, bool) {
	for _, p := range s.signals[signalIndex(triage.SignalTraffic)] {
		if splitLabel(p.src.Labels) != "" || isEdge(p) {
			continue
		}
		var before []float64
		k := p.firstAfter(m.onset.earliest - p.step)
		for i := max(0, k-max(5, int(surgeBefore/p.step))); i < k && i < len(p.raw); i++ {
			if v := p.raw[i]; v == v && v > 0 {
				before = append(before, ln(v))
			}
		}
		var after []float64
		for i := len(p.raw) - 1; i >= k && i >= 0 && len(after) < 2; i-- {
			if v := p.raw[i]; v == v && v > 0 {
				after = append(after, ln(v))
			}
		}
		if len(before) < 5 || len(after) == 0 {
			continue
		}
		med, mad, _ := medianMAD(before, make([]float64, 0, len(before)))
		spread := max(mad, surgeFloor, (slices.Max(before)-med)/2)
		top := slices.Max(after)
		t := traffic{s: s, p: p, before: exp(med), after: exp(top), log: top - med}
		begun := false
		for i := k; i < len(p.raw) && p.from[i] <= m.onset.latest+max(p.step, surgeLag); i++ {
			begun = begun || p.raw[i] > 0 && ln(p.raw[i])-med > max(spread, surgeLeast/3)
		}
		t.rose = begun && t.log >= surgeLeast && t.log >= surgeZ*spread
		return t, true
	}
	return traffic{}, false
}

// findSurge looks for a rise of traffic where requests enter the part of the system that the symptom is in.
func (m *ranking) findSurge() *surge {
	var all, entrances []traffic
	for _, name := range m.names {
		t, ok := m.trafficOf(m.services[name])
		if !ok {
			continue
		}
		all = append(all, t)
		if m.entrance(name) {
			entrances = append(entrances, t)
		}
	}
	rose := 0
	for i := range all {
		if all[i].rose {
			rose++
		}
	}
	log := surgeMost
	switch {
	case len(entrances) > 0: // calm where requests enter is calm
	case m.noGraph() && len(all) >= 3 && 3*rose >= 2*len(all): // no graph says where they enter, but most of what is watched rose
		entrances = all
	default: // the entrance is not watched: the highest place that is has to do, and may have been asked more by its caller
		entrances, log = slices.DeleteFunc(slices.Clone(all), func(t traffic) bool { return !m.highest(t.s.name) }), surgeMost/2
	}
	var top *traffic
	for i := range entrances {
		if t := &entrances[i]; t.rose && (top == nil || t.after > top.after) {
			top = t
		}
	}
	if top == nil {
		return nil
	}
	if rose >= 4 && rose == len(all) {
		log = surgeAll
	}
	if len(all) > 1 && 2*rose < len(all) {
		log = min(log, surgeMost/2) // it did not reach most of the rest
	}
	return &surge{at: top.s, series: top.p, before: top.before, after: top.after, rose: rose, watched: len(all), log: log}
}

// askedMore reports whether the service's own traffic rose with the symptom by half or more: a caller's retries, a cache that no
// longer helps, a new call, a surge. What it then suffers is load, and says little for a change of its own.
func (m *ranking) askedMore(name string) bool {
	if m.asked == nil {
		m.asked = make(map[string]bool)
	}
	if was, ok := m.asked[name]; ok {
		return was
	}
	asked := false
	if s := m.services[name]; s != nil {
		t, ok := m.trafficOf(s)
		asked = ok && t.rose && t.log >= askedLog
	}
	m.asked[name] = asked
	return asked
}

// askedLog is ln 1.5.
const askedLog = 0.405

// entrance reports whether requests enter the system at the service, as far as is known: people use it, or it is in the graph
// above the symptom and nothing in the graph calls it.
func (m *ranking) entrance(name string) bool {
	if s, ok := m.in.Services[name]; ok && s.UserFacing {
		return true
	}
	_, above := m.up[name]
	return above && m.in.Topology.Has(name) && len(m.in.Topology.Callers(name)) == 0
}

// highest reports whether a service is the symptom's or above it, and nothing that calls it is watched.
func (m *ranking) highest(name string) bool {
	if _, ok := m.up[name]; !ok {
		return false
	}
	return !slices.ContainsFunc(m.in.Topology.Callers(name), func(c string) bool {
		s := m.services[c]
		return s != nil && len(s.signals[signalIndex(triage.SignalTraffic)]) > 0
	})
}

// isEdge reports whether a series is what one service sees of another.
func isEdge(p *prepared) bool {
	return p.src.Labels["source"] != "" && p.src.Labels["destination"] != ""
}

// say names the surge for people.
func (s *surge) say() string {
	text := fmt.Sprintf("traffic of %s rose first: %s → %s", s.at.name, quantity(s.series, s.before), quantity(s.series, s.after))
	if s.rose > 1 {
		text += fmt.Sprintf(", and with it that of %d of %d services watched", s.rose, s.watched)
	}
	return text
}

// explains is what a surge explains of the other services' shifts, in nats.
func (m *ranking) surgeExplains(s *surge) float64 {
	wide, _, _ := m.breadth()
	return s.log + max(0, wide)
}
