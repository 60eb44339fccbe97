package say

import (
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// What goes out to customers and managers says what is affected, since when, what is done and when there is more, and no guess.
func TestStatusUpdate(t *testing.T) {
	at := func(clock string) time.Time {
		t.Helper()
		out, err := time.Parse("2006-01-02 15:04:05", "2026-03-01 "+clock)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	flag := triage.Change{ID: "f", Kind: triage.KindFlag, Scope: triage.Scope{Service: "pricing"}, Labels: map[string]string{"flag": "new-pricing", "from": "0 %", "to": "100 %"}}
	inc := triage.Incident{State: triage.IncidentOpen, Title: "CheckoutErrors", Scope: triage.Scope{Service: "checkout", Region: "eu1"}, OpenedAt: at("03:07:00")}
	r := triage.Report{
		Symptom:  triage.SymptomSummary{Signal: triage.SignalErrors, Service: "checkout", Sentence: "checkout errors 0.2 % → 14 % since 03:02:10 UTC"},
		Onset:    triage.Onset{Interval: triage.Interval{Best: at("03:02:10")}},
		Suspects: []triage.Suspect{{Rank: 1, Probability: .95, Change: &flag}},
		Severity: &triage.Severity{Level: "P1"},
	}
	check := func(name, got string, wants, nevers []string) {
		t.Helper()
		for _, w := range wants {
			if !strings.Contains(got, w) {
				t.Errorf("%s: want %q in %q", name, w, got)
			}
		}
		for _, n := range nevers {
			if strings.Contains(got, n) {
				t.Errorf("%s: must not hold %q: %q", name, n, got)
			}
		}
	}
	u := StatusUpdate(inc, r, at("03:08:00"))
	check("customers", u.Customers, []string{"Since 1 March 03:02 UTC some requests to checkout in eu1 fail.", "We are working on it.", "Next update by 03:40 UTC."}, []string{"pricing", "%", "flag"})
	check("managers", u.Managers, []string{"0.2 % → 14 %", "Proposed severity: P1.", "The cause is not known yet.", "Next update by 03:40 UTC."}, []string{"pricing"})

	inc.State = triage.IncidentMitigating
	r.Checked = []triage.Checked{{Undid: "f", Outcome: triage.CheckWatching, Undo: triage.Undone{Kind: triage.KindFlag, Name: "new-pricing", From: "100 %", To: "0 %", At: at("03:12:00")}}}
	u = StatusUpdate(inc, r, at("03:13:00"))
	check("mitigating", u.Customers, []string{"A measure has been taken"}, []string{"pricing"})
	check("mitigating, managers", u.Managers, []string{"At 03:12 UTC flag new-pricing 100 % → 0 %", "whether it helps is being measured"}, []string{"ended it"})

	inc.State, inc.RecoveredAt, r.Checked[0].Outcome = triage.IncidentRecovered, at("03:16:00"), triage.CheckVerified
	u = StatusUpdate(inc, r, at("03:20:00"))
	check("over", u.Customers, []string{"From 1 March 03:02 UTC to 1 March 03:16 UTC checkout in eu1 did not work as usual. It does again."}, []string{"Next update", "pricing"})
	check("over, managers", u.Managers, []string{"It is over since 1 March 03:16 UTC.", "Undoing flag new-pricing 0 % → 100 % ended it, as measured."}, nil)
	if !u.Next.IsZero() {
		t.Errorf("no update follows the last one, got %v", u.Next)
	}
}
