package card

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

var update = flag.Bool("update", false, "write the golden cards anew")

// at is a time of the night the cards tell of.
func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", "2026-03-01 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

func cardInput(service string) Input {
	scope := triage.Scope{Service: service, Environment: "production", Region: "eu1"}
	return Input{
		Incident: triage.Incident{
			ID: "20260301-030709-00c0ffee", State: triage.IncidentOpen, Title: "HighErrorRate on " + service, Scope: scope, Pages: true,
			Alerts: []triage.Alert{{Labels: map[string]string{"alertname": "HighErrorRate", "service": service}, StartsAt: at("03:07:00")}},
		},
		Report: triage.Report{
			Number: 1, CreatedAt: at("03:07:09"), LookbackS: 1800,
			Onset:    triage.Onset{Interval: triage.Interval{Earliest: at("03:01:40"), Best: at("03:02:10"), Latest: at("03:02:30")}},
			Symptom:  triage.SymptomSummary{Sentence: service + " 5xx 0.2 % → 14 % since 03:02:10 UTC", Service: service, Signal: triage.SignalErrors, Trend: "rising"},
			Coverage: []triage.Coverage{{Source: "kafka/deploys", State: triage.SourceOK}, {Source: "flags", State: triage.SourceOK}, {Source: "terraform", State: triage.SourceSilent, LastEvent: at("01:12:00")}},
		},
		Links: Links{Page: "https://triaged.example.com/incidents/20260301-030709-00c0ffee", Yes: "https://triaged.example.com/feedback/yes", No: "https://triaged.example.com/feedback/no"},
	}
}

func flagSuspect(p float64) triage.Suspect {
	return triage.Suspect{
		Rank: 1, Probability: p,
		Change: &triage.Change{
			ID: "ld#1", Kind: triage.KindFlag, Scope: triage.Scope{Service: "checkout", Environment: "production", Region: "eu1"},
			StartedAt: at("03:01:30"), Title: "flag new-pricing turned on", Actor: "https://flags.example.com/users/dana",
			Labels: map[string]string{"flag": "new-pricing", "from": "0", "to": "100 %"}, RolloutPercent: new(100.0),
		},
		For: []triage.Evidence{
			{Factor: "timing", Contribution: 1200, Sentence: "40 s before the onset"},
			{Factor: "split", Contribution: 3100, Direct: true, Sentence: "Only requests with the flag on fail."},
			{Factor: "control", Contribution: 900, Direct: true, Sentence: "us1, where the flag is still 0 %, is clean"},
		},
	}
}

func deploySuspect(id, service, from, to, when string, p float64, why ...triage.Evidence) triage.Suspect {
	return triage.Suspect{
		Probability: p, For: why,
		Change: &triage.Change{
			ID: triage.ChangeID(id), Kind: triage.KindDeploy, Scope: triage.Scope{Service: service, Environment: "production", Region: "eu1"},
			StartedAt: at(when), PreviousVersion: from, Version: to, Title: "Merge pull request #12 from acme/x",
		},
	}
}

func doing(s string) triage.Instruction { return triage.Instruction{Kind: triage.InstructDo, Text: s} }

func timing(s string) triage.Evidence {
	return triage.Evidence{Factor: "timing", Contribution: 800, Sentence: s}
}

func shift(s string) triage.Evidence {
	return triage.Evidence{Factor: "shift", Contribution: 1500, Direct: true, Sentence: s}
}

