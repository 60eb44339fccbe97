package correlate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Each factor is looked at alone: the scene is changed in one thing, and only that factor's contribution is compared.
func TestFactors(t *testing.T) {
	percent := func(p float64) *float64 { return &p }
	for _, tc := range []struct {
		name, factor, suspect string
		mod                   func(*Input)
		min, max              triage.MilliNats // bounds of the contribution, both 0: no evidence at all
		says                  string
	}{
		{"timing right before the onset", "timing", "flag-1", nil, 2000, 6000, "began at 03:01:30"},
		{"timing long before", "timing", "dep-1", nil, -9000, -3000, "19 min before the onset"},
		{"timing by the last step", "timing", "dep-1", func(in *Input) {
			in.Changes[1].Steps = []triage.Step{{At: before("24m"), Percent: 25}, {At: before("5m20s"), Percent: 100}}
		}, 1000, 6000, "reached 100 % at 03:01:40"},
		{"timing without a start", "timing", "cfg-1", func(in *Input) {
			in.Changes[4].StartedAt, in.Changes[4].FinishedAt = time.Time{}, before("5m")
		}, 1000, 6000, "its start was not reported"},
		{"kind more harmful", "kind", "dep-2", func(in *Input) { in.Changes[2].Kind = triage.KindMigration }, 500, 800, "changes of kind migration set off incidents more often"},
		{"kind less harmful", "kind", "dep-2", func(in *Input) { in.Changes[2].Kind = triage.KindScale }, -1200, -700, "less often"},
		{"kind of reference", "kind", "dep-2", nil, 0, 0, ""},
		{"busy service", "busy", "flag-1", func(in *Input) { in.ChangeRate = map[string]float64{"pricing": 16} }, -750, -650, "pricing changes often, about 16 times an hour"},
		{"quiet service", "busy", "flag-1", func(in *Input) { in.ChangeRate = map[string]float64{"pricing": 1} }, 0, 0, ""},
		{"busyness is counted where no rate is known", "busy", "flag-1", func(in *Input) {
			for i := range 5 {
				in.Changes = append(in.Changes, change("more-"+string(rune('a'+i)), triage.KindConfig, "pricing", "15m"))
			}
		}, -900, -400, "pricing changes often"},
		{"topology of a callee", "topology", "cfg-1", nil, -500, -1, "checkout depends on db, 2 calls away"},
		{"topology of a caller", "topology", "dep-1", func(in *Input) { in.Changes[1].Service = "web" }, -2200, -1500, "web calls checkout"},
		{"topology without a path", "topology", "dep-2", nil, -4500, -2500, "no known path from checkout to search"},
		{"topology unknown", "topology", "dep-2", func(in *Input) { in.Topology = triage.Topology{} }, -2000, -500, "no topology says"},
		{"topology of a global change", "topology", "dep-2", func(in *Input) { in.Changes[2].Scope = triage.Scope{Global: true} }, -600, -200, "reaches every service"},
		{"topology of a change without a service", "topology", "dep-2", func(in *Input) { in.Changes[2].Scope = triage.Scope{Environment: "production"} }, -1200, -700, "names no service"},
		{"scope that matches", "scope", "flag-1", func(in *Input) {
			in.Scope.Region, in.Changes[0].Region = "eu1", "eu1"
		}, 200, 400, "same region eu1"},
		{"scope that does not", "scope", "flag-1", func(in *Input) {
			in.Scope.Environment, in.Changes[0].Environment = "production", "staging"
		}, -5000, -3000, "it changed environment staging, the symptom is in production"},
		{"scope of the steps' only region", "scope", "flag-1", func(in *Input) {
			in.Scope.Region, in.Changes[0].Steps = "eu1", []triage.Step{{At: before("5m30s"), Region: "us1"}}
		}, -5000, -3000, "it changed region us1"},
		{"scope unknown", "scope", "flag-1", nil, 0, 0, ""},
		{"own shift", "own", "flag-1", nil, 3000, 6000, "errors of pricing 0.1"},
		{"own quiet", "own", "cfg-1", nil, -2000, -100, "db did not shift after it"},
		{"own without series", "own", "flag-1", func(in *Input) { in.Series = nil }, 0, 0, ""},
		{"own by an anomaly where there are no series", "own", "flag-1", func(in *Input) {
			in.Series = nil
			in.Anomalies = []triage.Anomaly{{
				ID: "a", Scope: triage.Scope{Service: "pricing"}, Signal: triage.SignalErrors, Series: "pricing 5xx",
				Onset: triage.Interval{Best: before("4m50s")}, From: 0.001, To: 0.3, Effect: 20,
			}}
		}, 1000, 6000, "pricing 5xx of pricing left its range at 03:02:10"},
		{"cascade of callers", "cascade", "flag-1", func(in *Input) { // basket calls pricing too
			in.Topology = triage.NewTopology(append(slices.Clone(in.Topology.Edges()), triage.Edge{From: "basket", To: "pricing"}))
			in.Series = append(in.Series, series("basket", triage.SignalErrors, 0.001, 0.001, 0.2, before("4m50s")))
		}, 1000, 8000, "callers of pricing that shifted with the symptom: 1 of 1"},
		{"cascade of the symptom alone", "cascade", "flag-1", nil, 0, 0, ""}, // it shifts wherever the trouble began
		{"cascade of what did not move itself", "cascade", "cfg-1", nil, -1000, 1500, "callers of db"},
		{"cascade of a global change", "cascade", "dep-2", func(in *Input) { in.Changes[2].Scope = triage.Scope{Global: true} }, -4000, 8000, "services that shifted with the symptom: 2 of 4 watched"},
		{"exposure of everything", "exposure", "flag-1", func(in *Input) { in.Changes[0].RolloutPercent = percent(100) }, 200, 400, "everything had it"},
		{"exposure of a canary", "exposure", "flag-1", func(in *Input) { in.Changes[0].RolloutPercent = percent(5) }, -1200, -600, "only 5 % had it"},
		{"exposure by the step before onset", "exposure", "flag-1", func(in *Input) {
			in.Changes[0].Steps = []triage.Step{{At: before("5m30s"), Percent: 2}, {At: before("1m"), Percent: 100}}
		}, -1200, -600, "only 2 % had it"},
		{"size large", "size", "flag-1", func(in *Input) { in.Changes[0].Size = triage.Size{Files: 40, Lines: 900} }, 100, 400, "a large change: 40 files, 900 lines"},
		{"size small", "size", "flag-1", func(in *Input) { in.Changes[0].Size = triage.Size{Lines: 1} }, -300, -50, "1 line"},
		{"risk of a failed rollout", "risk", "flag-1", func(in *Input) { in.Changes[0].Status = triage.StatusFailed }, 400, 900, "it failed: half a rollout"},
		{"risk of nothing changed", "risk", "dep-1", func(in *Input) {
			in.Changes[1].Version, in.Changes[1].PreviousVersion = "v1", "v1"
		}, -5000, -3000, "v1 before and after"},
		{"words rare and shared", "words", "flag-1", func(in *Input) {
			in.Alerts[0].Annotations = map[string]string{"summary": "voucher redemption is failing"}
			in.Changes[0].Title = "new voucher redemption voucher redemption"
		}, 50, 300, "voucher"},
		{"words of service names do not count", "words", "flag-1", func(in *Input) { in.Changes[0].Title = "pricing for checkout" }, 0, 0, ""},
		{"history guilty", "history", "flag-1", func(in *Input) {
			in.History = []triage.Outcome{{Service: "pricing", Kind: triage.KindFlag, Outcome: "confirmed", N: 3}}
		}, 500, 1000, "guilty 3 times"},
		{"history cleared", "history", "flag-1", func(in *Input) {
			in.History = []triage.Outcome{{Service: "pricing", Kind: triage.KindFlag, Outcome: "rejected", N: 9}}
		}, -1000, -500, "cleared 9"},
		{"history verified counts a quarter", "history", "flag-1", func(in *Input) {
			in.History = []triage.Outcome{{Service: "pricing", Kind: triage.KindFlag, Outcome: "verified", N: 4}}
		}, 300, 600, "guilty 1 times"},
		{"reverted before", "reverted", "cfg-1", func(in *Input) {
			u := change("undo", triage.KindRollback, "db", "12m")
			u.Undoes = []triage.ChangeID{"cfg-1"}
			in.Changes = append(in.Changes, u)
		}, -4000, -2500, "before the trouble began"},
		{"reverted since, and it did not help", "reverted", "flag-1", func(in *Input) {
			in.Checked = []triage.Checked{{Undid: "flag-1", Outcome: triage.CheckNotHelped, At: before("1m"), Asked: before("10s")}}
		}, -4000, -1500, "and the symptom stayed for the 50 s it was watched"},
		{"reverted since, and the system may be stuck", "reverted", "flag-1", func(in *Input) {
			in.Checked = []triage.Checked{{Undid: "flag-1", Outcome: triage.CheckStuck, At: before("1m"), Asked: before("10s")}}
		}, 0, 0, ""},
		{"reverted since", "reverted", "flag-1", func(in *Input) {
			in.Changes[0].RevertedBy = []triage.ChangeID{"undo"}
			in.Changes = append(in.Changes, change("undo", triage.KindFlag, "pricing", "90s"))
		}, -1, 1, "after the trouble began"}, // a person's guess is no evidence
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := flagScene()
			if tc.mod != nil {
				tc.mod(&in)
			}
			r := Rank(in)
			checkSums(t, r)
			s := find(r, tc.suspect)
			if s == nil {
				t.Fatalf("%s is not listed\n%s", tc.suspect, dump(r))
			}
			n, sentence := evidenceFor(s, tc.factor)
			if tc.min == 0 && tc.max == 0 {
				if sentence != "" {
					t.Errorf("want no evidence of %s, got %+d %q", tc.factor, n, sentence)
				}
				return
			}
			if n < tc.min || n > tc.max || !strings.Contains(sentence, tc.says) {
				t.Errorf("want %s in [%d, %d] saying %q, got %+d %q", tc.factor, tc.min, tc.max, tc.says, n, sentence)
			}
		})
	}
}

