package try

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// look reads what there is: metrics in use, rules, calls, what fired, what changed.
func (t *trial) look(ctx context.Context) error {
	var err error
	t.bar.show("what there is", 0)
	if t.survey, err = t.source.Survey(ctx); err != nil {
		return fmt.Errorf("%w\n  Is the URL right, and may this machine reach it? Credentials go into --http.config.file, or into the URL", err)
	}
	t.notes = append(t.notes, t.survey.Notes...)
	services := make(map[string]triage.Service, len(t.survey.Services))
	for _, s := range t.survey.Services {
		services[s] = triage.Service{}
	}
	t.dir = triage.NewDirectory(services, nil)
	t.source.SetDirectory(t.dir)
	if t.topology, err = t.source.ReadTopology(ctx); err != nil {
		t.missed("the call graph", err)
	}
	if err := t.fired(ctx); err != nil {
		return err
	}
	if len(t.grouped) > 0 {
		t.changed(ctx)
	}
	return nil
}

func (t *trial) missed(what string, err error) {
	t.notes = append(t.notes, fmt.Sprintf("%s could not be read: %v", what, err))
}

// fired reads what fired and groups what pages.
func (t *trial) fired(ctx context.Context) error {
	firings, err := t.source.Firings(ctx, t.from, t.to, func(done float64) { t.bar.show("what fired", done*.3) })
	if err != nil && len(firings) == 0 {
		return fmt.Errorf("read what fired: %w", err)
	}
	if err != nil {
		t.missed("part of what fired", err)
	}
	t.firings = slices.DeleteFunc(firings, func(a triage.Alert) bool {
		// What fired already when the time begins has no beginning here.
		return t.ignore.Any(a.Labels) || a.StartsAt.Sub(t.from) <= 2*time.Minute
	})
	// Of alerts that fired in the same moment the ranking takes the first by key as the symptom; so must the page.
	slices.SortStableFunc(t.firings, func(a, b triage.Alert) int {
		return cmp.Or(a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.Key(), b.Key()))
	})
	var pods []string
	for _, a := range t.firings {
		for _, l := range []string{"pod", "exported_pod"} {
			if a.Labels[l] != "" {
				pods = append(pods, a.Labels[l])
			}
		}
	}
	if t.owners, err = t.source.OwnersOf(ctx, pods, t.from, t.to); err != nil {
		t.missed("which workloads own the pods that fired", err)
	}
	paging := t.paging(ctx)
	if len(paging) == 0 && len(t.firings) > 0 && len(t.o.Pages) == 0 {
		t.notes = append(t.notes, fmt.Sprintf("nothing of severity page or critical fired, so all %d firings are taken as pages; --pages says which are", len(t.firings)))
		t.pages, paging = nil, t.firings
	}
	t.grouped = group(paging, t.topology, t.subject)
	return nil
}

// paging are the firings that page: by Alertmanager's routes where these are known, else by their labels.
func (t *trial) paging(ctx context.Context) []triage.Alert {
	pages := func(ls map[string]string) bool { return t.pages.All(ls) }
	if t.o.Alertmanager != "" && len(t.o.Pages) == 0 {
		if routed, err := t.routed(ctx); err != nil {
			t.missed("Alertmanager's routes", err)
		} else if routed != nil {
			pages = routed
		}
	}
	var out []triage.Alert
	for _, a := range t.firings {
		if pages(a.Labels) {
			out = append(out, a)
		}
	}
	return out
}

// changed collects the changes: those that metrics show, and those given besides.
func (t *trial) changed(ctx context.Context) {
	var all []triage.Change
	const chunk = 24 * time.Hour
	for start := t.from; start.Before(t.to) && ctx.Err() == nil; start = start.Add(chunk) {
		end := start.Add(chunk)
		if end.After(t.to) {
			end = t.to
		}
		t.bar.show("what changed", .3+.4*float64(start.Sub(t.from))/float64(t.to.Sub(t.from)))
		cs, err := t.source.Changes(ctx, start, end)
		all = append(all, cs...)
		if err != nil && ctx.Err() == nil {
			t.missed("part of the changes of "+start.Format("2006-01-02"), err)
		}
	}
	measured := len(all)
	var err error
	if t.states, err = t.source.Conditions(ctx, t.from, t.to); err != nil && ctx.Err() == nil {
		t.missed("part of the conditions of autoscalers, rollouts and certificates", err)
	}
	if t.o.ChangesFile != "" {
		cs, err := readChanges(t.o.ChangesFile)
		if err != nil {
			t.missed(t.o.ChangesFile, err)
		}
		all = append(all, cs...)
	}
	if len(t.o.GitHub) > 0 {
		cs, err := t.github(ctx)
		if err != nil {
			t.missed("GitHub", err)
		}
		all = append(all, cs...)
	}
	all = append(all[:measured], t.sameEnvironment(all[:measured], all[measured:])...)
	for i := range all {
		if name, rule := t.dir.Resolve(all[i].Service); rule != triage.NameUnknown {
			all[i].Service = name
		}
		all[i].Environment = t.dir.Environment(all[i].Environment)
	}
	if len(t.o.GitHub) > 0 || t.o.ChangesFile != "" { // metrics alone say everything once
		one, err := fold(ctx, all)
		if err != nil {
			t.missed("which changes are the same", err)
		} else {
			all = one
		}
	}
	t.known = newPast(all)
}

// sameEnvironment fits what others say to the metrics: where these name no environment they are of one, taken to be production, and
// what happened elsewhere is left out.
func (t *trial) sameEnvironment(measured, more []triage.Change) []triage.Change {
	if slices.ContainsFunc(measured, func(c triage.Change) bool { return c.Environment != "" }) {
		return more
	}
	var out []triage.Change
	for _, c := range more {
		if env := t.dir.Environment(c.Environment); env == "" || env == "production" {
			c.Environment = ""
			out = append(out, c)
		}
	}
	return out
}

// readChanges reads one Change a line, strictly, as POST /api/v1/changes takes it.
func readChanges(path string) ([]triage.Change, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	var out []triage.Change
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		c, err := triage.DecodeChange(lines.Bytes(), fmt.Sprintf("line %d", n))
		if err != nil {
			return out, err
		}
		if c.Source == "" {
			c.Source = "changes file"
		}
		if c.ID == "" {
			c.ID = c.DeriveID()
		}
		out = append(out, c)
	}
	return out, lines.Err()
}

// subject is what an alert is about and where it lives, exactly as the daemon has it.
func (t *trial) subject(ls map[string]string) (triage.Scope, string) {
	s := triage.SubjectOf(ls, t.owners)
	scope, _ := triage.ScopeOf(ls, s, t.dir)
	return scope, s.From
}
