package triage

// GraphCoverage says how much of who calls whom is known: what people declared against what metrics show, and how many services
// stand alone. A graph is never whole; this is how far from it.
type GraphCoverage struct {
	Declared int `json:"declared"` // calls that configuration or catalog name
	Seen     int `json:"seen"`     // calls that metrics show
	Both     int `json:"both"`     // of these those that are both
	Services int `json:"services"` // services with metrics
	Alone    int `json:"alone"`    // of these those that no known call joins to another
	// AloneNames are the first of them, sorted, at most MaxAloneNames: what to declare, or to instrument, next.
	AloneNames []string `json:"alone_names,omitempty"`
}

// MaxAloneNames bounds GraphCoverage.AloneNames.
const MaxAloneNames = 20

// GraphCoverageOf compares the graphs; services are those with metrics, sorted.
func GraphCoverageOf(declared, seen Topology, services []string) GraphCoverage {
	out := GraphCoverage{Declared: len(declared.edges), Seen: len(seen.edges), Services: len(services)}
	type pair struct{ from, to string }
	told := make(map[pair]bool, len(declared.edges))
	for _, e := range declared.edges {
		told[pair{e.From, e.To}] = true
	}
	for _, e := range seen.edges {
		if told[pair{e.From, e.To}] {
			out.Both++
		}
	}
	for _, name := range services {
		if declared.Has(name) || seen.Has(name) {
			continue
		}
		out.Alone++
		if len(out.AloneNames) < MaxAloneNames {
			out.AloneNames = append(out.AloneNames, name)
		}
	}
	return out
}
