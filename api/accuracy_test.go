package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Five incidents: confirmed at once, confirmed with the second report, wrong, none said, unlabelled.
func TestAccuracy(t *testing.T) {
	h := newHarness(t, nil)
	base := h.reports["inc-1"][0]
	named := func(id triage.ChangeID, p float64) triage.Report {
		r := base
		ch := *base.Suspects[0].Change
		ch.ID = id
		r.Suspects = []triage.Suspect{{Rank: 1, Change: &ch, Probability: p, For: []triage.Evidence{{Factor: "split", Contribution: 2000, Direct: true}}}}
		r.None.Probability = 1 - p
		r.Recommendation.Target = &triage.Target{ChangeID: id}
		return r
	}
	unnamed := base
	unnamed.Suspects, unnamed.None.Probability, unnamed.Recommendation = nil, 1, triage.Recommendation{Verdict: triage.VerdictCannotTell, Action: triage.ActionInvestigate}
	say := func(inc, verdict string, id triage.ChangeID) {
		h.said = append(h.said, triage.Feedback{IncidentID: inc, Verdict: verdict, ChangeID: id, At: now})
	}
	h.incidents = map[string]triage.Incident{}
	for i, reports := range [][]triage.Report{{named("a", .9)}, {unnamed, named("b", .8)}, {named("c", .9)}, {unnamed}, {named("e", .9)}} {
		id := fmt.Sprint("i", i)
		for n := range reports {
			reports[n].Number, reports[n].CreatedAt = n+1, now.Add(time.Duration(n*10)*time.Minute)
		}
		h.incidents[id] = triage.Incident{ID: id, Reports: len(reports), OpenedAt: now, Alerts: []triage.Alert{{StartsAt: now.Add(-time.Minute)}}}
		h.reports[id] = reports
		h.inputs[id] = h.inputs["inc-1"]
	}
	say("i0", triage.FeedbackVerified, "a")
	say("i0", triage.FeedbackConfirm, "a")
	say("i1", triage.FeedbackConfirm, "b")
	say("i2", triage.FeedbackReject, "c")
	say("i3", triage.FeedbackNone, "")
	h.everyIncident = true

	rec := h.call(http.MethodGet, "/api/v1/accuracy", "")
	wantStatus(t, rec, 200)
	got := decodeAs[map[string]any](t, rec)
	share := func(name string) string {
		m := got[name].(map[string]any)
		return fmt.Sprintf("%v/%v", m["hits"], m["n"])
	}
	for name, want := range map[string]string{"named": "3/5", "precision": "1/2", "top1": "2/3", "harm": "1/2"} {
		if s := share(name); s != want {
			t.Errorf("%s: want %s, got %s", name, want, s)
		}
	}
	if got["labels"] != 4.0 || got["verified"] != 1.0 || got["incidents"] != 5.0 {
		t.Errorf("got %v", got)
	}
	if got["minutes_to_cause"] != 6.0 || got["minutes_measured"] != 2.0 { // 1 min and 11 min after the page
		t.Errorf("minutes: got %v of %v", got["minutes_to_cause"], got["minutes_measured"])
	}
	ends := got["ends"].(map[string]any) // three labels: one right, one named nothing right away, one "no change" with nothing named; the fourth rejects
	if b := ends["false_blame"].(map[string]any); b["hits"] != 1.0 || b["n"] != 4.0 {
		t.Errorf("false blame by how it ended: got %v", b)
	}
	if b := ends["missed"].(map[string]any); b["hits"] != 1.0 || b["n"] != 2.0 {
		t.Errorf("missed: got %v", b)
	}
	if w := ends["weights"].(map[string]any); w["label"] != 1.0 || w["verified"] != .8 {
		t.Errorf("weights: got %v", w)
	}
	p := got["precision"].(map[string]any)
	if p["rate"] != .5 || p["low"].(float64) > .1 || p["high"].(float64) < .9 {
		t.Errorf("one of two says little: got %v", p)
	}

	rec = h.call(http.MethodGet, "/api/v1/accuracy/cases", "")
	wantStatus(t, rec, 200)
	var ids []string
	for sc := bufio.NewScanner(rec.Body); sc.Scan(); {
		var c struct {
			triage.Case
			Expect *triage.Expect `json:"expect"`
		}
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil || c.Expect == nil || c.Schema != triage.CaseSchema {
			t.Fatalf("line %s: %v", sc.Text(), err)
		}
		if len(c.History) > 0 {
			t.Errorf("%s: the history holds the label it is to be scored by", c.ID)
		}
		ids = append(ids, fmt.Sprint(c.ID, c.Expect.Truth, c.Expect.NoneReason != ""))
	}
	if got := strings.Join(ids, " "); got != "i0[a] false i1[b] false i3[] true" {
		t.Errorf("got %s", got)
	}
}

