package web

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestSay(t *testing.T) {
	midnight := time.Date(2026, 3, 1, 0, 3, 0, 0, time.UTC)
	for _, tc := range []struct {
		in   string
		ref  time.Time
		want string
	}{
		{"began at 11:59:10, 40 s before", noon, `began at <time datetime="2026-03-01T11:59:10Z" data-f="s">11:59:10</time>, 40 s before`},
		{"by 12:18 UTC", noon, `by <time datetime="2026-03-01T12:18:00Z" data-f="m">12:18</time> <span class="zone-word">UTC</span>`},
		{"at 23:58:00", midnight, `at <time datetime="2026-02-28T23:58:00Z" data-f="s">23:58:00</time>`},
		{"<b> 1:2 99:99 v12:30x", noon, `&lt;b&gt; 1:2 99:99 v12:30x`},
		{"no reference 12:00", time.Time{}, `no reference 12:00`},
	} {
		if got := string(timed(tc.in, tc.ref)); got != tc.want {
			t.Errorf("timed(%q): want\n%s, got\n%s", tc.in, tc.want, got)
		}
	}
}

func TestQuantity(t *testing.T) {
	for _, tc := range []struct {
		v    float64
		u    triage.Unit
		want string
	}{
		{0.145, triage.UnitRatio, "14.5 %"},
		{0.002013, triage.UnitRatio, "0.2 %"},
		{0, triage.UnitRatio, "0 %"},
		{0.058, triage.UnitSeconds, "58 ms"},
		{2.34, triage.UnitSeconds, "2.3 s"},
		{3 << 20, triage.UnitBytes, "3 MiB"},
		{12345, "", "12.3 k"},
		{145.2, "", "145"},
		{math.NaN(), "", "–"},
		{-0.5, "", "-0.5"},
	} {
		if got := say.Quantity(tc.v, tc.u); got != tc.want {
			t.Errorf("quantity(%v): want %q, got %q", tc.v, tc.want, got)
		}
	}
	for p, want := range map[float64]string{0: "0 %", 1: "100 %", 0.976: "98 %", 0.996: "> 99 %", 0.0004: "< 1 %"} {
		if got := say.Percent(p); got != want {
			t.Errorf("percent(%v): want %q, got %q", p, want, got)
		}
	}
}

// TestWaterfall: bars lie end to end, so the last ends where the sum is.
func TestWaterfall(t *testing.T) {
	rows := waterfall([]triage.Evidence{{Factor: "own", Contribution: 3000}, {Factor: "timing", Contribution: 1000}, {Factor: "scope", Contribution: -2000}})
	want := []string{"+3.0", "+1.0", "−2.0"}
	for i, r := range rows {
		if r.Value != want[i] {
			t.Errorf("row %d: want %s, got %s", i, want[i], r.Value)
		}
	}
	// 0 to 4 nats over 216 px from x = 2: the first bar is 162 px wide, the second begins there, the third goes back to 110.
	for i, part := range []string{`x="2" y="2" width="162"`, `x="164" y="2" width="54"`, `x="110" y="2" width="108"`} {
		if !strings.Contains(string(rows[i].Bar), part) {
			t.Errorf("bar %d: want %s in %s", i, part, rows[i].Bar)
		}
	}
}

func TestShares(t *testing.T) {
	confirmed := func(id triage.ChangeID) triage.Label { return triage.Label{Truth: id} }
	rows := shares([]triage.Judgement{{Label: confirmed("a"), Leader: "a", Named: "a", Advised: "a"}, {Label: confirmed("a"), Leader: "b", Named: "b", Advised: "b"}})
	for i, want := range []string{"1/2", "1/2", "1/2", "1/2", "1/2"} {
		if got := fmt.Sprintf("%d/%d", rows[i].Hits, rows[i].Of); got != want {
			t.Errorf("%s: want %s, got %s", rows[i].Name, want, got)
		}
	}
}

