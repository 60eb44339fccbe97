package detect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// csvOf writes n samples a minute apart, made by value.
func csvOf(n int, value func(i int) float64) string {
	var b strings.Builder
	b.WriteString("timestamp,value\n")
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		fmt.Fprintf(&b, "%s,%g\n", start.Add(time.Duration(i)*time.Minute).Format(time.RFC3339), value(i))
	}
	return b.String()
}

func run(t *testing.T, opts Options, in string) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	if err := Run(t.Context(), opts, strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	var lines []map[string]any
	dec := json.NewDecoder(&out)
	for dec.More() {
		var m map[string]any
		if err := dec.Decode(&m); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m)
	}
	return lines
}

func TestOnsetsOfAStepAreFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	in := csvOf(300, func(i int) float64 {
		v := 100 + 3*rng.NormFloat64()
		if i >= 200 && i < 240 {
			v += 60
		}
		return v
	})
	lines := run(t, Options{Name: "latency.csv"}, in)
	if len(lines) != 1 {
		t.Fatalf("want one onset, got %d: %v", len(lines), lines)
	}
	onset := lines[0]["onset"].(map[string]any)
	best, err := time.Parse(time.RFC3339, onset["best"].(string))
	if err != nil {
		t.Fatal(err)
	}
	want := time.Date(2026, 3, 1, 3, 20, 0, 0, time.UTC)
	if d := best.Sub(want); d < -2*time.Minute || d > 2*time.Minute {
		t.Errorf("onset: want about %s, got %s", want, best)
	}
	ended, err := time.Parse(time.RFC3339, lines[0]["ended_at"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if d := ended.Sub(want); d < 39*time.Minute || d > 46*time.Minute {
		t.Errorf("end: want about 40 min after the onset, got %s", d)
	}
	if lines[0]["series"] != "latency" {
		t.Errorf("series: want latency, got %v", lines[0]["series"])
	}
}

func TestQuietNoiseHasNoOnset(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 9))
		in := csvOf(1000, func(int) float64 { return 50 + 5*rng.NormFloat64() })
		if lines := run(t, Options{Name: "x"}, in); len(lines) > 0 {
			t.Errorf("seed %d: want no onset in noise, got %v", seed, lines)
		}
	}
}

// Scores must not change when the future does.
func TestScoresUseOnlyThePast(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	values := make([]float64, 200)
	for i := range values {
		values[i] = 10 + rng.NormFloat64()
	}
	values[150] = 40
	whole := run(t, Options{Name: "x", Scores: true}, csvOf(200, func(i int) float64 { return values[i] }))
	part := run(t, Options{Name: "x", Scores: true}, csvOf(151, func(i int) float64 { return values[i] }))
	for i := range part {
		if whole[i]["score"] != part[i]["score"] {
			t.Fatalf("sample %d: score %v with the future, %v without", i, whole[i]["score"], part[i]["score"])
		}
	}
	if got := part[150]["score"].(float64); got < 0.5 {
		t.Errorf("a sample 30 deviations away: want at least .5, got %g", got)
	}
	for i, l := range whole[20:150] {
		if got := l["score"].(float64); got > 0.5 {
			t.Errorf("quiet sample %d: want below .5, got %g", i+20, got)
		}
	}
}

// A peak that comes every day at the same hour is expected.
func TestYesterdayIsAControl(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const day = 288
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var b strings.Builder
	for i := range 3 * day {
		v := 100 + 2*rng.NormFloat64()
		if i%day > 200 && i%day < 230 {
			v += 100
		}
		fmt.Fprintf(&b, "%d,%g\n", start.Add(time.Duration(i)*5*time.Minute).Unix(), v)
	}
	lines := run(t, Options{Name: "x"}, b.String())
	if len(lines) != 1 {
		t.Errorf("a daily peak: want it called on the first day only, got %d onsets: %v", len(lines), lines)
	}
}

func TestJSONSeriesAndCaseFiles(t *testing.T) {
	one := `{"metric":"m","labels":{"service":"a"},"signal":"errors","better":"lower","stamp":"end","step_s":15,"start":"2026-03-01T00:00:00Z","values":[` +
		strings.Repeat("0.01,0.012,", 20) + strings.Repeat("0.4,", 10) + "0.4]}"
	for _, in := range []string{one, "[" + one + "]", `{"schema":1,"series":[` + one + "]}"} {
		lines := run(t, Options{Name: "f.json"}, in)
		if len(lines) != 1 || lines[0]["series"] != "m" {
			t.Errorf("want one onset of m, got %v", lines)
		}
	}
}

func TestBadInputNamesLineAndRemedy(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"empty", " ", "is empty"},
		{"bad time", "2026-03-01T00:00:00Z,1\nyesterday,2\n", `line 2: timestamp "yesterday": use RFC 3339`},
		{"bad value", "1,2\n61,x\n", `line 2: value "x": must be a number`},
		{"one sample", "1,2\n", "at least two samples"},
		{"no step", `{"metric":"m","values":[1]}`, "series[0]: needs start, and step_s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := Run(t.Context(), Options{Name: "f"}, strings.NewReader(tc.in), &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an error with %q, got %v", tc.want, err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("timestamp,value\n2026-03-01T00:00:00Z,1\n2026-03-01T00:01:00Z,\n"))
	f.Add([]byte(`{"metric":"m","step_s":1e-9,"start":"2026-03-01T00:00:00Z","values":[1,null]}`))
	f.Add([]byte(`[{"values":[1e308,-1e308]}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		for _, scores := range []bool{false, true} {
			var out bytes.Buffer
			_ = Run(t.Context(), Options{Name: "fuzz", Scores: scores}, bytes.NewReader(data), &out)
			for line := range strings.Lines(out.String()) {
				if !json.Valid([]byte(line)) {
					t.Fatalf("not JSON: %q", line)
				}
			}
		}
	})
}
