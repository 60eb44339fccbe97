package detect

import (
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// alarms are the samples that score .5 or more from one on.
func alarms(v []float64, from int) (at []int) {
	s := NewScorer()
	for i, x := range v {
		if s.Add(minutes(i), x) >= .5 && i >= from {
			at = append(at, i)
		}
	}
	return at
}

// minutes is when sample i of a five-minute series was taken.
func minutes(i int) time.Time {
	return time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 5 * time.Minute)
}

// drawn is a series of n samples made by one rule.
func drawn(n int, seed uint64, f func(i int, r *rand.Rand) float64) []float64 {
	r := rand.New(rand.NewPCG(seed, 77))
	v := make([]float64, n)
	for i := range v {
		v[i] = f(i, r)
	}
	return v
}

const perDay = 288

func seasonal(i int) float64 { return 100 + 60*humped(math.Mod(float64(i)/perDay, 1)) }

// Every kind of change is told within some samples of its beginning, on most seeds.
func TestEachKindOfChangeScores(t *testing.T) {
	const n, at = 3000, 8 * perDay // midnight
	for _, tc := range []struct {
		name   string
		within int
		f      func(i int, r *rand.Rand) float64
	}{
		{"spike in noise", 1, func(i int, r *rand.Rand) float64 {
			if i == at {
				return 90
			}
			return 50 + 4*r.NormFloat64()
		}},
		{"level shift", 16, func(i int, r *rand.Rand) float64 {
			if i >= at {
				return 62 + 4*r.NormFloat64()
			}
			return 50 + 4*r.NormFloat64()
		}},
		{"restless", 16, func(i int, r *rand.Rand) float64 {
			if i >= at {
				return 50 + 14*r.NormFloat64()
			}
			return 50 + 4*r.NormFloat64()
		}},
		{"stands still", 40, func(i int, r *rand.Rand) float64 {
			if i >= at {
				return 51
			}
			return 50 + 4*r.NormFloat64()
		}},
		{"drift", 200, func(i int, r *rand.Rand) float64 {
			return 50 + 4*r.NormFloat64() + .15*float64(max(0, i-at))
		}},
		{"a flat line moves", 1, func(i int, _ *rand.Rand) float64 {
			if i >= at {
				return 45.5
			}
			return 45
		}},
		{"a season loses its peak", 100, func(i int, r *rand.Rand) float64 {
			if i >= at {
				return 100 + 2*r.NormFloat64()
			}
			return seasonal(i) + 2*r.NormFloat64()
		}},
		{"night values by day", 160, func(i int, r *rand.Rand) float64 {
			if i > at+120 {
				return 100 + 2*r.NormFloat64()
			}
			return seasonal(i) + 2*r.NormFloat64()
		}},
		{"counts rise", 24, func(i int, r *rand.Rand) float64 {
			mean := 4.0
			if i >= at {
				mean = 16
			}
			return math.Floor(max(0, mean+math.Sqrt(mean)*r.NormFloat64()))
		}},
		{"errors from nothing", 1, func(i int, _ *rand.Rand) float64 {
			if i >= at {
				return .02
			}
			return 0
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const seeds = 10
			told := 0
			for seed := range uint64(seeds) {
				if a := alarms(drawn(n, seed, tc.f), at); len(a) > 0 && a[0] < at+tc.within {
					told++
				}
			}
			t.Logf("%d of %d", told, seeds)
			if told < 8 {
				t.Errorf("told within %d samples on %d of %d seeds, want at least 8", tc.within, told, seeds)
			}
		})
	}
}

// What is usual for a series is not told, whatever is usual for it.
func TestQuietSeriesSeldomAlarm(t *testing.T) {
	const days = 14
	for _, tc := range []struct {
		name string
		most float64 // alarms a series-day
		f    func() func(i int, r *rand.Rand) float64
	}{
		{"normal noise", .15, func() func(int, *rand.Rand) float64 {
			return func(_ int, r *rand.Rand) float64 { return 50 + 4*r.NormFloat64() }
		}},
		{"slow noise", .2, func() func(int, *rand.Rand) float64 {
			x := 0.0
			return func(_ int, r *rand.Rand) float64 { x = .9*x + r.NormFloat64(); return 50 + x }
		}},
		{"heavy tails", .45, func() func(int, *rand.Rand) float64 {
			return func(_ int, r *rand.Rand) float64 { return math.Exp(r.NormFloat64()) }
		}},
		{"counts", .1, func() func(int, *rand.Rand) float64 {
			return func(_ int, r *rand.Rand) float64 { return math.Floor(max(0, 3+1.7*r.NormFloat64())) }
		}},
		{"day and night", .05, func() func(int, *rand.Rand) float64 {
			return func(i int, r *rand.Rand) float64 { return seasonal(i) + 3*r.NormFloat64() }
		}},
		{"a nightly job", .1, func() func(int, *rand.Rand) float64 {
			return func(i int, r *rand.Rand) float64 {
				v := 5 + .5*r.NormFloat64()
				if i%perDay < 3 {
					v += 60
				}
				return v
			}
		}},
		{"nothing", 0, func() func(int, *rand.Rand) float64 {
			return func(int, *rand.Rand) float64 { return 0 }
		}},
		{"two values", .2, func() func(int, *rand.Rand) float64 {
			return func(_ int, r *rand.Rand) float64 { return float64(r.IntN(2)) }
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const seeds = 6
			told := 0
			for seed := range uint64(seeds) {
				told += len(alarms(drawn(days*perDay, seed, tc.f()), 2*perDay))
			}
			rate := float64(told) / (seeds * (days - 2))
			t.Logf("%.3f alarms a series-day", rate)
			if rate > tc.most {
				t.Errorf("%.3f alarms a series-day, want at most %g", rate, tc.most)
			}
		})
	}
}