// Three samples that had shifted alike before a change began rule it out; its direct evidence is then worth nothing.
func TestShiftedBeforeIsAVeto(t *testing.T) {
	in := flagScene()
	in.Series[2] = series("pricing", triage.SignalErrors, 0.001, 0.001, 0.3, before("9m"))
	r := Rank(in)
	s := find(r, "flag-1")
	i := slices.IndexFunc(s.Against, func(e triage.Evidence) bool { return e.Veto })
	if i < 0 || !strings.Contains(s.Against[i].Sentence, "had been bad for") {
		t.Errorf("want a veto\n%s", dump(r))
	}
	if r.Recommendation.Action.Reversal() {
		t.Errorf("a vetoed change must not be reversed: %+v", r.Recommendation)
	}
}

// One sample is capped evidence, and the sentence says so.
func TestOneSampleIsCappedAndSaid(t *testing.T) {
	in := flagScene()
	in.Series = slices.Clone(in.Series)
	for i := range in.Series { // five-minute samples: only one is complete after the onset
		s := series(in.Series[i].Labels["service"], in.Series[i].Signal, 0.1, 0.01, 0, time.Time{})
		s.StepS, s.Values = 300, s.Values[:12]
		s.Start = t0.Add(-11 * 5 * time.Minute)
		if s.Labels["service"] == "pricing" && s.Signal == triage.SignalErrors {
			s.Values[11] = 0.9
		}
		in.Series[i] = s
	}
	n, sentence := evidenceFor(find(Rank(in), "flag-1"), "own")
	full, _ := evidenceFor(find(Rank(flagScene()), "flag-1"), "own")
	if !strings.HasSuffix(sentence, "one sample") || n <= 0 || n >= full {
		t.Errorf("want capped evidence of one sample, got %+d (full %+d) %q", n, full, sentence)
	}
}

