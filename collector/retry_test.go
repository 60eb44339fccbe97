package collector

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triaged-dev/triaged/triage"
)

// mendable is a source whose decoder can be mended.
type mendable struct {
	Source
	read func(triage.Quarantined) ([]triage.Event, error)
}

func (m *mendable) Redecode(q triage.Quarantined) ([]triage.Event, error) { return m.read(q) }

func TestRetry(t *testing.T) {
	j := newMemJournal()
	broken := &brokenJournal{memJournal: j, refuse: func([]triage.Entry) error { return nil }}
	c := startCollector(t, broken, nil)
	src := &mendable{Source: &fakeSource{name: "deploys"}}
	c.SetSources([]Source{src, &fakeSource{name: "github"}})
	body := []byte(`{"app":"checkout"}`)
	good := deploy("kafka:1", 1, "v1")
	sound := func(q triage.Quarantined) ([]triage.Event, error) {
		if string(q.Body) != string(body) || q.Headers["x-event"] != "deploy" || !q.RecordTime.Equal(at(5)) {
			t.Errorf("the source was handed %+v", q)
		}
		return events(good), nil
	}
	bare := `{"kind":"flag","service":"checkout","title":"on","started_at":"` + at(2).Format("2006-01-02T15:04:05Z") + `"}`
	failing := errors.New("disk full")
	for _, tc := range []struct {
		name    string
		q       triage.Quarantined
		read    func(triage.Quarantined) ([]triage.Event, error)
		refuse  error
		events  int
		stays   bool
		outcome string
		parts   []string
	}{
		{name: "store fails", read: sound, refuse: failing, stays: true, outcome: retryFailed, parts: []string{"disk full"}},
		{name: "mended", read: sound, events: 1, outcome: retryTaken},
		{name: "tells of no change", read: func(triage.Quarantined) ([]triage.Event, error) { return nil, &triage.Ignored{Reason: "a build"} }, outcome: retryIgnored},
		{name: "not mended", read: func(triage.Quarantined) ([]triage.Event, error) {
			return nil, errors.New("rules[0].match: no such key")
		}, stays: true, outcome: retryRefused, parts: []string{"still cannot be read", "no such key"}},
		{name: "panics", read: func(triage.Quarantined) ([]triage.Event, error) { panic("index out of range") }, stays: true, outcome: retryRefused, parts: []string{"index out of range"}},
		{name: "reads as what can never be taken", read: func(triage.Quarantined) ([]triage.Event, error) {
			bad := good
			bad.Kind = ""
			return events(good, bad), nil
		}, stays: true, outcome: retryRefused, parts: []string{"kind"}},
		{name: "cut", q: triage.Quarantined{Cut: true}, stays: true, outcome: retryRefused, parts: []string{"its first", "have the sender send it again"}},
		{name: "no body", q: triage.Quarantined{Body: []byte{}}, stays: true, outcome: retryRefused, parts: []string{"no longer kept"}},
		{name: "of a source that polls", q: triage.Quarantined{Source: "github"}, stays: true, outcome: retryRefused, parts: []string{"by themselves"}},
		{name: "pushed, bare", q: triage.Quarantined{Source: "push", Body: []byte(bare)}, events: 1, outcome: retryTaken},
		{name: "pushed, in its envelope", q: triage.Quarantined{Source: "push", Body: []byte(`{"change":` + bare + `}`)}, events: 1, outcome: retryTaken},
		{name: "pushed anomaly", q: triage.Quarantined{Source: "push", Body: []byte(`{"signal":"errors","series":"x","service":"checkout","onset":{"best":"` + at(2).Format("2006-01-02T15:04:05Z") + `"}}`)}, events: 1, outcome: retryTaken},
		{name: "pushed rubbish", q: triage.Quarantined{Source: "push", Body: []byte(`[]`)}, stays: true, outcome: retryRefused, parts: []string{"no JSON object"}},
		{name: "refused by the collector, from a source that can read", q: triage.Quarantined{Origin: eventOrigin, Body: []byte(bare)}, events: 1, outcome: retryTaken},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := tc.q
			q.ID, q.RecordTime, q.Headers = tc.name, at(5), map[string]string{"x-event": "deploy"}
			if q.Source == "" {
				q.Source = "deploys"
			}
			if q.Body == nil {
				q.Body = body
			}
			src.read, broken.refuse = tc.read, func([]triage.Entry) error { return tc.refuse }
			c.Quarantine(t.Context(), q)
			counted := c.metrics.retried.WithLabelValues(q.Source, tc.outcome)
			before := testutil.ToFloat64(counted)
			n, err := c.Retry(t.Context(), q.ID)
			if (err != nil) != tc.stays || n != tc.events {
				t.Fatalf("got %d events, %v", n, err)
			}
			for _, part := range tc.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q lacks %q", err, part)
				}
			}
			if _, field := errors.AsType[*triage.FieldError](err); field != (tc.outcome == retryRefused) {
				t.Errorf("a *triage.FieldError is what the record is to blame for; got %T", err)
			}
			if _, err := j.QuarantinedRecord(t.Context(), q.ID); (err == nil) != tc.stays {
				t.Errorf("want it to stay: %t; reading it says %v", tc.stays, err)
			}
			if got := testutil.ToFloat64(counted) - before; got != 1 {
				t.Errorf("counted %g times as %s", got, tc.outcome)
			}
		})
	}
	if got := find(t, c, triage.ChangeQuery{}); len(got) != 3 {
		t.Errorf("want the mended deploy once, and the flag once of each source, got %s", ids(got))
	}
	if _, err := c.Retry(context.Background(), "unknown"); !errors.Is(err, errNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

// What a token's caller pushed and was refused is read again as that token's: an operator's click lends nobody another source.
func TestRetryOfWhatWasPushedIsItsTokens(t *testing.T) {
	j := newMemJournal()
	c := startCollector(t, j, nil)
	body := `{"id":"github:42","source":"github","kind":"deploy","service":"checkout","started_at":"` + at(2).Format("2006-01-02T15:04:05Z") + `"}`
	c.Quarantine(t.Context(), triage.Quarantined{ID: "q", Source: pushSource, Caller: "ci", As: "ci", Body: []byte(body)})
	if n, err := c.Retry(t.Context(), "q"); n != 1 || err != nil {
		t.Fatalf("%d events, %v", n, err)
	}
	got, err := j.Changes(t.Context(), []triage.ChangeID{"ci:github:42"})
	if err != nil || len(got) != 1 || got[0].Source != "ci" || got[0].Labels[triage.LabelPushedBy] != "ci" {
		t.Errorf("want it stored as the token's, got %+v, %v", got, err)
	}
}
