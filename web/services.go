package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const serviceSpan = 7 * 24 * time.Hour // of recent changes and incidents

// serviceRow is one service in the list.
type serviceRow struct {
	triage.Service
	Link    string
	Known   bool // configured, rather than only seen
	Changes int
}

// services are those configured and those seen in the topology, by name.
func (w *Web) services() []triage.Service {
	byName := make(map[string]triage.Service)
	if w.opts.Topology != nil {
		for _, e := range w.opts.Topology.Topology().Edges() {
			byName[e.From], byName[e.To] = triage.Service{Name: e.From}, triage.Service{Name: e.To}
		}
	}
	if w.opts.Directory != nil {
		for _, s := range w.opts.Directory().Services() {
			byName[s.Name] = s
		}
	}
	out := make([]triage.Service, 0, len(byName))
	for _, s := range byName {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b triage.Service) int {
		return cmp.Or(cmp.Compare(tier(a), tier(b)), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// tier sorts services without one last.
func tier(s triage.Service) int {
	if s.Tier == 0 {
		return 99
	}
	return s.Tier
}

func serviceLink(name string) string { return "/services/" + url.PathEscape(name) }

func (w *Web) getServices(r *http.Request) (page, error) {
	now := w.now().UTC()
	counts, err := w.opts.Store.CountChanges(r.Context(), triage.ChangeQuery{From: now.Add(-24 * time.Hour), To: now}, 1, triage.CountByService)
	if err != nil {
		return page{}, fmt.Errorf("count changes: %w", err)
	}
	var rows []serviceRow
	for _, s := range w.services() {
		row := serviceRow{Service: s, Link: serviceLink(s.Name), Changes: sum(counts[s.Name])}
		if w.opts.Directory != nil {
			_, row.Known = w.opts.Directory().Service(s.Name)
		}
		rows = append(rows, row)
	}
	return page{template: "services.html", frame: frame{Title: "Services", Section: "services", Data: rows}}, nil
}

// serviceView is the page of one service.
type serviceView struct {
	triage.Service
	Known     bool
	Calls     []pair
	CalledBy  []pair
	Changes   []changeRow
	More      string
	Incidents []triage.Incident
	Outcomes  []triage.Outcome
	Days      int
}

func (w *Web) getService(r *http.Request) (page, error) {
	name := r.PathValue("name")
	v := serviceView{Service: triage.Service{Name: name}, Days: int(serviceSpan / (24 * time.Hour))}
	if w.opts.Directory != nil {
		canonical, _ := w.opts.Directory().Resolve(name)
		if canonical != name {
			return page{redirect: serviceLink(canonical)}, nil
		}
		if s, ok := w.opts.Directory().Service(name); ok {
			v.Service, v.Known = s, true
		}
	}
	if w.opts.Topology != nil {
		t := w.opts.Topology.Topology()
		for _, n := range t.Callees(name) {
			v.Calls = append(v.Calls, pair{Value: n, URL: serviceLink(n)})
		}
		for _, n := range t.Callers(name) {
			v.CalledBy = append(v.CalledBy, pair{Value: n, URL: serviceLink(n)})
		}
	}
	now := w.now().UTC()
	found, next, err := w.opts.Store.FindChanges(r.Context(), triage.ChangeQuery{
		From: now.Add(-serviceSpan), To: now, Services: []string{name}, Newest: true, Limit: pageSize,
	})
	if err != nil {
		return page{}, fmt.Errorf("find changes: %w", err)
	}
	for _, c := range found {
		v.Changes = append(v.Changes, newChangeRow(c, now))
	}
	if next != "" {
		v.More = address("/changes", "service", name, "span", serviceSpan.String())
	}
	if v.Incidents, _, err = w.opts.Store.Incidents(r.Context(), triage.IncidentQuery{Service: name, Limit: 20}); err != nil {
		return page{}, fmt.Errorf("list incidents of %s: %w", name, err)
	}
	outcomes, err := w.opts.Store.Outcomes(r.Context())
	if err != nil {
		return page{}, fmt.Errorf("read outcomes: %w", err)
	}
	for _, o := range outcomes {
		if o.Service == name {
			v.Outcomes = append(v.Outcomes, o)
		}
	}
	if !v.Known && len(v.Changes)+len(v.Incidents)+len(v.Calls)+len(v.CalledBy) == 0 {
		return page{}, fail(http.StatusNotFound, "No service of this name was configured or seen.", nil)
	}
	return page{template: "service.html", frame: frame{Title: name, Section: "services", Data: v}}, nil
}