// cards are the situations on-call meets; each has its golden file in testdata.
func cards() map[string]Input {
	out := map[string]Input{}

	in := cardInput("checkout")
	in.Report.Candidates = 4
	in.Report.Suspects = []triage.Suspect{flagSuspect(.87), deploySuspect("d1", "pricing", "v811", "v812", "02:41:00", .05, timing("21 min before the onset"))}
	in.Report.None.Probability = .08
	in.Report.Recommendation = triage.Recommendation{
		Verdict: triage.VerdictAct, Action: triage.ActionFlagOff, Reason: "the flag split accuses it",
		Target: &triage.Target{ChangeID: "ld#1", Kind: triage.KindFlag, Scope: triage.Scope{Environment: "production", Region: "eu1"}, Name: "new-pricing", From: "100 %", To: "0 %", URL: "https://flags.example.com/new-pricing"},
		Check:  "5xx < 1 % by 03:15. Slower does not clear it (retries, 5-min rate window)", Owner: "team-pricing · pricing primary · #pricing-oncall",
	}
	out["flag-guilty"] = in

	changed := in
	prev := in.Report
	prev.Suspects, prev.None.Probability = nil, 1
	prev.Recommendation = triage.Recommendation{Verdict: triage.VerdictCannotTell, Action: triage.ActionInvestigate, Reason: "nothing fits"}
	changed.Previous = &prev
	changed.Report.Number, changed.Report.CreatedAt = 2, at("03:08:09")
	out["verdict-changed"] = changed

	recovered := in
	recovered.Incident.State, recovered.Incident.RecoveredAt = triage.IncidentRecovered, at("03:19:10")
	recovered.Report.Number, recovered.Report.Cause, recovered.Report.CreatedAt = 3, "recovered", at("03:20:10")
	recovered.Report.Kind = triage.ReportRecovered
	recovered.Report.Checked = []triage.Checked{{
		Undid: in.Report.Suspects[0].Change.ID, By: "undo", Outcome: triage.CheckWatching,
		Undo: triage.Undone{ChangeID: "undo", Kind: triage.KindFlag, Name: "new-pricing", From: "100 %", To: "0", At: at("03:15:02")},
	}}
	out["recovered-after-undo"] = recovered

	in = cardInput("payments")
	in.Report.Symptom.Sentence = "payments card auth failures 0.5 % → 38 % since 03:02 UTC"
	in.Report.Candidates = 4
	in.Report.Suspects = []triage.Suspect{deploySuspect("d1", "search", "v7", "v8", "02:55:00", .06, timing("7 min before the onset"))}
	in.Report.None = triage.None{Probability: .91, Evidence: []triage.Evidence{
		{Factor: "vendor", Contribution: 2500, Sentence: "only calls to api.acmepay.example time out; other dependencies and traffic are normal"},
		{Factor: "breadth", Contribution: 900, Sentence: "all 3 regions shifted in the same minute"},
	}}
	in.Report.Recommendation = triage.Recommendation{
		Verdict: triage.VerdictWillNotHelp, Action: triage.ActionInvestigate, Reason: "the failing dependency is a vendor",
		Steps: []triage.Instruction{doing("vendor status page of acmepay"), doing("runbook: second acquirer")}, Owner: "team-payments · #payments-oncall",
	}
	out["none-vendor"] = in

	in = cardInput("checkout")
	in.Report.Candidates = 2
	in.Report.Suspects = []triage.Suspect{
		flagSuspect(.46),
		deploySuspect("d1", "checkout", "v41", "v42", "03:00:50", .41, shift("checkout errors rose right after it")),
	}
	in.Report.Suspects[0].For = []triage.Evidence{shift("checkout errors rose within one sample of it")}
	in.Report.None.Probability = .13
	in.Report.Recommendation = triage.Recommendation{
		Verdict: triage.VerdictCannotTell, Action: triage.ActionInvestigate, Reason: "two changes of one service within a minute; both can be undone cheaply",
		Steps: []triage.Instruction{
			{Kind: triage.InstructDo, Text: "set flag new-pricing back to 0 % in production/eu1", Does: triage.ActionFlagOff}, doing("if that does not clear it in 2 min, roll checkout back to v41"),
		},
		Check: "errors by flag variant: if both variants fail alike, it is the deploy", Owner: "team-checkout",
	}
	out["cannot-separate"] = in

	in = cardInput("orders")
	in.Report.Candidates = 1
	in.Report.Suspects = []triage.Suspect{{
		Rank: 1, Probability: .82,
		Change: &triage.Change{
			ID: "m1", Kind: triage.KindMigration, Scope: triage.Scope{Service: "orders", Environment: "production"}, StartedAt: at("02:58:00"),
			Title: "migration 0042_drop_legacy_status", Reversible: triage.Reversible{Value: triage.ReversibleNo, Reason: "drops a column"},
		},
		For:     []triage.Evidence{shift("orders errors rose at its step")},
		Against: []triage.Evidence{{Factor: "control", Contribution: -300, Sentence: "us1 had the same migration and is clean"}},
	}}
	in.Report.None.Probability = .18
	in.Report.Recommendation = triage.Recommendation{
		Verdict: triage.VerdictHarmful, Action: triage.ActionFixForward, Reason: "the migration dropped a column: the old version would fail on every write",
		Target: &triage.Target{ChangeID: "m1", Kind: triage.KindMigration, Scope: triage.Scope{Environment: "production"}, Name: "0042_drop_legacy_status"},
		Avoid:  []triage.Avoid{{Action: triage.ActionRollback, Target: "m1", Class: triage.VerdictHarmful, Reason: "orders v88 cannot run on the new schema"}},
		Check:  "orders 5xx < 1 %", Owner: "team-orders",
	}
	out["would-do-harm"] = in

	in = cardInput("checkout")
	in.Report.Symptom = triage.SymptomSummary{Service: "checkout", Signal: triage.SignalErrors}
	in.Incident.Alerts[0].Annotations = map[string]string{"summary": "checkout error ratio is 12.88%"}
	in.Report.Candidates = 3
	in.Report.Suspects = []triage.Suspect{
		deploySuspect("d1", "checkout", "v41", "v42", "03:00:50", .55, timing("80 s before the onset")),
		deploySuspect("d2", "pricing", "v811", "v812", "02:41:00", .2, timing("21 min before the onset")),
	}
	in.Report.None.Probability = .25
	in.Report.Recommendation = triage.Recommendation{Verdict: triage.VerdictCannotTell, Action: triage.ActionInvestigate, Reason: "the evidence is timing alone: Prometheus did not answer"}
	in.Report.Coverage = append(in.Report.Coverage, triage.Coverage{Source: "prometheus/main", State: triage.SourceDown})
	in.Report.Notes = []string{"no metrics: Prometheus did not answer within 5 s"}
	in.Report.Deadline = true
	out["metrics-blind"] = in

	in = cardInput("checkout")
	in.Report.None.Probability = 1
	in.Report.Recommendation = triage.Recommendation{Verdict: triage.VerdictCannotTell, Action: triage.ActionInvestigate, Reason: "no change was seen; look at traffic, dependencies and what no source reports"}
	in.Report.Coverage = nil
	out["no-changes-at-all"] = in

	rb := triage.Undone{ChangeID: "rb", Kind: triage.KindRollback, Service: "checkout", Name: "checkout", From: "v42", To: "v41", At: at("03:12:40")}
	in = cardInput("checkout")
	in.Incident.State = triage.IncidentMitigating
	in.Report.Candidates = 1
	in.Report.Suspects = []triage.Suspect{deploySuspect("d1", "checkout", "v41", "v42", "03:00:50", .9, shift("only v42 pods fail"))}
	in.Report.None.Probability = .1
	in.Report.Symptom.Trend = "falling"
	in.Report.Recommendation = triage.Recommendation{
		Verdict: triage.VerdictAct, Action: triage.ActionRollback, Reason: "version split",
		Target:     &triage.Target{ChangeID: "d1", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "checkout", Environment: "production", Cluster: "k8s-1"}, Name: "checkout", From: "v42", To: "v41"},
		AlsoUndoes: []triage.Undone{{ChangeID: "d2", Kind: triage.KindDeploy, Title: "coupon fix"}, {ChangeID: "d3", Kind: triage.KindDeploy, Title: "new footer"}, {ChangeID: "d4", Kind: triage.KindDeploy}},
		Check:      "5xx < 1 % by 03:20",
	}
	in.Report.Checked = []triage.Checked{{Undid: in.Report.Recommendation.Target.ChangeID, By: "rb", Undo: rb, Outcome: triage.CheckWatching, Sentence: "watched"}}
	out["mitigating"] = in

	in = out["mitigating"]
	in.Report.Number, in.Report.Cause = 4, "undo checked"
	in.Report.Checked = []triage.Checked{{
		Undid: in.Report.Recommendation.Target.ChangeID, By: "rb", Undo: rb, Outcome: triage.CheckStuck,
		Sentence: "trigger removed, system may be stuck: checkout was rolled back at 03:12:40, checkout still at 14 %, usual 0.2 % after more than 10 min (usual limit)",
		Steps:    []string{"shed load on checkout, cap retries of its callers, then let traffic back in slices", "add capacity or restart what is saturated; do not undo more at once"},
	}}
	in.Report.Hold = []triage.Undone{{ChangeID: "s9", Kind: triage.KindDeploy, Service: "search", Name: "search", To: "v9", At: in.Report.CreatedAt}}
	out["stuck"] = in

	// The remedy that was asked for is no retraction of the advice, and what was said first is not what is checked.
	first := out["flag-guilty"]
	in = first
	in.Previous = &first.Report
	in.Incident.State = triage.IncidentMitigating
	in.Report.Number, in.Report.Cause, in.Report.CreatedAt = 3, "undo seen", at("03:12:50")
	flagBack := triage.Undone{ChangeID: "off", Kind: triage.KindFlag, Name: "new-pricing", From: "100 %", To: "0", At: at("03:12:40")}
	in.Report.Checked = []triage.Checked{{Undid: "ld#1", By: "off", Undo: flagBack, Outcome: triage.CheckWatching}}
	in.Report.Recommendation = triage.Recommendation{
		Verdict: triage.VerdictCannotTell, Action: triage.ActionInvestigate, Target: &triage.Target{ChangeID: "ld#1", Kind: triage.KindFlag},
		Reason: "flag new-pricing leads, and was undone at 03:12:40 by flag new-pricing: see whether the symptom follows before anything else is undone",
	}
	out["done-as-advised"] = in

	in = first
	in.Previous = &first.Report
	in.Report.Number = 2
	in.Report.Recommendation = triage.Recommendation{
		Verdict: triage.VerdictAct, Action: triage.ActionPauseRollout, Target: &triage.Target{ChangeID: "ld#1", Kind: triage.KindFlag, Name: "new-pricing"},
		Reason: "it is still rolling out",
	}
	out["advice-changed"] = in

	in = out["done-as-advised"]
	told := in.Report
	in.Previous = &told
	in.Incident.State = triage.IncidentOpen
	in.Report = first.Report
	in.Report.Number, in.Report.CreatedAt = 4, at("03:20:20")
	in.Report.Checked = []triage.Checked{{
		Undid: "ld#1", By: "off", Undo: flagBack, Outcome: triage.CheckRedone,
		Sentence: "flag new-pricing 0 → 100 % is in place again since 03:20:10: what had undone it was taken back by flag new-pricing 0 → 100 %",
	}}
	out["undone-again"] = in

	in = first
	in.Incident.State, in.Incident.RecoveredAt = triage.IncidentRecovered, at("03:16:00")
	in.Report.Number, in.Report.CreatedAt, in.Report.Kind = 5, at("03:17:00"), triage.ReportRecovered
	in.Report.Suspects = append(slices.Clone(first.Report.Suspects), deploySuspect("d7", "pricing", "v8", "v9", "02:55:00", .05))
	in.Report.Suspects[len(in.Report.Suspects)-1].Rank = len(in.Report.Suspects)
	in.Report.Checked = []triage.Checked{{
		Undid: "d7", By: "rb", Undo: triage.Undone{ChangeID: "rb", Kind: triage.KindRollback, Service: "pricing", Name: "pricing", From: "v9", To: "v8", At: at("03:12:40")},
		Outcome: triage.CheckVerified, At: at("03:12:40"), Turned: at("03:13:30"), Sentence: "checkout recovered 50 s after pricing was rolled back, and has stayed so for 3 min",
	}}
	out["recovered-other-undone"] = in
	return out
}