func TestTimeTicks(t *testing.T) {
	for _, d := range []time.Duration{3 * time.Minute, 40 * time.Minute, 3 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 90 * 24 * time.Hour} {
		ticks := timeTicks(noon.Add(17*time.Second), noon.Add(d), 10)
		if len(ticks) == 0 || len(ticks) > 13 {
			t.Errorf("%v: want a handful of ticks, got %d", d, len(ticks))
		}
		for _, at := range ticks {
			if at.Second() != 0 || at.Before(noon) || at.After(noon.Add(d)) {
				t.Errorf("%v: tick at %v", d, at)
			}
		}
	}
	for v, want := range map[float64]float64{0.145: 0.15, 1: 1, 0.9: 1, 17: 20, 3.1: 4, 70: 80, 81: 100} {
		if got := niceCeil(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("niceCeil(%v): want %v, got %v", v, want, got)
		}
	}
}

// TestPackedLabels: whatever changes there are, no two labels of a lane lie on each other, and no mark is left out.
func TestPackedLabels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &scene{X0: 60, X1: 900, T0: noon, T1: noon.Add(time.Hour)}
		n := rapid.IntRange(0, 40).Draw(t, "n")
		var ms []mark
		for i := range n {
			at := noon.Add(time.Duration(rapid.IntRange(-600, 4200).Draw(t, "at")) * time.Second)
			c := triage.Change{ID: triage.ChangeID(fmt.Sprint(i)), Kind: triage.KindDeploy, StartedAt: at, FinishedAt: at.Add(time.Duration(rapid.IntRange(0, 900).Draw(t, "took")) * time.Second)}
			c.Title = rapid.StringMatching(`[a-z ]{1,60}`).Draw(t, "title")
			ms = append(ms, newMark(c))
		}
		out := pack(s, ms)
		if len(out) != n {
			t.Fatalf("want %d marks, got %d", n, len(out))
		}
		for i, p := range out {
			if !p.labeled {
				continue
			}
			a0, a1 := labelSpan(p)
			if a0 < s.X0-4 || a1 > s.X1+4 {
				t.Fatalf("label %q from %.0f to %.0f leaves the picture", p.Label, a0, a1)
			}
			for _, o := range out[:i] {
				if b0, b1 := labelSpan(o); o.labeled && o.row == p.row && a0 < b1 && b0 < a1 {
					t.Fatalf("labels %q and %q lie on each other", p.Label, o.Label)
				}
			}
		}
	})
}

func labelSpan(p placed) (from, to float64) {
	w := textWidth(p.Label)
	if p.anchor == "end" {
		return p.lx - w, p.lx
	}
	return p.lx, p.lx + w
}

// TestRuns: gaps cut a line, what is outside the axis is not drawn, and thinning keeps every peak.
func TestRuns(t *testing.T) {
	s := triage.Series{Start: noon, StepS: 1, Values: triage.Values{1, 2, math.NaN(), 3, math.Inf(1), 4, 5}}
	got := runs(s, noon, noon.Add(5*time.Second))
	if len(got) != 3 || len(got[0]) != 2 || len(got[2]) != 1 || got[2][0].v != 4 {
		t.Errorf("want 1 2, 3, 4; got %v", got)
	}
	long := triage.Series{Start: noon, StepS: 1, Values: make(triage.Values, 10000)}
	long.Values[7777] = 9
	thinned := runs(long, noon, noon.Add(3*time.Hour))[0]
	peak := 0.0
	for i, q := range thinned {
		peak = max(peak, q.v)
		if i > 0 && !q.t.After(thinned[i-1].t) {
			t.Fatal("thinned samples are out of order")
		}
	}
	if len(thinned) > maxSamples+2 || peak != 9 {
		t.Errorf("want at most %d samples and the peak, got %d and %v", maxSamples, len(thinned), peak)
	}
}

