package triage

import (
	"cmp"
	"encoding/json"
	"slices"
)

// Edge means that From calls To, or otherwise depends on it. Origin says who told us: config, catalog, metrics.
type Edge struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Origin string `json:"origin,omitempty"`
}

// UnmarshalJSON reads both forms of the case file: ["caller","callee"] and {"from":…,"to":…,"origin":…}.
func (e *Edge) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		var pair [2]string
		if err := json.Unmarshal(data, &pair); err != nil {
			return &FieldError{Field: "topology", Value: string(data), Remedy: `use ["caller","callee"]`}
		}
		*e = Edge{From: pair[0], To: pair[1]}
		return nil
	}
	type plain Edge
	return json.Unmarshal(data, (*plain)(e))
}

// Topology is the directed graph of who calls whom. It is immutable: build a new one with NewTopology.
type Topology struct {
	edges   []Edge
	callees map[string][]string
	callers map[string][]string
}

// NewTopology builds the graph. Duplicate edges keep the first origin in sort order; self-edges and empty names are dropped.
func NewTopology(edges []Edge) Topology {
	es := slices.Clone(edges)
	slices.SortFunc(es, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Origin, b.Origin))
	})
	es = slices.CompactFunc(es, func(a, b Edge) bool { return a.From == b.From && a.To == b.To })
	es = slices.DeleteFunc(es, func(e Edge) bool { return e.From == "" || e.To == "" || e.From == e.To })
	t := Topology{edges: es, callees: make(map[string][]string), callers: make(map[string][]string)}
	for _, e := range es {
		t.callees[e.From] = append(t.callees[e.From], e.To)
		t.callers[e.To] = append(t.callers[e.To], e.From)
	}
	return t
}

// Edges are all edges, sorted. The slice must not be changed.
func (t Topology) Edges() []Edge { return t.edges }

// Callees are the services that name calls, sorted. The slice must not be changed.
func (t Topology) Callees(name string) []string { return t.callees[name] }

// Callers are the services that call name, sorted. The slice must not be changed.
func (t Topology) Callers(name string) []string { return t.callers[name] }

// Has reports whether the graph knows the service at all.
func (t Topology) Has(name string) bool {
	return len(t.callees[name]) > 0 || len(t.callers[name]) > 0
}

// Downstream returns the number of hops from name to everything it reaches by calls, itself at 0, at most maxHops away.
func (t Topology) Downstream(name string, maxHops int) map[string]int {
	return t.walk(name, maxHops, t.callees)
}

// Upstream is Downstream along the edges reversed: everything that reaches name.
func (t Topology) Upstream(name string, maxHops int) map[string]int {
	return t.walk(name, maxHops, t.callers)
}

func (t Topology) walk(name string, maxHops int, next map[string][]string) map[string]int {
	hops := map[string]int{name: 0}
	frontier := []string{name}
	for d := 1; d <= maxHops && len(frontier) > 0; d++ {
		var out []string
		for _, f := range frontier {
			for _, n := range next[f] {
				if _, seen := hops[n]; !seen {
					hops[n] = d
					out = append(out, n)
				}
			}
		}
		frontier = out
	}
	return hops
}

// MarshalJSON writes the edges.
func (t Topology) MarshalJSON() ([]byte, error) {
	if t.edges == nil {
		return []byte("[]"), nil
	}
	return json.Marshal(t.edges)
}

// UnmarshalJSON reads a list of edges in either form.
func (t *Topology) UnmarshalJSON(data []byte) error {
	var es []Edge
	if err := json.Unmarshal(data, &es); err != nil {
		return err
	}
	*t = NewTopology(es)
	return nil
}

// MergeTopologies unites graphs; an edge known to several keeps the first origin in sort order.
func MergeTopologies(ts ...Topology) Topology {
	var edges []Edge
	for _, t := range ts {
		edges = append(edges, t.edges...)
	}
	return NewTopology(edges)
}

// DefaultHops is how many calls lie between symptom and cause at most: four in published incidents.
const DefaultHops = 4

// hopsUp is how many calls up a change may matter: a caller can overload what it calls.
const hopsUp = 1

// Reach is every service whose changes could matter to the services given: those they call, however indirectly, up to hops away,
// and those that call them.
func (t Topology) Reach(hops int, services ...string) map[string]bool {
	out := make(map[string]bool)
	for _, s := range services {
		for n := range t.Downstream(s, hops) {
			out[n] = true
		}
		for n := range t.Upstream(s, hopsUp) {
			out[n] = true
		}
	}
	return out
}

// TopologySource says who calls whom, as known now. It must not block.
type TopologySource interface{ Topology() Topology }
