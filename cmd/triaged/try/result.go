package try

import (
	"cmp"
	"net/url"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/cmd/triaged/history"
	"github.com/triaged-dev/triaged/triage"
)

// Result is everything a run found. It is what --format=json prints.
type Result struct {
	Server      string    `json:"server"` // host of the Prometheus
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	Interrupted bool      `json:"interrupted,omitempty"` // the pages are the latest ones only
	Summary     Summary   `json:"summary"`
	Pages       []Page    `json:"pages"` // the latest first
	Noisy       []Noisy   `json:"noisy"`
	Unseen      []string  `json:"unseen"` // what could not be seen, a sentence each
	Next        string    `json:"next"`   // the one source that would help most, and why
	Notes       []string  `json:"notes,omitempty"`
	Cost        Cost      `json:"cost"`
}

// Summary counts. Named + Separate + Silent = Answered.
type Summary struct {
	Days     int            `json:"days"`
	Pages    int            `json:"pages"`
	Answered int            `json:"answered"`
	Named    int            `json:"named"`    // one change named as likely
	Separate int            `json:"separate"` // several that could not be told apart, or one among unknowns
	Silent   int            `json:"silent"`   // no change fitted
	Undone   int            `json:"undone"`   // of the named: people rolled that very change back before the page ended
	Alone    int            `json:"alone"`    // of the silent: cleared with no change seen until then
	Firings  int            `json:"firings"`  // of all alerts, paging or not
	Changes  int            `json:"changes"`
	ByKind   map[string]int `json:"changes_by_kind,omitempty"`
	Services int            `json:"services"`
	Calls    int            `json:"calls"` // edges of the call graph
}

// Page is one page with the answer it would have had, and what is known by now.
type Page struct {
	Start     time.Time       `json:"start"`
	End       time.Time       `json:"end,omitzero"` // zero: it still fires
	Alert     string          `json:"alert"`
	Service   string          `json:"service,omitempty"`
	Namespace string          `json:"namespace,omitempty"`
	Also      []string        `json:"also,omitempty"` // further alerts of the same page
	Word      triage.Word     `json:"word"`
	Headline  string          `json:"headline"`
	Said      string          `json:"said"`
	Why       []string        `json:"why,omitempty"`
	Advice    string          `json:"advice,omitempty"`
	Card      string          `json:"card"`
	History   history.History `json:"history"`
	Undone    bool            `json:"undone,omitempty"`
	Alone     bool            `json:"alone,omitempty"`
	After     string          `json:"afterwards"` // hindsight: the ranking did not know it
	Report    triage.Report   `json:"report"`
}

// Noisy is an alert that pages and mostly clears by itself.
type Noisy struct {
	Alert   string  `json:"alert"`
	Service string  `json:"service,omitempty"`
	Fired   int     `json:"fired"`
	Alone   int     `json:"cleared_alone"`
	Median  float64 `json:"median_s"` // of how long it fired
}

func (t *trial) result(interrupted bool) Result {
	r := Result{From: t.from, To: t.to, Interrupted: interrupted, Pages: t.answered, Notes: t.notes, Noisy: []Noisy{}, Server: host(t.o.Prometheus)}
	if r.Pages == nil {
		r.Pages = []Page{}
	}
	s := &r.Summary
	*s = Summary{
		Days: t.o.Days, Pages: len(t.grouped), Answered: len(t.answered), Firings: len(t.firings), Changes: len(t.known),
		ByKind: map[string]int{}, Services: len(t.survey.Services), Calls: len(t.topology.Edges()),
	}
	for _, c := range t.known {
		s.ByKind[string(c.Kind)]++
	}
	for _, p := range t.answered {
		switch p.Word {
		case triage.WordLikely:
			s.Named++
			if p.Undone {
				s.Undone++
			}
		case triage.WordPossible, triage.WordSeparate:
			s.Separate++
		default:
			s.Silent++
			if p.Alone {
				s.Alone++
			}
		}
	}
	r.Noisy = append(r.Noisy, t.noisy()...)
	r.Unseen, r.Next = t.unseen()
	return r
}

func host(raw string) string {
	clean, _, err := splitCredentials(raw)
	if err != nil {
		return ""
	}
	u, err := url.Parse(clean)
	if err != nil {
		return ""
	}
	return u.Host
}

// historyOf counts the firings of one alert on one service.
func (t *trial) historyOf(name, service string) history.History {
	return history.Of(slices.DeleteFunc(slices.Clone(t.firings), func(a triage.Alert) bool {
		s, _ := t.subject(a.Labels)
		return a.Name() != name || s.Service != service
	}), t.known, service, t.topology)
}

func (t *trial) noisy() []Noisy {
	type key struct{ name, service string }
	lasted := make(map[key][]float64)
	for _, p := range t.grouped {
		for _, a := range p.alerts {
			s, _ := t.subject(a.Labels)
			if !a.EndsAt.IsZero() {
				lasted[key{a.Name(), s.Service}] = append(lasted[key{a.Name(), s.Service}], a.EndsAt.Sub(a.StartsAt).Seconds())
			}
		}
	}
	var out []Noisy
	for k, ds := range lasted {
		h := t.historyOf(k.name, k.service)
		if !h.Noisy() {
			continue
		}
		slices.Sort(ds)
		out = append(out, Noisy{Alert: k.name, Service: k.service, Fired: h.Fired, Alone: h.Alone, Median: ds[len(ds)/2]})
	}
	slices.SortFunc(out, func(a, b Noisy) int {
		return cmp.Or(cmp.Compare(b.Fired, a.Fired), cmp.Compare(a.Alert, b.Alert), cmp.Compare(a.Service, b.Service))
	})
	return out
}
