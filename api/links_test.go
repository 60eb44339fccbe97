package api_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/triage"
)

// stateful is the fake with the small values of the journal.
type stateful struct {
	*fake
	state map[string][]byte
}

func (s *stateful) State(_ context.Context, key string) ([]byte, error) {
	if v, ok := s.state[key]; ok {
		return v, nil
	}
	return nil, errNotFound
}

func (s *stateful) SetState(_ context.Context, key string, value []byte) error {
	s.state[key] = value
	return s.err
}

func isNotFound(err error) bool { return errors.Is(err, errNotFound) || errors.Is(err, api.ErrLink) }

// linked is a harness whose fake names its flag with direct evidence, with links switched on. clock moves its time.
func linked(t *testing.T) (h *harness, links *api.FeedbackLinks, clock *time.Time) {
	t.Helper()
	at := now
	clock = &at
	var store *stateful
	h = newHarness(t, func(o *api.Options) {
		store = &stateful{o.Store.(*fake), map[string][]byte{}}
		store.reports["inc-1"][0].Suspects[0].For[0].Direct = true
		store.reports["inc-1"][0].Recommendation.Target = &triage.Target{ChangeID: "push:flag"}
		var err error
		links, err = api.OpenFeedbackLinks(t.Context(), store, isNotFound, func() time.Time { return *clock })
		if err != nil {
			t.Fatal(err)
		}
		o.FeedbackLinks, o.NotFound = links, isNotFound
		o.Now = func() time.Time { return *clock }
	})
	return h, links, clock
}

// GET shows, POST acts, twice is once, a later word replaces it.
func TestFeedbackLink(t *testing.T) {
	h, links, clock := linked(t)
	inc := h.incidents["inc-1"]
	yes, no := links.Token(inc, 1, triage.FeedbackConfirm), links.Token(inc, 1, triage.FeedbackReject)
	for range 3 {
		rec := h.call(http.MethodGet, "/feedback/"+yes, "")
		wantStatus(t, rec, 200)
		for _, want := range []string{`<form method="post">`, "It was this?", "flag new-pricing 0 → 100 %"} {
			if !strings.Contains(rec.Body.String(), want) {
				t.Errorf("want %q on the page, got %s", want, rec.Body)
			}
		}
		if csp := rec.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self'") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("the page must not be framed, got %q", csp)
		}
	}
	if len(h.feedback) != 0 {
		t.Fatalf("looking acted: %+v", h.feedback)
	}
	for range 2 {
		rec := h.call(http.MethodPost, "/feedback/"+yes, "")
		wantStatus(t, rec, 200)
		if !strings.Contains(rec.Body.String(), "Thank you") {
			t.Errorf("got %s", rec.Body)
		}
	}
	if len(h.feedback) != 1 || h.feedback[0].Verdict != triage.FeedbackConfirm || h.feedback[0].ChangeID != "push:flag" || h.feedback[0].IncidentID != "inc-1" {
		t.Fatalf("want one confirmation, got %+v", h.feedback)
	}
	*clock = clock.Add(time.Minute)
	wantStatus(t, h.call(http.MethodPost, "/feedback/"+no, ""), 200)
	wantStatus(t, h.call(http.MethodPost, "/feedback/"+yes, ""), 200)
	if len(h.feedback) != 3 {
		t.Errorf("a changed mind counts each time, got %+v", h.feedback)
	}
	other := local(http.MethodPost, "/feedback/"+no, "")
	other.Header.Set("Origin", "https://evil.example")
	other.Header.Set("Sec-Fetch-Site", "cross-site")
	if rec := h.do(other); rec.Code != http.StatusForbidden {
		t.Errorf("another site's form: want 403, got %d", rec.Code)
	}
}

func TestBadFeedbackLinks(t *testing.T) {
	h, links, clock := linked(t)
	inc := h.incidents["inc-1"]
	good := links.Token(inc, 1, triage.FeedbackConfirm)
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	bend := func(i int) string {
		b := append([]byte{}, raw...)
		b[i] ^= 1
		return base64.RawURLEncoding.EncodeToString(b)
	}
	bad := map[string]string{
		"empty": "x", "not base64": "%21%21", "cut": good[:len(good)-4], "longer": good + "AAAA", "no such report": links.Token(inc, 9, triage.FeedbackConfirm),
		"other incident": links.Token(triage.Incident{ID: "inc-2", OpenedAt: now}, 1, triage.FeedbackConfirm),
	}
	for i := range raw {
		bad["bit of byte "+string(rune('A'+i%26))+strings.Repeat("'", i/26)] = bend(i)
	}
	check := func() {
		t.Helper()
		for name, token := range bad {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				if rec := h.call(method, "/feedback/"+token, ""); rec.Code != http.StatusNotFound {
					t.Errorf("%s %s: want 404, got %d", method, name, rec.Code)
				}
			}
		}
	}
	check()
	*clock = inc.OpenedAt.Add(14*24*time.Hour + time.Second)
	bad = map[string]string{"too old": good}
	check()
	if len(h.feedback) != 0 {
		t.Errorf("want nothing stored, got %+v", h.feedback)
	}
}

// The key survives a restart, and so do links; another installation's are worthless.
func TestFeedbackLinkKey(t *testing.T) {
	f := newFake()
	store := &stateful{f, map[string][]byte{}}
	open := func(s *stateful) *api.FeedbackLinks {
		l, err := api.OpenFeedbackLinks(t.Context(), s, isNotFound, nil)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	inc := f.incidents["inc-1"]
	token := open(store).Token(inc, 1, triage.FeedbackConfirm)
	if again := open(store).Token(inc, 1, triage.FeedbackConfirm); again != token {
		t.Error("a restart makes other links")
	}
	if len(token) > 100 {
		t.Errorf("a token of %d characters is long for a message", len(token))
	}
	if other := open(&stateful{f, map[string][]byte{}}).Token(inc, 1, triage.FeedbackConfirm); other == token {
		t.Error("two installations make the same links")
	}
}

func FuzzFeedbackLink(f *testing.F) {
	fk := newFake()
	links, err := api.OpenFeedbackLinks(f.Context(), &stateful{fk, map[string][]byte{}}, isNotFound, func() time.Time { return now })
	if err != nil {
		f.Fatal(err)
	}
	f.Add("AQEAAAAAaxNf_gcyMDI2MTEyMS0wMDUxMTAtNTA5OGQ0MWE")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := links.Resolve(t.Context(), token); !errors.Is(err, api.ErrLink) {
			t.Fatalf("%q was taken: %v", token, err)
		}
	})
}
