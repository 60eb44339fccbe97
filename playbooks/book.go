package playbooks

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// Book is a checked configuration. It is immutable and safe for concurrent use.
type Book struct {
	cfg   Config
	ready map[string]playbook
}

// New checks the configuration.
func New(cfg Config) (*Book, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Book{cfg: cfg, ready: readyMade()}, nil
}

// own names a rule that brings its own commands, and a service's own runbook.
const own = "own"

// Strip returns the steps without those of a playbook: what the ranking itself said.
func Strip(steps []triage.Instruction) []triage.Instruction {
	return slices.DeleteFunc(slices.Clone(steps), func(s triage.Instruction) bool { return s.Kind != triage.InstructDo })
}

// Apply returns the report with the steps of the playbook that fits its advice, right behind the step that names the action;
// of two that tie, with the steps of each behind the one that names it. The report given is not changed. Without advice to act
// on a change, or a playbook for it, the report stays as it is.
func (b *Book) Apply(r triage.Report, services map[string]triage.Service) triage.Report {
	rec := r.Recommendation
	if b != nil && len(rec.Either) > 0 {
		return b.applyEither(r, services)
	}
	if b == nil || rec.Verdict != triage.VerdictAct || rec.Target == nil || (!rec.Action.Reversal() && rec.Action != triage.ActionPauseRollout) {
		return r
	}
	i := slices.IndexFunc(r.Suspects, func(s triage.Suspect) bool { return s.Change != nil && s.Change.ID == rec.Target.ChangeID })
	if i < 0 {
		return r
	}
	more := b.Steps(rec, *r.Suspects[i].Change, services[r.Suspects[i].Change.Service])
	if len(more) == 0 {
		return r
	}
	steps := Strip(rec.Steps)
	at := slices.IndexFunc(steps, func(s triage.Instruction) bool { return s.Does == rec.Action }) + 1
	r.Recommendation.Steps = slices.Insert(steps, at, more...)
	return r
}

// applyEither is Apply for two that tie.
func (b *Book) applyEither(r triage.Report, services map[string]triage.Service) triage.Report {
	rec := r.Recommendation
	var out []triage.Instruction
	for _, step := range Strip(rec.Steps) {
		out = append(out, step)
		i := slices.IndexFunc(rec.Either, func(t triage.Target) bool { return t.ChangeID == step.Target })
		if i < 0 {
			continue
		}
		t := rec.Either[i]
		action := triage.ActionConfigRevert
		if t.Kind == triage.KindFlag {
			action = triage.ActionFlagOff
		}
		at := slices.IndexFunc(r.Suspects, func(s triage.Suspect) bool { return s.Change != nil && s.Change.ID == t.ChangeID })
		if at >= 0 {
			ch := *r.Suspects[at].Change
			for _, more := range b.Steps(triage.Recommendation{Verdict: triage.VerdictAct, Action: action, Target: &t}, ch, services[ch.Service]) {
				more.Target = t.ChangeID
				out = append(out, more)
			}
		}
	}
	r.Recommendation.Steps = out
	return r
}

// Steps are the command, what goes with it, the link and the runbook for one piece of advice, or why there is no command.
func (b *Book) Steps(rec triage.Recommendation, ch triage.Change, svc triage.Service) []triage.Instruction {
	rule, book, name, ok := b.find(ch)
	if !ok {
		if svc.Runbook == "" {
			return nil
		}
		return []triage.Instruction{{Kind: triage.InstructRunbook, URL: svc.Runbook, Playbook: own}}
	}
	values := b.values(rec, ch, rule)
	out, why := commands(rec, ch, svc, rule, book, values)
	if t := rec.Target; len(out) == 0 && why == "" && ch.Kind == triage.KindFlag && t != nil && len(book.Ways) > 0 {
		why = cmp.Or(values["name"], "it") + " goes back to " + cmp.Or(t.To, "its previous value, which is not known") + ", which is neither on nor off: set it by hand"
	}
	if why != "" {
		out = append(out, triage.Instruction{Kind: triage.InstructNoCommand, Text: why})
	}
	if t := cmp.Or(rule.Link, book.Link); t != "" {
		if u, err := link(t, values); err == nil {
			out = append(out, triage.Instruction{Kind: triage.InstructOpen, URL: u})
		}
	}
	if u := cmp.Or(rule.Runbook, svc.Runbook); u != "" {
		out = append(out, triage.Instruction{Kind: triage.InstructRunbook, URL: u})
	}
	for i := range out {
		out[i].Playbook = name
	}
	return out
}

// find is the first rule that fits, else the ready-made playbook of the tool that made the change, with what it is called.
func (b *Book) find(ch triage.Change) (rule Rule, book playbook, name string, ok bool) {
	in := func(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }
	for _, r := range b.cfg.Rules {
		if in(r.Services, ch.Service) && in(r.Environments, ch.Environment) && (len(r.Kinds) == 0 || slices.Contains(r.Kinds, ch.Kind)) {
			return r, b.ready[r.Use], cmp.Or(r.Use, own), true
		}
	}
	if !b.cfg.Detect {
		return Rule{}, playbook{}, "", false
	}
	prefix, _, _ := strings.Cut(string(ch.ID), ":")
	for _, name := range slices.Sorted(maps.Keys(b.ready)) {
		p := b.ready[name]
		if !slices.Contains(p.Kinds, ch.Kind) {
			continue
		}
		if slices.Contains(p.Systems, prefix) || slices.ContainsFunc(ch.Refs, func(r triage.Ref) bool { return slices.Contains(p.Systems, r.System) }) {
			return Rule{}, p, name, true
		}
	}
	return Rule{}, playbook{}, "", false
}

