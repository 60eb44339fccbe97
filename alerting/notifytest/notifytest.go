// Package notifytest is the suite that every notifier must pass: what it does with each HTTP status, with a peer that hangs,
// with a request to wait, with a redirect; and that none of its errors gives a secret or an address away. It is for tests only.
package notifytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// Secret is what a Subject must use as token, key or part of its URL: the suite looks for it in errors.
const Secret = "hush-1f0c9e7b"

// Subject is a notifier under test.
type Subject struct {
	// New makes the notifier with the transport given. Its address and credentials must contain Secret.
	New func(t *testing.T, transport http.RoundTripper) outbox.Notifier
	// OK answers a request the way the real service does when all is well.
	OK func(req *http.Request) *http.Response
	// Final are statuses of the 5xx or 429 sort that the service means for good, and Again those of 4xx that it does not.
	Final, Again []int
}

// Transport is an http.RoundTripper made of a function.
type Transport func(*http.Request) (*http.Response, error)

// RoundTrip calls the function; like a real transport it closes the request's body.
func (f Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := f(r)
	if r.Body != nil {
		_ = r.Body.Close()
	}
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

// Respond makes a response.
func Respond(status int, header http.Header, body string) *http.Response {
	rec := httptest.NewRecorder()
	maps.Copy(rec.Header(), header)
	rec.WriteHeader(status)
	_, _ = rec.WriteString(body)
	return rec.Result()
}

// At is the time the suite's reports were made.
var At = time.Date(2026, 3, 1, 3, 7, 9, 0, time.UTC)

// Notification is a report worth posting: a guilty flag.
func Notification() outbox.Notification {
	c := triage.Change{
		ID: "ld#1", Kind: triage.KindFlag, Scope: triage.Scope{Service: "checkout", Environment: "production", Region: "eu1"},
		StartedAt: At.Add(-339 * time.Second), Title: "flag new-pricing turned on", Labels: map[string]string{"flag": "new-pricing", "from": "0", "to": "100 %"},
	}
	inc := triage.Incident{
		ID: "20260301-030709-00c0ffee", State: triage.IncidentOpen, Title: "HighErrorRate on checkout", Pages: true,
		Scope: triage.Scope{Service: "checkout", Environment: "production", Region: "eu1"}, GroupKey: `{}:{alertname="HighErrorRate"}`,
		OpenedAt: At, UpdatedAt: At, Reports: 1,
		Alerts: []triage.Alert{{Labels: map[string]string{"alertname": "HighErrorRate", "service": "checkout", "severity": "page"}, Status: triage.AlertFiring, StartsAt: At.Add(-9 * time.Second), Fingerprint: "ee4797c6de45ec0b", GroupKey: `{}:{alertname="HighErrorRate"}`}},
	}
	r := triage.Report{
		IncidentID: inc.ID, Number: 1, CreatedAt: At, Cause: "alert",
		Symptom:  triage.SymptomSummary{Sentence: "checkout 5xx 0.2 % → 14 % since 03:02:10 UTC", Service: "checkout", Signal: triage.SignalErrors, Trend: "rising"},
		Onset:    triage.Onset{Interval: triage.Interval{Earliest: At.Add(-5 * time.Minute), Best: At.Add(-299 * time.Second), Latest: At.Add(-4 * time.Minute)}},
		Suspects: []triage.Suspect{{Rank: 1, Change: &c, Probability: .86, For: []triage.Evidence{{Factor: "split", Contribution: 3000, Direct: true, Sentence: "only requests with the flag on fail"}}}},
		None:     triage.None{Probability: .14}, Candidates: 3, LookbackS: 1800,
		Recommendation: triage.Recommendation{
			Verdict: triage.VerdictAct, Action: triage.ActionFlagOff, Reason: "the split by flag accuses it",
			Target: &triage.Target{ChangeID: c.ID, Kind: c.Kind, Scope: c.Scope, Name: "new-pricing", To: "0 %"},
			Check:  "5xx < 1 % by 03:15", Owner: "team-pricing · #pricing-oncall",
		},
		Coverage: []triage.Coverage{{Source: "kafka/deploys", State: triage.SourceOK}},
	}
	links := card.Links{Page: "https://triaged.example.com/incidents/" + inc.ID}
	return outbox.Notification{
		Delivery: triage.Delivery{ID: "d0d0d0d0d0d0d0d0d0d0d0d0", IncidentID: inc.ID, ReportNumber: 1, Receiver: "oncall/it", Attempts: 1, State: triage.DeliveryPending, CreatedAt: At},
		Incident: inc, Report: r, Material: true, Links: links,
		Card: card.New(card.Input{Incident: inc, Report: r, Links: links}),
	}
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	t.Run("accepted", func(t *testing.T) {
		n := s.New(t, Transport(func(r *http.Request) (*http.Response, error) { return s.OK(r), nil }))
		if _, err := n.Notify(t.Context(), Notification()); err != nil {
			t.Fatalf("want no error from a healthy peer, got %v", err)
		}
	})
	for _, code := range statuses() {
		t.Run(fmt.Sprint("status ", code), func(t *testing.T) { s.status(t, code) })
	}
	t.Run("retry after", s.retryAfter)
	t.Run("hanging peer", s.hanging)
	t.Run("broken connection", s.broken)
	t.Run("redirect to another host", s.redirect)
	t.Run("ended context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		n := s.New(t, Transport(func(r *http.Request) (*http.Response, error) { return nil, r.Context().Err() }))
		if _, err := n.Notify(ctx, Notification()); err == nil {
			t.Error("want an error when the context has ended, got none")
		}
	})
}

