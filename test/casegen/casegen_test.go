package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/triaged-dev/triaged/test/casegen/scenario"
	"github.com/triaged-dev/triaged/triage"
)

const casesDir = "../../testdata/cases"

// allowedBytes bounds what the cases weigh in the repository: 12 MB.
const allowedBytes = 12 << 20

// generated is one run of the generator, made once for all tests.
var generated = sync.OnceValues(sets)

func gunzip(b []byte) ([]byte, error) {
	zr, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(zr)
}

func marshal(t *testing.T, s scenario.Scenario) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	if err := enc.Encode(s.Build()); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// The committed files are what the generator makes, and it makes the same twice. JSON is compared with the files: how well
// gzip packs may change with the toolchain.
func TestFilesAreWhatTheGeneratorMakes(t *testing.T) {
	first, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	second, err := sets()
	if err != nil {
		t.Fatal(err)
	}
	size, n := 0, 0
	for set, scenarios := range first {
		var want []string
		for i, s := range scenarios {
			want = append(want, s.ID+".json.gz")
			a := marshal(t, s)
			if i%5 == 0 && !bytes.Equal(a, marshal(t, second[set][i])) { // a sample: the files are a second run of all of them
				t.Errorf("%s: two runs differ", s.ID)
			}
			file, err := os.ReadFile(filepath.Join(casesDir, set, s.ID+".json.gz"))
			if err != nil {
				t.Errorf("%v: run go run ./test/casegen testdata/cases", err)
				continue
			}
			if plain, err := gunzip(file); err != nil || !bytes.Equal(a, bytes.TrimSpace(plain)) {
				t.Errorf("%s differs from its file: run go run ./test/casegen testdata/cases", s.ID)
			}
			size, n = size+len(file), n+1
		}
		slices.Sort(want)
		entries, err := os.ReadDir(filepath.Join(casesDir, set))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if !slices.Equal(want, got) {
			t.Errorf("%s: want %d files, got %d that are not the same", set, len(want), len(got))
		}
	}
	if size > allowedBytes {
		t.Errorf("the cases weigh %d bytes, more than %d", size, allowedBytes)
	}
	t.Logf("%d cases, %d bytes", n, size)
}

// Every type that a ranking must be tried on is there, in the half that is open during development.
func TestTypesArePresent(t *testing.T) {
	open := make(map[string]int)
	styles, steps, kinds := make(map[string]bool), make(map[float64]bool), make(map[string]int)
	for name, c := range readCases(t) {
		if strings.HasPrefix(name, "heldout/") {
			continue
		}
		for _, s := range c.Synthetic {
			if typ, ok := strings.CutPrefix(s, "type: "); ok {
				open[typ]++
			}
			if m, ok := strings.CutPrefix(s, "measured as: "); ok {
				styles[m] = true
			}
		}
		for _, s := range c.Series {
			steps[s.StepS] = true
			kinds[s.Kind]++
		}
	}
	for _, typ := range []string{
		"red-herring", "loud-victim", "global-push", "staged-rollout", "slow-leak", "surge", "expiry", "vendor", "no-change",
		"rollback-as-trigger", "revert-of-revert", "late-event", "out-of-order", "finish-only", "blind-source", "latent-pair", "metastable",
	} {
		if open[typ] == 0 {
			t.Errorf("no open case of type %s", typ)
		}
	}
	if len(styles) < 5 || !steps[15] || !steps[30] || !steps[60] || kinds["counter"] == 0 || kinds["gauge"] == 0 {
		t.Errorf("measured in too few ways: %v, steps %v, kinds %v", styles, steps, kinds)
	}
}

// The facts cover every incident once, and roughly half of them is held out, with all its variants.
func TestHalfIsHeldOut(t *testing.T) {
	fs, err := facts()
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	for i, f := range fs {
		if i > 0 && fs[i-1].ID >= f.ID {
			t.Errorf("%s is out of order or twice", f.ID)
		}
		if f.SourceURL == "" || f.Published.Onset.IsZero() && f.Published.FirstAlert.IsZero() {
			t.Errorf("%s has no source or no time", f.ID)
		}
		if heldOut(f.ID) {
			held++
		}
	}
	if len(fs) != 62 || held < len(fs)*2/5 || held > len(fs)*3/5 {
		t.Errorf("%d incidents, %d held out", len(fs), held)
	}
}

// A change without its end known must not tell it in the removed variant either, and nothing there may point at the trigger.
func TestRemovedVariantsTellNothing(t *testing.T) {
	all, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, set := range []string{"incidents", "heldout"} {
		byID := make(map[string]scenario.Scenario)
		for _, s := range all[set] {
			byID[s.ID] = s
		}
		for id, s := range byID {
			original, ok := byID[strings.TrimSuffix(id, "-removed")]
			if !strings.HasSuffix(id, "-removed") || !ok {
				continue
			}
			n++
			b, err := json.Marshal(s.Build())
			if err != nil {
				t.Fatal(err)
			}
			for _, truth := range original.Expect.Truth {
				if bytes.Contains(b, []byte(`"`+string(truth)+`"`)) {
					t.Errorf("%s still speaks of %s", id, truth)
				}
			}
			if n%8 == 1 && !sameSeries(original.Build().Series, s.Build().Series) {
				t.Errorf("%s does not have the metrics of %s", id, original.ID)
			}
		}
	}
	if n < 40 {
		t.Errorf("only %d removed variants", n)
	}
}

func sameSeries(a, b []triage.Series) bool {
	return slices.EqualFunc(a, b, func(x, y triage.Series) bool {
		return x.Metric == y.Metric && reflect.DeepEqual(x.Labels, y.Labels) && slices.EqualFunc(x.Values, y.Values, func(v, w float64) bool {
			return v == w || math.IsNaN(v) && math.IsNaN(w)
		})
	})
}

// The generator knows nothing of the ranking: neither directly nor through what it imports.
func TestNothingOfTheRankingIsImported(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if !strings.Contains(string(out), "triaged/triage") {
		t.Fatalf("go list shows nothing of ours:\n%s", out)
	}
	for dep := range strings.Lines(string(out)) {
		if ours, ok := strings.CutPrefix(strings.TrimSpace(dep), "github.com/triaged-dev/triaged/"); ok && ours != "triage" && !strings.HasPrefix(ours, "test/casegen") {
			t.Errorf("imports %s", ours)
		}
	}
}