// Version, pod, region and flag variant: new bad and old fine is direct evidence; old as bad as new is only a weak alibi.
func TestSplits(t *testing.T) {
	labelled := func(label, value string, effect float64) triage.Series {
		s := series("pricing", triage.SignalErrors, 0.001, 0.001, effect, before("4m50s"))
		s.Labels = map[string]string{"service": "pricing", label: value}
		return s
	}
	young := labelled("pod", "pricing-new", 0.4)
	young.Start, young.Values = before("5m15s"), young.Values[len(young.Values)-21:]
	for _, tc := range []struct {
		name     string
		mod      func(*triage.Change)
		series   []triage.Series
		min, max triage.MilliNats
		says     string
	}{
		{
			"new version bad", func(c *triage.Change) { c.Kind, c.Version = triage.KindDeploy, "v2" },
			[]triage.Series{labelled("version", "v1", 0), labelled("version", "v2", 0.4)},
			3000, 7000, "only version v2 fails: errors 40",
		},
		{
			"both versions bad", func(c *triage.Change) { c.Kind, c.Version = triage.KindDeploy, "v2" },
			[]triage.Series{labelled("version", "v1", 0.4), labelled("version", "v2", 0.4)},
			-1000, -300, "no worse than the rest",
		},
		{
			"flag variant bad", func(c *triage.Change) { c.Version = "on" },
			[]triage.Series{labelled("variant", "off", 0), labelled("variant", "on", 0.4)},
			3000, 7000, "only variant on fails",
		},
		{
			"region of a step bad", func(c *triage.Change) { c.Steps = []triage.Step{{At: before("5m20s"), Region: "eu1"}} },
			[]triage.Series{labelled("region", "us1", 0), labelled("region", "eu1", 0.4)},
			3000, 7000, "only region eu1 fails",
		},
		{
			"young pods bad", func(c *triage.Change) { c.Kind = triage.KindDeploy },
			[]triage.Series{labelled("pod", "pricing-old", 0), young},
			3000, 7000, "only pod pricing-new fails",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := flagScene()
			in.Changes = slices.Clone(in.Changes)
			tc.mod(&in.Changes[0])
			in.Series = append(slices.Clone(in.Series), tc.series...)
			r := Rank(in)
			n, sentence := evidenceFor(find(r, "flag-1"), "split")
			if n < tc.min || n > tc.max || !strings.Contains(sentence, tc.says) {
				t.Errorf("want split in [%d, %d] saying %q, got %+d %q\n%s", tc.min, tc.max, tc.says, n, sentence, dump(r))
			}
		})
	}
}

