package correlate

import (
	"math"
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// The worked example of the package's comment: what is gained is the entropy before less the expected entropy after.
func TestExpectedBits(t *testing.T) {
	hs := []hypothesis{{c: &candidate{}, p: .45}, {c: &candidate{}, p: .40}, {p: .15}}
	if got := entropy([]float64{.45, .40, .15}); math.Abs(got-1.458) > .001 {
		t.Errorf("entropy: got %g", got)
	}
	if got := expectedBits(hs, []float64{splitShows, splitChance, splitChance}); math.Abs(got-.545) > .001 {
		t.Errorf("the split: got %g bits", got)
	}
	if got := expectedBits(hs, []float64{.4, .4, .4}); got > 1e-12 {
		t.Errorf("what all predict alike tells nothing: got %g bits", got)
	}
	if got := expectedBits(hs, []float64{1, 0, 0}); math.Abs(got-.9928) > .001 { // H(.45)
		t.Errorf("a perfect look tells its own side: got %g bits", got)
	}
}

// tie makes a ranking in which these explanations stand, and nothing else is known.
func tie(ps map[string]float64, changes ...triage.Change) *ranking {
	in := flagScene()
	in.Series, in.Symptom, in.Changes = nil, nil, changes
	m := newRanking(in)
	m.candidates = nil
	for i := range changes {
		c := &candidate{ch: &changes[i], act: m.actingOf(&changes[i]), micros: int64(ps[string(changes[i].ID)] * million)}
		m.candidates = append(m.candidates, c)
	}
	return m
}

// The cheapest look that parts what stands is named, not a sentence that fits everything.
func TestExperiment(t *testing.T) {
	percent := func(c triage.Change, p float64) triage.Change {
		c.RolloutPercent = &p
		return c
	}
	flag := change("flag", triage.KindFlag, "pricing", "6m")
	flag.Labels = map[string]string{"flag": "new-pricing"}
	deploy := change("dep", triage.KindDeploy, "checkout", "9m")
	deploy.Version = "v42"
	canary := percent(deploy, 10)
	config := change("cfg", triage.KindConfig, "checkout", "7m")
	regional := change("reg", triage.KindInfra, "db", "8m")
	regional.Region = "eu1"
	for name, tc := range map[string]struct {
		ps      map[string]float64
		changes []triage.Change
		says    []string
		act     bool
		target  triage.ChangeID
	}{
		"a flag at half, and a deploy": {
			map[string]float64{"flag": .5, "dep": .4},
			[]triage.Change{percent(flag, 50), deploy},
			[]string{"compare requests with and without flag new-pricing: if only those with it fail, it is likelier flag new-pricing; if not, deploy checkout v42"},
			false, "flag",
		},
		"a canary, and something unseen": {
			map[string]float64{"dep": .5}, []triage.Change{canary}, []string{"compare what runs v42 with what does not", "if not, something I cannot see"}, false, "dep",
		},
		"a service that nothing measures": {
			map[string]float64{"flag": .5, "dep": .4}, []triage.Change{flag, deploy}, []string{"look at errors and latency of pricing: if they moved at 03:01:00"}, false, "flag",
		},
		"a configuration and a rollout of the same service": {
			map[string]float64{"cfg": .5, "dep": .4}, []triage.Change{config, deploy}, []string{"compare instances of checkout that restarted with those that did not"}, false, "dep",
		},
		"only one region has it": {
			map[string]float64{"reg": .45, "dep": .4}, []triage.Change{regional, deploy}, []string{"compare eu1 with the rest: if only eu1 fails, it is likelier infra db"}, false, "reg",
		},
		"nothing to look at, but something to undo": {
			map[string]float64{"cfg": .5}, []triage.Change{config}, []string{"set config checkout back for a while: if it recovers"}, true, "cfg",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := tie(tc.ps, tc.changes...)
			e := m.experiment(true)
			if e == nil {
				t.Fatal("want an experiment")
			}
			for _, s := range tc.says {
				if !strings.Contains(e.What, s) {
					t.Errorf("want %q in %q", s, e.What)
				}
			}
			if e.Act != tc.act || e.Target != tc.target || e.ExpectedBits < leastBits || len(e.Readings) != 2 || len(e.Separates) < 2 {
				t.Errorf("got %+v", e)
			}
			if e.Readings[0].Then == e.Readings[1].Then {
				t.Errorf("both outcomes lead to the same: %+v", e)
			}
		})
	}
	if e := tie(map[string]float64{"dep": .95}, deploy).experiment(true); e != nil {
		t.Errorf("where one explanation stands there is nothing to separate: %+v", e)
	}
	if e := tie(map[string]float64{"dep": .5, "dep2": .4}, deploy, change("dep2", triage.KindDeploy, "checkout", "9m10s")).experiment(true); e != nil && e.ExpectedBits > .3 {
		t.Errorf("two deploys of one service within seconds can hardly be told apart, got %+v", e)
	}
}