// TestEveryClassHasAStyle: what a scene draws is drawn in the picture too.
func TestEveryClassHasAStyle(t *testing.T) {
	p, err := newPainter()
	if err != nil {
		t.Fatal(err)
	}
	change := func(id triage.ChangeID, kind triage.Kind, at time.Duration) triage.Change {
		return triage.Change{ID: id, Kind: kind, Scope: triage.Scope{Service: "s" + string(id)}, StartedAt: noon.Add(at), TimeUncertaintyS: 60, Title: "change " + string(id)}
	}
	r := triage.Report{CreatedAt: noon.Add(10 * time.Minute), Onset: triage.Onset{Interval: triage.Interval{Earliest: noon, Best: noon.Add(time.Minute), Latest: noon.Add(2 * time.Minute)}}}
	in := axisInput{Recovered: noon.Add(20 * time.Minute)}
	for i, id := range []triage.ChangeID{"a", "b", "c"} {
		c := change(id, triage.KindDeploy, -time.Minute)
		r.Suspects = append(r.Suspects, triage.Suspect{Rank: i + 1, Probability: .3, Change: &c})
		in.Case.Series = append(in.Case.Series, triage.Series{Metric: "m", Labels: map[string]string{"service": c.Service}, Start: noon, StepS: 60, Values: triage.Values{1, 1, 5, 6}})
	}
	undo := change("u", triage.KindFlag, 12*time.Minute)
	undo.Undoes = []triage.ChangeID{"a"}
	in.Report, in.More = r, []triage.Change{undo, change("d", triage.KindConfig, 8*time.Minute), change("o", triage.KindInfra, -9*time.Minute)}
	in.Case.Alerts = []triage.Alert{{StartsAt: noon.Add(5 * time.Minute)}}
	threshold := 3.0
	in.Case.Symptom = &triage.Symptom{Threshold: &threshold, Series: []triage.Series{
		{Labels: map[string]string{"region": "a"}, Start: noon, StepS: 60, Values: triage.Values{1, 2, 3}}, {Labels: map[string]string{"region": "b"}, Start: noon, StepS: 60, Values: triage.Values{1, 1, 1}},
	}}
	a := newAxis(in)
	a.Head = pictureHead(r)
	for _, width := range []float64{wideWidth, narrowWidth} {
		if _, err := p.png(a.draw(width)); err != nil {
			t.Error(err)
		}
	}
	if len(a.Panels) != 4 || len(a.Marks) != 6 || len(a.Flags) != 4 {
		t.Errorf("want 4 panels, 6 marks, 4 flags; got %d, %d, %d", len(a.Panels), len(a.Marks), len(a.Flags))
	}
}

// A step of a playbook is copied as it is typed, without the word before it; a link is a link; the rest is read.
func TestSteps(t *testing.T) {
	for in, want := range map[triage.Instruction]stepView{
		{Kind: triage.InstructRun, Command: "argocd app rollback pricing"}:               {Text: "argocd app rollback pricing", Command: true},
		{Kind: triage.InstructRun, Command: "deployctl undo pricing"}:                    {Text: "deployctl undo pricing", Command: true},
		{Kind: triage.InstructOpen, URL: "https://flags.example/new-pricing"}:            {Text: "open", Link: "https://flags.example/new-pricing"},
		{Kind: triage.InstructRunbook, URL: "javascript:alert(1)"}:                       {Text: "runbook: javascript:alert(1)"},
		{Kind: triage.InstructDo, Text: "hold other rollouts until the symptom is gone"}: {Text: "hold other rollouts until the symptom is gone"},
		{Kind: triage.InstructDo, Text: "run: this only reads like a command"}:           {Text: "run: this only reads like a command"},
	} {
		if got := newStep(in); got != want {
			t.Errorf("%+v: want %+v, got %+v", in, want, got)
		}
	}
	if got := newStep(triage.Instruction{Kind: triage.InstructRun, Command: strings.Repeat("x", maxCommand+1)}); got.Command {
		t.Error("half a command must not be offered as one")
	}
}