// What only a caller shows is explained by the callee below it.
func TestTheLoudVictimIsNotTheCause(t *testing.T) {
	in := flagScene()
	victim := change("victim", triage.KindDeploy, "checkout", "5m20s")
	in.Changes = append(in.Changes, victim)
	in.Series[0] = series("checkout", triage.SignalErrors, 0.002, 0.001, 0.9, before("4m50s"))
	r := Rank(in)
	if l := r.Leader(); l.ID() != "flag-1" {
		t.Errorf("want the callee's change first, got %s\n%s", l.ID(), dump(r))
	}
}

func TestLatentChangeIsNotedBehindAnActivatingOne(t *testing.T) {
	in := flagScene()
	in.Changes = []triage.Change{change("restart", triage.KindCommand, "pricing", "5m20s"), change("old", triage.KindConfig, "pricing", "26m")}
	r := Rank(in)
	if !slices.ContainsFunc(r.Notes, func(n string) bool {
		return strings.Contains(n, "set off by command pricing at 03:01:40; possibly made possible by config pricing, 21 min earlier")
	}) {
		t.Errorf("notes: %q", r.Notes)
	}
}

func TestNoneHasEvidenceOfItsOwn(t *testing.T) {
	in := flagScene()
	in.Changes = nil
	in.Coverage = append(in.Coverage, triage.Coverage{Source: "github", State: triage.SourceDown})
	traffic := series("checkout", triage.SignalTraffic, 100, 5, 400, before("5m"))
	traffic.Better = ""
	in.Series = append(in.Series, traffic)
	in.Services = map[string]triage.Service{"pricing": {External: true}}
	r := Rank(in)
	factors := make(map[string]string)
	for _, e := range r.None.Evidence {
		factors[e.Factor] = e.Sentence
	}
	for factor, says := range map[string]string{"blind": "1 source could not be heard", "surge": "traffic of checkout rose first: 10", "origin": "pricing, which is not ours"} {
		if !strings.Contains(factors[factor], says) {
			t.Errorf("%s: want %q, got %q", factor, says, factors[factor])
		}
	}
	if r.Recommendation.Verdict != triage.VerdictCannotTell {
		t.Errorf("with a source that could not be heard it is not known that a rollback will not help; got %+v", r.Recommendation)
	}
	in.Coverage[len(in.Coverage)-1].State = triage.SourceOK
	in.Changes = []triage.Change{change("far", triage.KindDeploy, "search", "7m")} // seen, and no fit
	if r = Rank(in); r.Recommendation.Verdict != triage.VerdictWillNotHelp || r.Recommendation.Action != triage.ActionDoNotRollBack {
		t.Errorf("want: a rollback will not help; got %+v", r.Recommendation)
	}
}

// Every factor can be left out, and an unknown one is an error that lists them.
func TestWithoutAFactor(t *testing.T) {
	for _, f := range Factors() {
		w, err := DefaultWeights().Without(f)
		if err != nil {
			t.Fatal(err)
		}
		in := flagScene()
		in.Weights = &w
		r := Rank(in)
		checkSums(t, r)
		if n, sentence := evidenceFor(find(r, "flag-1"), f); sentence != "" {
			t.Errorf("%s was left out and still says %+d %q", f, n, sentence)
		}
	}
	if _, err := DefaultWeights().Without("magic"); err == nil || !strings.Contains(err.Error(), "there are timing, kind") {
		t.Errorf("unknown factor: %v", err)
	}
}

