package correlate

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestEveryWeightHasAUnitAndAReason(t *testing.T) {
	w, err := decodeWeights(weightsYAML) // checks names, units and reasons against the struct
	if err != nil {
		t.Fatal(err)
	}
	if w.Version == "" || len(w.Values()) < 50 {
		t.Errorf("version %q, %d weights", w.Version, len(w.Values()))
	}
	doc, err := os.ReadFile("../docs/ranking.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range w.Values() {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/ranking.md does not mention %s", name)
		}
	}
	for _, f := range Factors() {
		if !strings.Contains(string(doc), "`"+f+"`") {
			t.Errorf("docs/ranking.md does not mention the factor %s", f)
		}
	}
}

func TestOverridesAreCheckedAndMarked(t *testing.T) {
	w, err := DefaultWeights().With(Overrides{"none.rate": 0.2})
	if err != nil || w.NoneRate != 0.2 || !strings.HasSuffix(w.Version, "+custom") {
		t.Errorf("%v %g %s", err, w.NoneRate, w.Version)
	}
	if DefaultWeights().NoneRate == 0.2 {
		t.Error("the embedded table changed")
	}
	for name, v := range map[string]float64{"magic": 1, "temperature": 0, "none.rate": -1} {
		if _, err := DefaultWeights().With(Overrides{name: v}); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s %g: want an error that names it, got %v", name, v, err)
		}
	}
}

// No multiply-add may be fused: it would round differently on arm64, and the same input would give other bytes.
func TestNothingIsFusedOnArm64(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for arm64")
	}
	cmd := exec.Command("go", "build", "-gcflags=-S", ".")
	cmd.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Skipf("cannot compile for arm64 here: %v", err)
	}
	if !strings.Contains(string(out), "FMULD") {
		t.Fatal("the listing shows no float code at all")
	}
	for line := range strings.Lines(string(out)) {
		for _, op := range [...]string{"FMADD", "FMSUB", "FNMADD", "FNMSUB"} {
			if strings.Contains(line, "\t"+op) {
				t.Errorf("fused: %s", strings.TrimSpace(line))
			}
		}
	}
}
