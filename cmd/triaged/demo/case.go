package demo

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/testdata/cases"
	"github.com/triaged-dev/triaged/triage"
)

// maxCase bounds a case file, unpacked.
const maxCase = 64 << 20

// Names lists the cases that come with the program.
func Names() []string {
	entries, err := cases.Demo.ReadDir("demo")
	if err != nil {
		return nil // embedded: cannot happen
	}
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(strings.TrimPrefix(e.Name(), "demo-"), ".json.gz"))
	}
	return out
}

// readCase reads a case by its name or from a file, and beside it the right answer, which the daemon never gets to see.
func readCase(name string) (triage.Case, triage.Expect, error) {
	var c triage.Case
	var right struct {
		Expect triage.Expect `json:"expect"`
	}
	open := func() (io.ReadCloser, error) { return os.Open(name) }
	packed := strings.HasSuffix(name, ".gz")
	if slices.Contains(Names(), name) {
		open = func() (io.ReadCloser, error) { return cases.Demo.Open("demo/demo-" + name + ".json.gz") }
		packed = true
	} else if filepath.Ext(name) == "" {
		return c, right.Expect, fmt.Errorf("no case %q; there are %s, or name a case file", name, strings.Join(Names(), ", "))
	}
	f, err := open()
	if err != nil {
		return c, right.Expect, fmt.Errorf("read case: %w", err)
	}
	defer f.Close()
	var r io.Reader = f
	if packed {
		zr, err := gzip.NewReader(f)
		if err != nil {
			return c, right.Expect, fmt.Errorf("read case %s: %w", name, err)
		}
		r = zr
	}
	data, err := io.ReadAll(io.LimitReader(r, maxCase))
	if err != nil {
		return c, right.Expect, fmt.Errorf("read case %s: %w", name, err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, right.Expect, fmt.Errorf("read case %s: %w", name, err)
	}
	if err := json.Unmarshal(data, &right); err != nil {
		return c, right.Expect, fmt.Errorf("read case %s: %w", name, err)
	}
	if len(c.Alerts) == 0 {
		return c, right.Expect, fmt.Errorf("case %s has no alert to fire", name)
	}
	return c, right.Expect, nil
}

// shifted returns the case with every time moved by d. Series are moved when they are loaded.
func shifted(c triage.Case, d time.Duration) triage.Case {
	move := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return t.Add(d).UTC()
	}
	alert := func(a triage.Alert) triage.Alert {
		a.StartsAt, a.ActiveAt, a.EndsAt, a.ReceivedAt = move(a.StartsAt), move(a.ActiveAt), move(a.EndsAt), move(a.ReceivedAt)
		return a
	}
	change := func(ch triage.Change) triage.Change {
		ch.StartedAt, ch.FinishedAt, ch.ObservedAt = move(ch.StartedAt), move(ch.FinishedAt), move(ch.ObservedAt)
		ch.Steps = slices.Clone(ch.Steps)
		for i := range ch.Steps {
			ch.Steps[i].At = move(ch.Steps[i].At)
		}
		return ch
	}
	c.ReportAt = move(c.ReportAt)
	c.Changes, c.Alerts, c.Events = slices.Clone(c.Changes), slices.Clone(c.Alerts), slices.Clone(c.Events)
	for i := range c.Changes {
		c.Changes[i] = change(c.Changes[i])
	}
	for i := range c.Alerts {
		c.Alerts[i] = alert(c.Alerts[i])
	}
	for i, e := range c.Events {
		e.At = move(e.At)
		if e.Change != nil {
			ch := change(*e.Change)
			e.Change = &ch
		}
		if e.Alert != nil {
			a := alert(*e.Alert)
			e.Alert = &a
		}
		c.Events[i] = e
	}
	return c
}
