package triage

import "testing"

func TestStanding(t *testing.T) {
	own := []Evidence{{Factor: "own", Contribution: 3000, Direct: true}}
	timing := []Evidence{{Factor: "timing", Contribution: 3000}, {Factor: "scope", Contribution: 250}}
	suspect := func(id ChangeID, p float64, why []Evidence) Suspect {
		return Suspect{Change: &Change{ID: id}, Probability: p, For: why}
	}
	act := Recommendation{Verdict: VerdictAct, Target: &Target{ChangeID: "a"}}
	for _, tc := range []struct {
		name  string
		r     Report
		word  Word
		named int
	}{
		{"nothing", Report{}, WordNone, 0},
		{"likely", Report{Suspects: []Suspect{suspect("a", .8, own)}}, WordLikely, 1},
		{"acted on below a half", Report{Suspects: []Suspect{suspect("a", .45, timing)}, Recommendation: act}, WordLikely, 1},
		{"none leads", Report{Suspects: []Suspect{suspect("a", .3, own)}, None: None{Probability: .7}}, WordNone, 0},
		{"harm outweighs none", Report{Suspects: []Suspect{suspect("a", .3, own)}, None: None{Probability: .7}, Recommendation: Recommendation{Verdict: VerdictHarmful}}, WordPossible, 1},
		{"two as good", Report{Suspects: []Suspect{suspect("a", .45, own), suspect("b", .4, own)}, None: None{Probability: .15}}, WordSeparate, 2},
		{"only timing is not named", Report{Suspects: []Suspect{suspect("a", .6, timing), suspect("b", .4, own)}}, WordPossible, 1},
		{"far behind is not named", Report{Suspects: []Suspect{suspect("a", .49, own), suspect("b", .21, own)}, None: None{Probability: .3}}, WordPossible, 1},
	} {
		if got := tc.r.Standing(); got.Word != tc.word || len(got.Named) != tc.named {
			t.Errorf("%s: want %s naming %d, got %s naming %d", tc.name, tc.word, tc.named, got.Word, len(got.Named))
		}
	}
}