// The cards read as they should. `go test ./alerting -run TestCards -update` writes them anew: read them before you commit.
func TestCards(t *testing.T) {
	for name, in := range cards() {
		t.Run(name, func(t *testing.T) {
			got := New(in).Text()
			file := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("card differs (-want +got):\n%s", diff)
			}
			for _, never := range []string{"dana", "root cause", "@here", "%!", "<nil>", "0001"} {
				if strings.Contains(got, never) {
					t.Errorf("a card must not contain %q", never)
				}
			}
			if n := strings.Count(got, "\n"); n > 16 {
				t.Errorf("a card is one screen: want at most 16 lines, got %d", n)
			}
		})
	}
}

// Whatever the strings from outside hold, the card keeps its shape: single lines, bounded, nothing that steers a terminal or calls a channel.
func FuzzCard(f *testing.F) {
	f.Add("flag\nnew \x1b[31mred\u202e @here <!channel>", "v1\r\nOWNER: nobody", "javascript:alert(1)")
	f.Add(strings.Repeat("x", 5000), "\x00\xff", "https://a.example/ b")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		in := cards()["flag-guilty"]
		lines := strings.Count(New(in).Text(), "\n")
		s := flagSuspect(.87)
		s.Change.Title, s.Change.Labels = a, map[string]string{"flag": "x" + b, "to": a}
		s.For = []triage.Evidence{{Factor: "split", Contribution: 1, Direct: true, Sentence: "s" + a}, {Factor: "x", Contribution: 1, Sentence: "s" + b}}
		in.Report.Suspects = []triage.Suspect{s, in.Report.Suspects[1]}
		in.Report.Symptom.Sentence = "s" + b + " since then"
		in.Report.Recommendation.Owner, in.Report.Recommendation.Check = "o"+a, "c"+b
		in.Report.Recommendation.Target = &triage.Target{ChangeID: "ld#1", Name: "n" + a, To: "t" + b, URL: c}
		in.Report.Coverage = []triage.Coverage{{Source: "s" + a, State: triage.SourceDown}}
		text := New(in).Text()
		if got := strings.Count(text, "\n"); got != lines {
			t.Errorf("lines: want %d, got %d:\n%s", lines, got, text)
		}
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1b\r\t\u202e\u200b") {
			t.Errorf("unclean text: %q", text)
		}
		if strings.Contains(strings.ToLower(text), "@here") || strings.Contains(text, "javascript:") {
			t.Errorf("text calls a channel or carries a script: %q", text)
		}
		if len(text) > 8000 {
			t.Errorf("text is %d bytes", len(text))
		}
	})
}