// commands renders the first way whose conditions hold; why says why there is none.
func commands(rec triage.Recommendation, ch triage.Change, svc triage.Service, rule Rule, book playbook, values map[string]string) (lines []triage.Instruction, why string) {
	ways := book.Ways
	if len(rule.Commands) > 0 {
		ways = []way{{GitOps: cmp.Or(rule.GitOps, GitOpsLive), Commands: rule.Commands}}
	}
	synced, owned := svc.AutoSync, "auto-sync is on"
	if book.Owned {
		yes := true
		synced, owned = &yes, "Flux applies what is in Git"
	}
	// What stands in the way is told for the last way that fitted: the most general one.
	for _, w := range ways {
		if !suits(w, rec, ch) {
			continue
		}
		if block := gitops(w.GitOps, synced, owned, ch.Service); block != "" {
			if why == "" || w.GitOps == GitOpsLive {
				why = block
			}
			continue
		}
		var out []triage.Instruction
		err := error(nil)
		for _, args := range w.Commands {
			var line string
			if line, err = command(args, values); err != nil {
				break
			}
			out = append(out, triage.Instruction{Kind: triage.InstructRun, Command: line})
		}
		if err != nil {
			why = err.Error()
			continue
		}
		if w.Note != "" {
			if note, err := fill(w.Note, values, func(_, v string) string { return v }); err == nil {
				out = append(out, triage.Instruction{Kind: triage.InstructNote, Text: note})
			}
		}
		return out, ""
	}
	return nil, why
}

// suits reports whether a way is meant for this advice.
func suits(w way, rec triage.Recommendation, ch triage.Change) bool {
	pausing := slices.Contains(w.Actions, triage.ActionPauseRollout)
	if pausing != (rec.Action == triage.ActionPauseRollout) {
		return false
	}
	if w.OnlyLast && len(rec.AlsoUndoes) > 0 {
		return false
	}
	switch w.To {
	case "":
		return true
	case "running":
		return ch.Status == triage.StatusStarted
	}
	to := rec.Target.To
	if to == "" {
		to = cmp.Or(ch.Labels["from"], ch.PreviousVersion)
	}
	return switched(to) == w.To
}

var (
	offWords = regexp.MustCompile(`(?i)^(off|false|disabled|0|0 ?%)$`)
	onWords  = regexp.MustCompile(`(?i)^(on|true|enabled|100 ?%)$`)
)

// switched reads a flag's value as on or off; anything between is neither, and is set by hand.
func switched(v string) string {
	switch {
	case offWords.MatchString(v):
		return "off"
	case onWords.MatchString(v):
		return "on"
	}
	return ""
}

// gitops says why a way must not be given, "" where it may.
func gitops(g GitOps, synced *bool, owned, service string) string {
	switch {
	case g == GitOpsNone:
		return ""
	case synced == nil:
		return "whether a GitOps controller owns " + cmp.Or(service, "it") + " is not known (services: auto_sync); what is undone by hand might be applied again"
	case g == GitOpsLive && *synced:
		return owned + ": what is undone by hand would be applied again; revert in the repository, or suspend the sync first"
	case g == GitOpsGit && !*synced:
		return "no controller applies the repository here"
	}
	return ""
}

var hexSHA = regexp.MustCompile(`(?:^|[:@])([0-9a-f]{7,40})$`)

// values are what templates may use: the target, the change's scope and labels, and the rule's own values, which win.
func (b *Book) values(rec triage.Recommendation, ch triage.Change, rule Rule) map[string]string {
	t := triage.Target{}
	if rec.Target != nil {
		t = *rec.Target
	}
	v := map[string]string{
		"service": ch.Service, "environment": ch.Environment, "region": ch.Region, "cluster": ch.Cluster, "namespace": ch.Namespace,
		"name": cmp.Or(ch.Labels["flag"], t.Name), "from": cmp.Or(t.From, ch.Version), "to": cmp.Or(t.To, ch.PreviousVersion),
		"context": b.cfg.Contexts[ch.Cluster],
	}
	for k, x := range ch.Labels {
		v["label."+k] = x
	}
	for _, k := range [...]string{"sha", "revision"} {
		if m := hexSHA.FindStringSubmatch(ch.Labels[k]); m != nil && v["git_sha"] == "" {
			v["git_sha"] = m[1]
		}
	}
	for _, k := range [...]string{"owner", "object"} {
		parts := strings.Split(ch.Labels[k], "/")
		if kind := map[string]string{"Kustomization": "kustomization", "HelmRelease": "helmrelease"}[parts[0]]; kind != "" && v["flux_kind"] == "" {
			v["flux_kind"], v["flux_name"], v["flux_namespace"] = kind, parts[len(parts)-1], ch.Namespace
			if len(parts) == 3 {
				v["flux_namespace"] = parts[1]
			}
		}
	}
	maps.Copy(v, rule.Values)
	return v
}