// One error an hour is no shift where the failing service has a hundred a second.
func TestErrorCountsAreMeasuredAgainstTheWorst(t *testing.T) {
	count := func(service string, effect float64) triage.Series {
		s := series(service, triage.SignalErrors, 0, 0, effect, before("4m50s"))
		s.Metric = "errors_per_second"
		return s
	}
	in := flagScene()
	in.Symptom = nil
	in.Changes = append(slices.Clone(in.Changes), change("blip", triage.KindConfig, "db", "5m20s"))
	in.Series = []triage.Series{count("checkout", 80), count("pricing", 100), count("db", 0.001)}
	r := Rank(in)
	if n, sentence := evidenceFor(find(r, "blip"), "own"); n > 0 {
		t.Errorf("want nothing for the blip, got %+d %q", n, sentence)
	}
	if l := r.Leader(); l.ID() != "flag-1" {
		t.Errorf("want the flag first\n%s", dump(r))
	}
}

// When everything shifts at once, what reaches everything is likelier than a change to one of many services.
func TestAGlobalPushIsKnownByItsBreadth(t *testing.T) {
	in := flagScene()
	in.Symptom, in.Series = nil, nil
	for _, s := range []string{"checkout", "pricing", "db", "search", "web", "mail", "stock", "login"} {
		in.Series = append(in.Series, series(s, triage.SignalErrors, 0.002, 0.001, 0.2, before("4m50s")))
	}
	push := change("push", triage.KindConfig, "", "5m40s")
	push.Scope = triage.Scope{Global: true}
	in.Changes = []triage.Change{push, change("dep", triage.KindDeploy, "checkout", "5m30s"), change("cfg", triage.KindConfig, "search", "5m25s")}
	r := Rank(in)
	if l := r.Leader(); l.ID() != "push" || l.Probability < 0.5 {
		t.Errorf("want the global push first\n%s", dump(r))
	}
}

// A rollout is judged by its stages: clean early ones do not clear it.
func TestTheStageThatBrokeItCounts(t *testing.T) {
	in := flagScene()
	staged := change("staged", triage.KindDeploy, "pricing", "28m")
	staged.FinishedAt = time.Time{}
	staged.Status = triage.StatusStarted
	staged.Steps = []triage.Step{{At: before("28m"), Percent: 10}, {At: before("16m"), Percent: 50}, {At: before("5m10s"), Percent: 100}}
	in.Changes = append([]triage.Change{staged}, in.Changes[1:]...)
	r := Rank(in)
	if l := r.Leader(); l.ID() != "staged" || l.Probability < 0.6 {
		t.Errorf("want the staged rollout first\n%s", dump(r))
	}
}

// What fired many times and cleared by itself each time speaks for none, and the report says how often; firings that lasted
// do not.
func TestEarlierFiringsSpeakForNone(t *testing.T) {
	plain := Rank(flagScene()).None
	for _, tc := range []struct {
		lasted time.Duration
		says   string
	}{{10 * time.Minute, "this alert fired 13 times in 14 d, 13 of them cleared by themselves within 30 min"}, {3 * time.Hour, ""}} {
		in := flagScene()
		for i := range 13 {
			at := before("26h").Add(-time.Duration(i) * 24 * time.Hour)
			in.Earlier = append(in.Earlier, triage.Alert{StartsAt: at, EndsAt: at.Add(tc.lasted)})
		}
		r := Rank(in)
		checkSums(t, r)
		said := ""
		for _, e := range r.None.Evidence {
			if e.Factor == "recurs" {
				said = e.Sentence
			}
		}
		if said != tc.says || (tc.says != "") != (r.None.Probability > plain.Probability) {
			t.Errorf("lasting %s: want %q, got %q; none %.3f, without history %.3f", tc.lasted, tc.says, said, r.None.Probability, plain.Probability)
		}
	}
}

// A series that came and went in the hour before as badly as now says so; one that did so once does not.
func TestBumpsBefore(t *testing.T) {
	for _, tc := range []struct{ times, want int }{{0, 0}, {1, 1}, {5, 5}} {
		s := series("a", triage.SignalErrors, 0.002, 0.001, 0.2, before("2m"))
		for i := range tc.times {
			for k := range 6 {
				s.Values[30+30*i+k] += 0.2
			}
		}
		p, _ := prepare(&s, "a", t0)
		p.state = len(p.bad)
		if got := p.bumps(-180_000); got != tc.want {
			t.Errorf("%d bumps: counted %d", tc.times, got)
		}
	}
}
