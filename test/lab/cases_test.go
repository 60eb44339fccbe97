package main

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// The kept exports are cases: they say where they come from, and their truth is a change that the report saw, or they say why
// there is none.
func TestKeptCasesAreSound(t *testing.T) {
	files, err := filepath.Glob("../../testdata/cases/lab/*.json.gz")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d kept cases, %v", len(files), err)
	}
	played := make(map[string]bool)
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		raw, err := io.ReadAll(z)
		f.Close()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var c triage.Case
		var answer struct {
			Expect *triage.Expect `json:"expect"`
		}
		if err := json.Unmarshal(raw, &c); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := json.Unmarshal(raw, &answer); err != nil || answer.Expect == nil {
			t.Fatalf("%s: no expected answer, %v", name, err)
		}
		if c.ID+".json.gz" != filepath.Base(name) || c.Source == nil || c.Source.Licence != "CC0-1.0" {
			t.Errorf("%s: id %s, source %+v", name, c.ID, c.Source)
		}
		e := answer.Expect
		if (len(e.Truth) == 0) == (e.NoneReason == "") {
			t.Errorf("%s: truth %v, none %q", c.ID, e.Truth, e.NoneReason)
		}
		for _, id := range e.Truth {
			if !slices.ContainsFunc(c.Changes, func(ch triage.Change) bool { return ch.ID == id }) {
				t.Errorf("%s: %s is not among what the report saw", c.ID, id)
			}
		}
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return strings.HasPrefix(c.ID, "office-"+s.name+"-") })
		if i < 0 {
			t.Errorf("%s is of no scenario", c.ID)
			continue
		}
		played[scenarios[i].name] = true
	}
	if len(played) < 15 {
		t.Errorf("the kept cases are of %d scenarios only", len(played))
	}
}
