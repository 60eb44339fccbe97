package web_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/web"
)

var errNotFound = errors.New("not found")

// fixture is what a daemon knew at one moment, recorded from its API.
type fixture struct {
	Incident triage.Incident        `json:"incident"`
	Reports  []triage.Report        `json:"reports"`
	Cases    map[string]triage.Case `json:"cases"`
	Changes  []triage.Change        `json:"changes"`
	Sources  struct {
		Items    []triage.SourceStatus `json:"items"`
		Coverage []triage.Coverage     `json:"coverage"`
	} `json:"sources"`
	Deliveries []triage.Delivery `json:"deliveries"`
	Services   []triage.Service  `json:"services"`
	Topology   struct {
		Edges []triage.Edge `json:"edges"`
	} `json:"topology"`
}

func load(t testing.TB, name string) fixture {
	t.Helper()
	file, err := os.Open("testdata/" + name + ".json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var f fixture
	if err := json.NewDecoder(z).Decode(&f); err != nil {
		t.Fatalf("decode fixture %s: %v", name, err)
	}
	return f
}

// store is the journal, the collector and the dispatcher of the pages under test, in memory.
type store struct {
	mu          sync.Mutex
	incidents   []triage.Incident
	reports     map[string][]triage.Report
	cases       map[string]triage.Case // "incident/n"
	changes     []triage.Change
	feedback    map[string][]triage.Feedback
	outcomes    []triage.Outcome
	deliveries  []triage.Delivery
	quarantined []triage.Quarantined
	sources     []triage.SourceStatus
	coverage    []triage.Coverage
	services    map[string]triage.Service
	edges       []triage.Edge
	now         time.Time
	resent      []string
	emitErr     error
	broken      error // every read fails with it
}

// newStore puts recorded moments together; the first one's time is now.
func newStore(t testing.TB, names ...string) *store {
	t.Helper()
	s := &store{
		reports: make(map[string][]triage.Report), cases: make(map[string]triage.Case), feedback: make(map[string][]triage.Feedback),
		services: make(map[string]triage.Service),
	}
	for i, name := range names {
		f := load(t, name)
		if i == 0 {
			s.now = f.Reports[len(f.Reports)-1].CreatedAt.Add(40 * time.Second)
			s.sources, s.coverage, s.edges = f.Sources.Items, f.Sources.Coverage, f.Topology.Edges
		}
		s.incidents = append(s.incidents, f.Incident)
		s.reports[f.Incident.ID] = f.Reports
		for n, c := range f.Cases {
			s.cases[f.Incident.ID+"/"+n] = c
		}
		for _, c := range f.Changes {
			if !slices.ContainsFunc(s.changes, func(o triage.Change) bool { return o.ID == c.ID }) {
				s.changes = append(s.changes, c)
			}
		}
		s.deliveries = append(s.deliveries, f.Deliveries...)
		for _, v := range f.Services {
			s.services[v.Name] = v
		}
	}
	s.sort()
	return s
}

func (s *store) sort() {
	slices.SortFunc(s.changes, func(a, b triage.Change) int {
		if c := a.OccurredAt().Compare(b.OccurredAt()); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
}

func (s *store) ResolveChange(_ context.Context, id triage.ChangeID) (triage.ChangeID, error) {
	if id == "alias:of-the-first" {
		return s.changes[0].ID, s.broken
	}
	if slices.ContainsFunc(s.changes, func(c triage.Change) bool { return c.ID == id }) {
		return id, s.broken
	}
	return "", fmt.Errorf("change %q: %w", id, errNotFound)
}

func (s *store) Changes(_ context.Context, ids []triage.ChangeID) ([]triage.Change, error) {
	var out []triage.Change
	for _, c := range s.changes {
		if slices.Contains(ids, c.ID) {
			out = append(out, c)
		}
	}
	return out, s.broken
}

func (s *store) FindChanges(_ context.Context, q triage.ChangeQuery) ([]triage.Change, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := q.Limit
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	skip := 0
	fmt.Sscan(q.After, &skip)
	var out []triage.Change
	for _, c := range s.changes {
		switch {
		case c.LastActivity().Before(q.From) || c.OccurredAt().After(q.To):
		case q.Kind != "" && c.Kind != q.Kind:
		case q.Environment != "" && c.Environment != "" && c.Environment != q.Environment:
		case len(q.Services) > 0 && c.Service != "" && !c.Global && !slices.Contains(q.Services, c.Service):
		case !strings.Contains(strings.ToLower(c.Title+" "+c.Version+" "+c.Service), strings.ToLower(q.Text)):
		default:
			out = append(out, c)
		}
	}
	if q.Newest {
		slices.Reverse(out)
	}
	out = out[min(skip, len(out)):]
	if len(out) > limit {
		return out[:limit], fmt.Sprint(skip + limit), s.broken
	}
	return out, "", s.broken
}

func (s *store) CountChanges(_ context.Context, q triage.ChangeQuery, bins int, by string) (map[string][]int, error) {
	out := make(map[string][]int)
	width := q.To.Sub(q.From) / time.Duration(bins)
	q.Newest, q.Limit, q.After = false, 1000, ""
	for {
		found, next, err := s.FindChanges(context.Background(), q)
		if err != nil {
			return nil, err
		}
		for _, c := range found {
			name := map[string]string{triage.CountByKind: string(c.Kind), triage.CountByService: c.Service}[by]
			if o := c.OccurredAt(); !o.Before(q.From) && o.Before(q.To) {
				if out[name] == nil {
					out[name] = make([]int, bins)
				}
				out[name][min(int(o.Sub(q.From)/width), bins-1)]++
			}
		}
		if q.After = next; next == "" {
			return out, nil
		}
	}
}

func (s *store) Incident(_ context.Context, id string) (triage.Incident, error) {
	for _, i := range s.incidents {
		if i.ID == id {
			return i, s.broken
		}
	}
	return triage.Incident{}, fmt.Errorf("incident %q: %w", id, errNotFound)
}

func (s *store) Incidents(_ context.Context, q triage.IncidentQuery) ([]triage.Incident, string, error) {
	var out []triage.Incident
	for _, i := range s.incidents {
		if (len(q.States) == 0 || slices.Contains(q.States, i.State)) && (q.Service == "" || q.Service == i.Service) {
			out = append(out, i)
		}
	}
	return out, "", s.broken
}

func (s *store) Report(_ context.Context, id string, n int) (triage.Report, error) {
	for _, r := range s.reports[id] {
		if r.Number == n {
			return r, s.broken
		}
	}
	return triage.Report{}, errNotFound
}

func (s *store) Reports(_ context.Context, id string) ([]triage.Report, error) {
	return s.reports[id], s.broken
}

func (s *store) ReportInput(_ context.Context, id string, n int) (triage.Case, error) {
	c, ok := s.cases[fmt.Sprintf("%s/%d", id, n)]
	if !ok {
		return c, errNotFound
	}
	return c, s.broken
}

func (s *store) SaveFeedback(_ context.Context, f triage.Feedback) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feedback[f.IncidentID] = append(s.feedback[f.IncidentID], f)
	return s.broken
}

func (s *store) Feedback(_ context.Context, id string) ([]triage.Feedback, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.feedback[id]), s.broken
}

func (s *store) Outcomes(context.Context) ([]triage.Outcome, error) { return s.outcomes, s.broken }

func (s *store) Deliveries(_ context.Context, q triage.DeliveryQuery) ([]triage.Delivery, string, error) {
	var out []triage.Delivery
	for _, d := range s.deliveries {
		if len(q.States) == 0 || slices.Contains(q.States, d.State) {
			out = append(out, d)
		}
	}
	return out, "", s.broken
}

func (s *store) Quarantined(_ context.Context, source, _ string, _ int) ([]triage.Quarantined, string, error) {
	var out []triage.Quarantined
	for _, q := range s.quarantined {
		if source == "" || q.Source == source {
			out = append(out, q)
		}
	}
	return out, "", s.broken
}

func (s *store) Emit(_ context.Context, events []triage.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.emitErr != nil {
		return s.emitErr
	}
	for _, e := range events {
		s.changes = append(s.changes, *e.Change)
	}
	s.sort()
	return nil
}

func (s *store) Retry(_ context.Context, id string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.quarantined, func(q triage.Quarantined) bool { return q.ID == id })
	switch {
	case i < 0:
		return 0, errNotFound
	case s.emitErr != nil:
		return 0, s.emitErr
	}
	s.quarantined = slices.Delete(s.quarantined, i, i+1)
	return 1, nil
}