func TestOutcomesOfAService(t *testing.T) {
	h := newHarness(t, nil)
	rec := h.call(http.MethodGet, "/api/v1/services/checkout-svc/outcomes", "")
	wantStatus(t, rec, 200)
	got := decodeAs[struct{ Items []triage.Outcome }](t, rec)
	if len(got.Items) != 1 || got.Items[0].Service != "checkout" || got.Items[0].N != 2 {
		t.Errorf("want the flags of checkout, found by its other name, got %+v", got.Items)
	}
}

// A draft fit to send: everything the record has, in order, no person, nothing that a title could smuggle in.
func TestPostmortem(t *testing.T) {
	h := newHarness(t, nil)
	inc := h.incidents["inc-1"]
	inc.RecoveredAt, inc.State, inc.Reports = now.Add(9*time.Minute), triage.IncidentRecovered, 2
	h.incidents["inc-1"] = inc
	first := h.reports["inc-1"][0]
	first.Suspects[0].For = append(first.Suspects[0].For, triage.Evidence{Factor: "split", Contribution: 2000, Direct: true, Sentence: "only requests with the flag on fail"})
	first.Suspects[0].Change.Actor = "dana"
	first.Suspects[0].Change.Title = "new-pricing 0 → 100 % (asked by dana@example.com, @dana) | <b>#1 [x](http://e)"
	first.Severity = &triage.Severity{Level: "P1", Reasons: []string{"checkout is tier 1"}}
	last := first
	last.Number, last.CreatedAt = 2, now.Add(8*time.Minute)
	last.Checked = []triage.Checked{{
		Undid: "push:flag", By: "push:off", At: now.Add(2 * time.Minute), Turned: now.Add(3 * time.Minute), Outcome: triage.CheckVerified,
		Sentence: "checkout recovered 60 s after flag new-pricing went back, and has stayed so for 3 min",
	}}
	last.Hold = []triage.Undone{{ChangeID: "d9", Title: "deploy search v9", At: now.Add(time.Minute)}}
	last.Coverage = []triage.Coverage{{Source: "terraform", State: triage.SourceSilent, Detail: "nothing since 01:12"}}
	h.reports["inc-1"] = []triage.Report{first, last}
	h.said = []triage.Feedback{{IncidentID: "inc-1", Verdict: triage.FeedbackConfirm, ChangeID: "push:flag", Comment: "dana did it", At: now.Add(20 * time.Minute)}}

	rec := h.call(http.MethodGet, "/api/v1/incidents/inc-1/postmortem", "")
	wantStatus(t, rec, 200)
	got := rec.Body.String()
	if ct := rec.Header().Get("Content-Type"); !strings.HasPrefix(ct, "text/markdown") {
		t.Errorf("content type %q", ct)
	}
	for _, want := range []string{
		"# checkout 5xx, 1 March 2026", "checkout 5xx 0.2 % → 14 %", "From 03:02:00 (as measured) to 03:13:00 (as measured): 11 min.", "Proposed severity: P1 (checkout is tier 1)",
		"| 03:09:00 | HighErrorRate fires |", "| 03:12:00 | undone: flag new-pricing 0 → 100 %", "| 03:13:00 | the symptom turned |", "confirmed by the team", "- for: only requests with the flag on fail",
		"Result (verified): checkout recovered 60 s after flag new-pricing went back", "the first alert fired at 03:09:00, 7 min later", "first named 60 s after that",
		"terraform was silent", "**Staged rollout**", "**Detection**: the alert came 7 min after it began", "**Freeze**: 1 change went live", "went live while it was open, 03:11:00: deploy search v9",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the draft lacks %q", want)
		}
	}
	for _, never := range []string{"dana", "@example", "<b>", "[x](", "root cause", "%!", "0001", "1970"} {
		if strings.Contains(got, never) {
			t.Errorf("the draft must not hold %q", never)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// What people confirm, or undo, is named with its flag and values, whether or not a report ever listed it.
func TestPostmortemNamesWhatNoReportListed(t *testing.T) {
	h := newHarness(t, nil)
	h.changes["push:other"] = triage.Change{
		ID: "push:other", Kind: triage.KindFlag, Scope: triage.Scope{Service: "pricing"}, Title: "switched over", StartedAt: now.Add(-10 * time.Minute),
		Labels: map[string]string{"flag": "fast-path", "from": "0 %", "to": "25 %"},
	}
	h.said = []triage.Feedback{{IncidentID: "inc-1", Verdict: triage.FeedbackConfirm, ChangeID: "push:other", At: now.Add(time.Minute)}}
	rec := h.call(http.MethodGet, "/api/v1/incidents/inc-1/postmortem", "")
	wantStatus(t, rec, 200)
	if got := rec.Body.String(); !strings.Contains(got, "**flag fast-path 0 % → 25 %**") || !strings.Contains(got, "confirmed by the team") {
		t.Errorf("want the flag and its values, got\n%s", got)
	}
}