// statuses are all that net/http has a name for and that end an exchange without leading elsewhere.
func statuses() []int {
	var out []int
	for code := 400; code < 600; code++ {
		if http.StatusText(code) != "" {
			out = append(out, code)
		}
	}
	return out
}

func (s Subject) retryable(code int) bool {
	if slices.Contains(s.Final, code) {
		return false
	}
	if slices.Contains(s.Again, code) {
		return true
	}
	return code >= 500 || code == 429 || code == 408 || code == 425
}

// fail posts against a peer and returns the error, checked for what must not be in it.
func (s Subject) fail(ctx context.Context, t *testing.T, peer Transport) *outbox.DeliveryError {
	t.Helper()
	_, err := s.New(t, peer).Notify(ctx, Notification())
	if err == nil {
		t.Fatal("want an error, got none")
	}
	for _, leak := range []string{Secret, "://", "example"} {
		if strings.Contains(err.Error(), leak) {
			t.Errorf("the error must not contain %q, got %q", leak, err)
		}
	}
	de, ok := errors.AsType[*outbox.DeliveryError](err)
	if !ok {
		t.Fatalf("want a DeliveryError, got %T: %v", err, err)
	}
	return de
}

func (s Subject) status(t *testing.T, code int) {
	de := s.fail(t.Context(), t, func(*http.Request) (*http.Response, error) {
		return Respond(code, nil, "no "+Secret), nil
	})
	if want := s.retryable(code); de.Retryable != want {
		t.Errorf("status %d: want retryable %t, got %t (%v)", code, want, de.Retryable, de)
	}
	want := outbox.ReasonClientError
	switch {
	case code == 429:
		want = outbox.ReasonRateLimited
	case code == 401 || code == 403:
		want = outbox.ReasonAuthError
	case code >= 500:
		want = outbox.ReasonServerError
	}
	if de.Reason != want {
		t.Errorf("status %d: want reason %s, got %s", code, want, de.Reason)
	}
}

func (s Subject) retryAfter(t *testing.T) {
	de := s.fail(t.Context(), t, func(*http.Request) (*http.Response, error) {
		return Respond(429, http.Header{"Retry-After": {"37"}}, ""), nil
	})
	if want := 37 * time.Second; de.RetryAfter != want || !de.Retryable {
		t.Errorf("want a retry after %s, got %s (retryable %t)", want, de.RetryAfter, de.Retryable)
	}
}

func (s Subject) hanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		de := s.fail(ctx, t, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		if de.Reason != outbox.ReasonDeadline || !de.Retryable {
			t.Errorf("want a retryable %s, got %s (retryable %t)", outbox.ReasonDeadline, de.Reason, de.Retryable)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("want to be back when the context ends, after 10s, got %s", took)
		}
	})
}

func (s Subject) broken(t *testing.T) {
	de := s.fail(t.Context(), t, func(r *http.Request) (*http.Response, error) {
		return nil, errors.New("read tcp 10.0.0.1:443->https://hooks.example.com/" + Secret + ": connection reset by peer")
	})
	if !de.Retryable {
		t.Errorf("want a broken connection to be retryable, got %v", de)
	}
}

func (s Subject) redirect(t *testing.T) {
	var elsewhere atomic.Int32
	_ = s.fail(t.Context(), t, func(r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Host, "evil.") {
			elsewhere.Add(1)
			return s.OK(r), nil
		}
		return Respond(http.StatusTemporaryRedirect, http.Header{"Location": {"https://evil.invalid/take"}}, ""), nil
	})
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("want no request to the other host, got %d", n)
	}
}