func (s *store) Sources() []triage.SourceStatus            { return s.sources }
func (s *store) Coverage(_, _ time.Time) []triage.Coverage { return s.coverage }
func (s *store) Topology() triage.Topology                 { return triage.NewTopology(s.edges) }

func (s *store) Resend(_ context.Context, id string) error {
	if !slices.ContainsFunc(s.deliveries, func(d triage.Delivery) bool { return d.ID == id }) {
		return errNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resent = append(s.resent, id)
	return nil
}

// site serves the pages over a store.
func site(t testing.TB, s *store, change ...func(*web.Options)) *httptest.Server {
	t.Helper()
	o := options(s)
	for _, c := range change {
		c(&o)
	}
	pages, err := web.New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(pages.Handler())
	t.Cleanup(srv.Close)
	return srv
}

func options(s *store) web.Options {
	return web.Options{
		Store: s, Collector: s, Resender: s, Topology: s, NotFound: func(err error) bool { return errors.Is(err, errNotFound) },
		Directory: func() *triage.Directory { return triage.NewDirectory(s.services, nil) },
		ConfigYAML: func() string {
			return "global:\n  external_url: https://triaged.example\nreceivers:\n  - name: oncall\n    slack:\n      token: <secret>\n"
		},
		Version: "0.1.0", Now: func() time.Time { return s.now },
	}
}

// get fetches a page and returns its status and body.
func get(t testing.TB, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if _, err := fmt.Fprint(&b, readAll(t, resp)); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}
