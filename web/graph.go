package web

import (
	"cmp"
	"html/template"
	"slices"
	"strconv"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

const (
	nodeHigh  = 30
	nodeGap   = 14
	nodeSpace = 46 // between columns, for the arrows
)

// pathGraph draws how the symptom's service reaches the suspects': services as boxes, calls as arrows, suspects as numbers.
func pathGraph(r triage.Report) template.HTML {
	depth := make(map[string]int)
	ranks := make(map[string][]int)
	type edge struct{ from, to string }
	var edges []edge
	for _, s := range named(r) {
		for i, n := range s.Path {
			if d, ok := depth[n]; !ok || i < d {
				depth[n] = i
			}
			if i > 0 && !slices.Contains(edges, edge{s.Path[i-1], n}) {
				edges = append(edges, edge{s.Path[i-1], n})
			}
		}
		if len(s.Path) > 0 {
			end := s.Path[len(s.Path)-1]
			ranks[end] = append(ranks[end], s.Rank)
		}
	}
	if len(depth) < 2 {
		return ""
	}
	var columns [][]string
	names := make([]string, 0, len(depth))
	for n := range depth {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(depth[a], depth[b]), cmp.Compare(a, b)) })
	for _, n := range names {
		for len(columns) <= depth[n] {
			columns = append(columns, nil)
		}
		columns[depth[n]] = append(columns[depth[n]], n)
	}
	tallest := 0
	for _, c := range columns {
		tallest = max(tallest, len(c))
	}
	s := &scene{H: float64(tallest)*(nodeHigh+nodeGap) + 4}
	type boxed struct{ x0, x1, y float64 }
	at := make(map[string]boxed)
	x := 2.0
	for _, c := range columns {
		w := 60.0
		for _, n := range c {
			w = max(w, textWidth(say.Clean(n, 30))*1.15+24+float64(20*len(ranks[n])))
		}
		for i, n := range c {
			y := s.H/2 + (float64(i)-float64(len(c)-1)/2)*(nodeHigh+nodeGap)
			at[n] = boxed{x, x + w, y}
		}
		x += w + nodeSpace
	}
	s.W = x - nodeSpace + 2
	for _, e := range edges {
		a, b := at[e.from], at[e.to]
		s.line("edge", point{a.x1, a.y}, point{b.x0 - 6, b.y})
		s.add(shape{kind: shapeArea, class: "arrow", pts: []point{{b.x0 - 1, b.y}, {b.x0 - 8, b.y - 4}, {b.x0 - 8, b.y + 4}}})
	}
	for _, n := range names {
		b, class := at[n], "node"
		if depth[n] == 0 {
			class = "node node-symptom"
		}
		s.box(class, b.x0, b.y-nodeHigh/2, b.x1, b.y+nodeHigh/2, 4)
		tx := b.x0 + 10
		for _, rank := range ranks[n] {
			badge(s, rank, tx+6, b.y, 7.5)
			tx += 20
		}
		s.label("node-text", say.Clean(n, 30), tx, b.y+4, "")
	}
	return s.svg("graph", "Calls from the service in trouble to the suspects' services")
}

// splitView compares the versions of one service.
type splitView struct {
	Title   string
	Picture template.HTML
}

// accused is the version of a service that a named suspect brought, "" where none says which.
func accused(r triage.Report, service string) string {
	for _, s := range named(r) {
		if s.Change != nil && s.Change.Service == service && s.Change.Version != "" {
			return s.Change.Version
		}
	}
	return ""
}

// stress puts the lines of a version first and the others into the background. A new version has no past, so how far a line has
// shifted says nothing of it.
func (p *panel) stress(version string) {
	is := func(l plot) bool { return version != "" && l.Labels["version"] == version }
	if !slices.ContainsFunc(p.Lines, is) {
		return
	}
	for i := range p.Lines {
		p.Lines[i].Muted = !is(p.Lines[i])
	}
	slices.SortStableFunc(p.Lines, func(x, y plot) int {
		switch {
		case is(x) == is(y):
			return 0
		case is(x):
			return -1
		}
		return 1
	})
}

// splits draw a service's signal once for each version of it, where the report's input has them apart.
func splits(r triage.Report, c triage.Case, from, to time.Time) []splitView {
	type key struct{ service, metric string }
	groups := make(map[key][]triage.Series)
	var order []key
	for _, s := range c.Series {
		if s.Labels["version"] == "" || s.Role == triage.RoleSymptom {
			continue
		}
		k := key{s.Labels["service"], metricName(s.Metric)}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], s)
	}
	var out []splitView
	for _, k := range order {
		concerns := slices.ContainsFunc(named(r), func(s triage.Suspect) bool { return suspectScope(s).Service == k.service })
		if len(groups[k]) < 2 || !concerns || len(out) == maxSuspects {
			continue
		}
		p := panel{Title: k.service + " by version"}
		p.plot(groups[k], r.Onset.Interval)
		if len(p.Lines) < 2 {
			continue
		}
		p.stress(accused(r, k.service))
		a := axis{From: from, To: to, Onset: r.Onset.Interval, Panels: []panel{p}}
		out = append(out, splitView{
			Title:   k.service + ": " + k.metric + ", " + strconv.Itoa(len(groups[k])) + " versions",
			Picture: a.draw(wideWidth).svg("axis", k.service+" by version"),
		})
	}
	return out
}