func TestScoresAreBoundedAndGapsTeachNothing(t *testing.T) {
	v := drawn(600, 1, func(_ int, r *rand.Rand) float64 { return r.NormFloat64() })
	a, b := NewScorer(), NewScorer()
	for i, x := range v {
		if i%50 == 0 {
			for _, gap := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				if got := b.Add(minutes(i), gap); got != 0 {
					t.Fatalf("a gap scores %g, want 0", got)
				}
			}
		}
		if x, y := a.Add(minutes(i), x), b.Add(minutes(i), x); x != y || x < 0 || x > 1 {
			t.Fatalf("sample %d: %g without gaps, %g with; want the same, within 0 and 1", i, x, y)
		}
	}
	for i := range 600 {
		x := []float64{math.MaxFloat64, -math.MaxFloat64, 5e-324, 1}[i%4]
		if got := a.Add(minutes(600+i), x); math.IsNaN(got) || got < 0 || got > 1 {
			t.Fatalf("huge values, sample %d: score %g, want one within 0 and 1", i, got)
		}
	}
}

// Memory does not grow with the series.
func TestScorerKeepsLittle(t *testing.T) {
	s := NewScorer()
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 30_000 {
		s.Add(minutes(i), r.NormFloat64())
	}
	kept := cap(s.window)
	for _, x := range []*tail{&s.value, &s.step, &s.restless, &s.short.tail, &s.long.tail, &s.season.tail} {
		kept += cap(x.ring) + cap(x.sorted)
	}
	kept += profileParts * (cap(s.short.known) + cap(s.long.known))
	t.Logf("%d KB", kept*8/1024)
	if kept*8 > 200<<10 {
		t.Errorf("keeps %d KB, want at most 200", kept*8/1024)
	}
}

func scored(float64, float64) func(time.Time, float64) float64 {
	s := NewScorer()
	return s.Add
}

// Seeds that were not looked at while the score was built; TRIAGED_CORPUS is how many of them, instead of one.
func TestScoreOverTheCorpus(t *testing.T) {
	seeds := 1
	if n, err := strconv.Atoi(os.Getenv("TRIAGED_CORPUS")); err == nil {
		seeds = n
	}
	for seed := range uint64(seeds) {
		set := corpus(2001 + seed)
		v := judge(set, scoreAll(set, scored))
		v.log(t, "scores")
		if v.score < 55 {
			t.Errorf("score %.1f, want at least 55", v.score)
		}
		if v.perDay > .15 {
			t.Errorf("%.3f alarms a series-day outside the windows, want at most .15", v.perDay)
		}
		for name, rival := range rivals {
			r := judge(set, scoreAll(set, rival))
			r.log(t, name)
			if r.score > v.score-5 {
				t.Errorf("%s gets %.1f, within eight of %.1f", name, r.score, v.score)
			}
		}
	}
}

// TRIAGED_NAB is a folder laid out like the public benchmark: data/*/*.csv and labels/combined_windows.json.
func TestScoreOverPublicSeries(t *testing.T) {
	root := os.Getenv("TRIAGED_NAB")
	if root == "" {
		t.Skip("TRIAGED_NAB is not set: no public series here")
	}
	set := readBenchmark(t, root)
	v := judge(set, scoreAll(set, scored))
	v.log(t, "scores")
	for name, rival := range rivals {
		r := judge(set, scoreAll(set, rival))
		r.log(t, name)
		if r.score > v.score {
			t.Errorf("%s gets %.1f, more than %.1f", name, r.score, v.score)
		}
	}
}

func TestJudge(t *testing.T) {
	set := corpus(7)[5:20]
	none := make([][]float64, len(set))
	perfect := make([][]float64, len(set))
	all := make([][]float64, len(set))
	for i, l := range set {
		none[i], perfect[i], all[i] = make([]float64, len(l.v)), make([]float64, len(l.v)), make([]float64, len(l.v))
		for _, w := range l.windows {
			perfect[i][max(w[0], probation(len(l.v)))] = 1
		}
		for j := range all[i] {
			all[i][j] = 1
		}
	}
	if got := judge(set, none); got.score != 0 || got.hits != 0 {
		t.Errorf("no detection: score %g, %d hits; want 0, 0", got.score, got.hits)
	}
	if got := judge(set, perfect); got.score < 97 || got.alarms != 0 || got.hits != got.windows {
		t.Errorf("perfect: score %g, %d outside, %d of %d; want 100, none, all", got.score, got.alarms, got.hits, got.windows)
	}
	if got := judge(set, all); got.score != 0 {
		t.Errorf("detecting everything is worth less than nothing: want the null threshold, got %g", got.score)
	}
}

func BenchmarkScorer(b *testing.B) {
	v := corpus(3)[20].v
	s := NewScorer()
	for i, x := range v {
		s.Add(minutes(i), x)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Add(minutes(len(v)+i), v[i%len(v)])
	}
}
