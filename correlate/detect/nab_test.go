package detect

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The scorer follows the published description of the benchmark's standard profile. A detection is every sample that scores at
// or above one threshold for all series. The first in a window gains up to 1, the more the earlier (a sigmoid over the window);
// each outside loses up to .11, less shortly after a window; a window without loses 1. The first 15 % of the samples, at most
// 750, are not counted. The threshold is the one that gains most. 0 is a detector that says nothing, 100 one that is perfect.

const (
	costFalse = 0.11
	costMiss  = 1.0
)

// verdict is what a detector got.
type verdict struct {
	score     float64
	threshold float64
	hits      int
	windows   int
	alarms    int     // samples outside the windows
	perDay    float64 // runs of alarms outside, a series-day
	family    map[string][3]int
}

func sigmoid(y float64) float64 { return 2/(1+math.Exp(5*y)) - 1 }

// probation is how many samples a detector may learn from.
func probation(n int) int { return min(n*15/100, 750) }

// judge scores all series at the best threshold.
func judge(set []labelled, scores [][]float64) verdict {
	type sample struct {
		s     float64
		si, i int
	}
	var all []sample
	windows := 0
	gain := make([][]float64, len(set))
	for si, l := range set {
		windows += len(l.windows)
		gain[si] = make([]float64, len(l.windows))
		for i := probation(len(l.v)); i < len(l.v); i++ {
			if scores[si][i] > 0 {
				all = append(all, sample{scores[si][i], si, i})
			}
		}
	}
	slices.SortFunc(all, func(a, b sample) int { return -cmp.Compare(a.s, b.s) })
	raw := -costMiss * float64(windows)
	best := verdict{windows: windows, threshold: math.Inf(1)}
	top := raw
	for k := 0; k < len(all); {
		for t := all[k].s; k < len(all) && all[k].s == t; k++ {
			x := all[k]
			w, value := worth(set[x.si], x.i)
			if w < 0 {
				raw += value
				continue
			}
			if old := gain[x.si][w]; old == 0 {
				raw += costMiss + value
				gain[x.si][w] = value
			} else if value > old {
				raw += value - old
				gain[x.si][w] = value
			}
		}
		if raw > top {
			top, best.threshold = raw, all[k-1].s
		}
	}
	best.score = 100 * (top + costMiss*float64(windows)) / ((1 + costMiss) * float64(windows))
	best.count(set, scores)
	return best
}

// worth is what a detection at i is worth, and in which window it lies; −1 is none.
func worth(l labelled, i int) (w int, value float64) {
	prev := -1
	for w, win := range l.windows {
		if i >= win[0] && i <= win[1] {
			y := -float64(win[1]-i+1) / float64(win[1]-win[0]+1)
			return w, max(sigmoid(y)/sigmoid(-1), 1e-6)
		}
		if win[1] < i {
			prev = w
		}
	}
	if prev < 0 {
		return -1, -costFalse
	}
	win := l.windows[prev]
	y := float64(i-win[1]) / float64(max(win[1]-win[0], 1))
	if y > 3 {
		return -1, -costFalse
	}
	return -1, costFalse * sigmoid(y)
}

// count says what happens at the threshold.
func (v *verdict) count(set []labelled, scores [][]float64) {
	days, runs := 0.0, 0
	v.family = map[string][3]int{}
	for si, l := range set {
		f := v.family[l.name]
		days += l.at[len(l.at)-1].Sub(l.at[0]).Hours() / 24
		hit := make([]bool, len(l.windows))
		last := -1000
		for i := probation(len(l.v)); i < len(l.v); i++ {
			if scores[si][i] < v.threshold {
				continue
			}
			w, _ := worth(l, i)
			if w >= 0 {
				hit[w] = true
				continue
			}
			v.alarms++
			f[2]++
			if i-last > 12 {
				runs++
			}
			last = i
		}
		for _, h := range hit {
			f[1]++
			if h {
				f[0]++
				v.hits++
			}
		}
		v.family[l.name] = f
	}
	v.perDay = float64(runs) / days
}

func (v verdict) log(t *testing.T, name string) {
	t.Helper()
	var fam []string
	for _, f := range families {
		if n, ok := v.family[f.name]; ok {
			fam = append(fam, f.name+" "+strconv.Itoa(n[0])+"/"+strconv.Itoa(n[1])+" +"+strconv.Itoa(n[2]))
		}
	}
	t.Logf("%-18s %5.1f  windows %d of %d, outside %d samples, %.3f alarms a series-day, threshold %.4g  (%s)",
		name, v.score, v.hits, v.windows, v.alarms, v.perDay, v.threshold, strings.Join(fam, ", "))
}

// scoreAll runs one detector over a set. The constructor is told the range of the whole series, as some rivals want it.
func scoreAll(set []labelled, fresh func(lo, hi float64) func(time.Time, float64) float64) [][]float64 {
	out := make([][]float64, len(set))
	for i, l := range set {
		f := fresh(slices.Min(l.v), slices.Max(l.v))
		out[i] = make([]float64, len(l.v))
		for j, v := range l.v {
			out[i][j] = f(l.at[j], v)
		}
	}
	return out
}

// readBenchmark reads data/*/*.csv and labels/combined_windows.json of a benchmark laid out like the public one.
func readBenchmark(t *testing.T, root string) []labelled {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "labels", "combined_windows.json"))
	if err != nil {
		t.Fatal(err)
	}
	var windows map[string][][2]string
	if err := json.Unmarshal(data, &windows); err != nil {
		t.Fatal(err)
	}
	var out []labelled
	for name, ws := range windows {
		f, err := os.Open(filepath.Join(root, "data", name))
		if err != nil {
			continue
		}
		rows, err := csv.NewReader(f).ReadAll()
		f.Close()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		l := labelled{name: filepath.Dir(name)}
		for _, r := range rows[1:] {
			at, err1 := parseTime(r[0])
			v, err2 := strconv.ParseFloat(r[1], 64)
			if err1 != nil || err2 != nil {
				t.Fatalf("%s: %v %v", name, err1, err2)
			}
			l.at, l.v = append(l.at, at), append(l.v, v)
		}
		for _, w := range ws {
			from, err1 := parseTime(w[0])
			to, err2 := parseTime(w[1])
			if err1 != nil || err2 != nil {
				t.Fatalf("%s: %v %v", name, err1, err2)
			}
			a := slices.IndexFunc(l.at, func(x time.Time) bool { return !x.Before(from) })
			b := slices.IndexFunc(l.at, func(x time.Time) bool { return x.After(to) })
			if b < 0 {
				b = len(l.at)
			}
			if a >= 0 && a < b {
				l.windows = append(l.windows, [2]int{a, b - 1})
			}
		}
		out = append(out, l)
	}
	return out
}
