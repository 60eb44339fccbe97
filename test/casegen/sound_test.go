package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// caseFile is all that may stand in a file.
type caseFile struct {
	triage.Case
	Expect triage.Expect `json:"expect"`
}

func readCases(t *testing.T) map[string]caseFile {
	t.Helper()
	out, err := readOnce()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// readOnce decodes every case once for all tests, refusing unknown fields.
var readOnce = sync.OnceValues(func() (map[string]caseFile, error) {
	out := make(map[string]caseFile)
	for _, set := range []string{"incidents", "heldout", "types"} {
		files, err := filepath.Glob(filepath.Join(casesDir, set, "*.json.gz"))
		if err != nil || len(files) == 0 {
			return nil, fmt.Errorf("no cases in %s (%w)", set, err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			if data, err = gunzip(data); err != nil {
				return nil, err
			}
			dec := json.NewDecoder(bytes.NewReader(data))
			dec.DisallowUnknownFields()
			var c caseFile
			if err := dec.Decode(&c); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if _, err := dec.Token(); !errors.Is(err, io.EOF) {
				return nil, fmt.Errorf("%s: more than one value", name)
			}
			if want := strings.TrimSuffix(filepath.Base(name), ".json.gz"); c.ID != want {
				return nil, fmt.Errorf("%s: id is %s", name, c.ID)
			}
			out[set+"/"+c.ID] = c
		}
	}
	return out, nil
})

func TestCasesAreSound(t *testing.T) {
	for name, c := range readCases(t) {
		t.Run(name, func(t *testing.T) {
			if c.Schema != triage.CaseSchema || len(c.Alerts) == 0 || len(c.Synthetic) == 0 || len(c.Expect.Action) == 0 || c.Expect.Onset == nil {
				t.Fatal("schema, alert, synthetic, action or onset is missing")
			}
			checkChanges(t, c)
			checkExpect(t, c)
			for _, s := range c.Series {
				checkSeries(t, c, s)
			}
			if strings.Contains(name, "-nometrics") != (len(c.Series) == 0) {
				t.Errorf("%d series", len(c.Series))
			}
			if n := len(c.Changes); n < 1 || n > 60 {
				t.Errorf("%d changes", n)
			}
		})
	}
}

func checkChanges(t *testing.T, c caseFile) {
	t.Helper()
	report := c.ReportTime()
	ids := make(map[triage.ChangeID]bool)
	for _, ch := range c.Changes {
		if err := ch.Validate(string(ch.ID)); err != nil {
			t.Error(err)
		}
		if ids[ch.ID] {
			t.Errorf("%s twice", ch.ID)
		}
		ids[ch.ID] = true
		if ch.FinishedAt.After(report) {
			t.Errorf("%s ends at %v, which nobody can know at the report time %v", ch.ID, ch.FinishedAt, report)
		}
		for _, s := range ch.Steps {
			if s.At.After(report) {
				t.Errorf("%s has a step at %v, after the report time %v", ch.ID, s.At, report)
			}
		}
	}
	for _, e := range c.Events {
		if e.At.Before(report) || (e.Change == nil) == (e.Alert == nil && e.Series == nil) {
			t.Errorf("event at %v: before the report, or not exactly one thing", e.At)
		}
		if e.Change != nil {
			if err := e.Change.Validate(string(e.Change.ID)); err != nil {
				t.Error(err)
			}
		}
	}
	if c.Source == nil && !strings.HasPrefix(c.ID, "type-") {
		t.Error("a published incident without its source")
	}
	if c.Source != nil && (!strings.HasPrefix(c.Source.URL, "https://") || c.Source.Licence == "") {
		t.Errorf("source is %+v", *c.Source)
	}
}

func checkExpect(t *testing.T, c caseFile) {
	t.Helper()
	known := make(map[triage.ChangeID]triage.Change)
	for _, ch := range c.Changes {
		known[ch.ID] = ch
	}
	x := c.Expect
	if (len(x.Truth) == 0) != (x.NoneReason != "") {
		t.Errorf("truth %v beside none_reason %q", x.Truth, x.NoneReason)
	}
	for _, id := range slices.Concat(x.Truth, x.Latent) {
		if _, ok := known[id]; !ok {
			t.Errorf("truth or latent %s is not among the changes", id)
		}
	}
	for _, u := range x.Unsafe {
		if _, ok := known[u.ID]; !ok || u.Reason == "" {
			t.Errorf("unsafe %+v", u)
		}
	}
	for _, id := range x.Truth {
		if ch := known[id]; ch.OccurredAt().After(x.Onset.Latest) && ch.StartedAt.After(x.Onset.Latest) {
			t.Errorf("%s began at %v, after the onset", id, ch.OccurredAt())
		} else if ch.ObservedAt.After(c.ReportTime()) {
			t.Errorf("%s cannot be known at the report time", id)
		}
	}
	a := c.Alerts[0]
	if x.Onset.Earliest.After(a.StartsAt) || x.Onset.Latest.After(a.StartsAt) || (!a.ActiveAt.IsZero() && a.ActiveAt.Before(x.Onset.Earliest)) {
		t.Errorf("onset %v–%v does not fit the alert at %v, active at %v", x.Onset.Earliest, x.Onset.Latest, a.StartsAt, a.ActiveAt)
	}
	if !x.RecoveredAt.IsZero() && x.RecoveredAt.Before(a.StartsAt) {
		t.Errorf("recovered at %v, before the alert", x.RecoveredAt)
	}
	if x.UndoOf != "" && !slices.ContainsFunc(c.Events, func(e triage.CaseEvent) bool {
		return e.Change != nil && slices.Contains(e.Change.Undoes, x.UndoOf)
	}) {
		t.Errorf("nothing undoes %s", x.UndoOf)
	}
}

func checkSeries(t *testing.T, c caseFile, s triage.Series) {
	t.Helper()
	if _, err := triage.ParseSignal(string(s.Signal)); err != nil {
		t.Error(err)
	}
	if s.Labels["service"] == "" || s.StepS <= 0 || (s.Stamp != triage.StampStart && s.Stamp != triage.StampEnd) {
		t.Errorf("%s: labels %v, step %v, stamp %q", s.Metric, s.Labels, s.StepS, s.Stamp)
	}
	samples := 0
	for _, v := range s.Values {
		if !math.IsNaN(v) {
			samples++
		}
		if v < 0 {
			t.Errorf("%s of %s is negative: %v", s.Metric, s.Labels["service"], v)
		}
	}
	if samples == 0 && s.Labels["version"] == "" {
		t.Errorf("%s of %s has no sample", s.Metric, s.Labels["service"])
	}
}