func TestOnlyWithOwnLabelsPercentages(t *testing.T) {
	in := cards()["flag-guilty"]
	if text := New(in).Text(); strings.Contains(text, "· 87 %") {
		t.Errorf("want no probabilities:\n%s", text)
	}
	in.Percentages = true
	if text := New(in).Text(); !strings.Contains(text, "40 s before the errors · 87 %") {
		t.Errorf("want probabilities:\n%s", text)
	}
}

// A card has room for both names of a tie, not for their commands; and it does not say the link of its own line twice.
func TestStepsOnCards(t *testing.T) {
	rec := triage.Recommendation{Either: make([]triage.Target, 2), Steps: []triage.Instruction{
		doing("cheap and safe to undo: flag a"), {Kind: triage.InstructRun, Command: "x"}, doing("cheap and safe to undo: flag b"), {Kind: triage.InstructRun, Command: "y"},
	}}
	if got := steps(rec); !slices.Equal(got, []string{rec.Steps[0].Text, rec.Steps[2].Text}) {
		t.Errorf("got %q", got)
	}
	rec = triage.Recommendation{Target: &triage.Target{URL: "https://flags.example/a"}, Steps: []triage.Instruction{
		{Kind: triage.InstructOpen, URL: "https://flags.example/a"}, {Kind: triage.InstructOpen, URL: "https://flags.example/b"},
	}}
	if got := steps(rec); !slices.Equal(got, say.Instructions(rec.Steps[1:])) {
		t.Errorf("got %q", got)
	}
}

// What is wrong with a machine names the machine: a live disk alert said how much was free, and not where.
func TestNodeIsNamed(t *testing.T) {
	in := cardInput("")
	in.Incident.Node, in.Report.Symptom.Service = "node-02", ""
	in.Report.Symptom.Sentence = "node_filesystem_avail_bytes 46.6 GiB → 44 GiB since 03:02:10 UTC"
	if got := New(in).Headline; !strings.HasPrefix(got, "node-02 node_filesystem_avail_bytes 46.6 GiB") {
		t.Errorf("got %q", got)
	}
}
