package github

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// runChange is the Change of a workflow run that a rule calls a deploy. why says what it is when it is none (yet).
func (s *Source) runChange(r *repo, w *workflowRun, name string, now time.Time) (c triage.Change, why string) {
	rule, ok := r.workflow(cmp.Or(name, w.Name), w.file(), w.HeadBranch, w.Event)
	if !ok {
		return c, "workflow is not in deploy_workflows"
	}
	status := triage.StatusStarted
	switch w.Status {
	case "in_progress":
	case "completed":
		switch w.Conclusion {
		case "success", "neutral":
			status = triage.StatusSucceeded
		case "skipped", "stale", "action_required":
			return c, "run did nothing: " + clean(w.Conclusion)
		default:
			status = statusOf(w.Conclusion)
			if status == triage.StatusStarted { // a conclusion we do not know is not a success
				status = triage.StatusFailed
			}
		}
	default:
		return c, "run has not begun: " + clean(w.Status)
	}
	env := cmp.Or(rule.Environment, r.cfg.Environment)
	id := triage.ChangeID("github:" + r.cfg.Name + "/run/" + strconv.FormatInt(w.ID, 10))
	if w.RunAttempt > 1 {
		id += triage.ChangeID(fmt.Sprintf("/attempts/%d", w.RunAttempt))
	}
	c = triage.Change{
		ID: id, Source: s.cfg.Name, Kind: triage.KindDeploy, Status: status,
		Scope:     r.scope(env, rule.Service),
		StartedAt: w.start(), ObservedAt: now,
		Version: shortSHA(w.HeadSHA),
		Title:   firstLine(cmp.Or(w.DisplayTitle, w.Name, name)),
		URL:     cmp.Or(link(w.HTMLURL), fmt.Sprintf("%s/%s/actions/runs/%d", s.api.web, r.cfg.Name, w.ID)),
		Actor:   actor(w.TriggeringActor, w.Actor),
		Labels:  map[string]string{"repo": r.cfg.Name},
	}
	if rule.Service != "" {
		c.Service = clean(rule.Service)
	}
	if status.Terminal() {
		c.FinishedAt = w.UpdatedAt.Time
	}
	if saysRollback.MatchString(cmp.Or(name, w.Name)) || saysRollback.MatchString(w.file()) {
		c.Kind = triage.KindRollback
	}
	addRunRef(&c, r, w.ID, w.RunAttempt, c.URL)
	label(c.Labels, "sha", w.HeadSHA)
	label(c.Labels, "ref", w.HeadBranch)
	label(c.Labels, "workflow", cmp.Or(name, w.Name, w.file()))
	label(c.Labels, "environment", env)
	settle(&c, now)
	return c, ""
}

// releaseChange is the Change of a published release, where publishing is what deploys.
func (s *Source) releaseChange(r *repo, rel *release, now time.Time) (c triage.Change, why string) {
	switch {
	case !r.cfg.ReleaseIsDeploy:
		return c, "a release is no deploy here (release_is_deploy)"
	case rel.Draft || rel.at().IsZero():
		return c, "release is a draft"
	case rel.Prerelease && !r.cfg.Prereleases:
		return c, "release is a prerelease (prereleases)"
	}
	c = s.pointChange(r, rel.at(), now)
	c.ID = triage.ChangeID("github:" + r.cfg.Name + "/release/" + strconv.FormatInt(rel.ID, 10))
	c.Kind = triage.KindDeploy
	c.Version = clean(rel.TagName)
	c.Title = firstLine(cmp.Or(rel.Name, rel.TagName))
	c.URL = cmp.Or(link(rel.HTMLURL), s.api.web+"/"+r.cfg.Name+"/releases")
	c.Actor = actor(rel.Author)
	c.Refs = []triage.Ref{{System: "github-release", ID: fmt.Sprintf("%s#%d", r.cfg.Name, rel.ID), URL: c.URL}}
	label(c.Labels, "ref", rel.TagName)
	if isSHA(rel.TargetCommitish) {
		c.Labels["sha"] = rel.TargetCommitish
	}
	if rel.Prerelease {
		c.Labels["prerelease"] = "true"
	}
	return c, ""
}

// mergeChange is the Change of a merged pull request, where merging is what deploys.
func (s *Source) mergeChange(r *repo, p *pull, fallback string, now time.Time) (c triage.Change, why string) {
	switch {
	case p.MergedAt.IsZero():
		return c, "pull request was closed without merging"
	case !r.cfg.MergeIsDeploy:
		return c, "a merge is no deploy here (merge_is_deploy); its title is kept for the deployment"
	case !r.watches(p.Base.Ref, fallback):
		return c, "branch is not watched"
	}
	c = s.pointChange(r, p.MergedAt.Time, now)
	c.ID = triage.ChangeID("github:" + r.cfg.Name + "/pull/" + strconv.Itoa(p.Number))
	c.Kind = triage.KindDeploy
	c.Version = shortSHA(p.MergeSHA)
	c.Title = firstLine(p.Title)
	c.URL = cmp.Or(link(p.HTMLURL), fmt.Sprintf("%s/%s/pull/%d", s.api.web, r.cfg.Name, p.Number))
	c.Actor = actor(p.MergedBy, p.User)
	c.Size = triage.Size{Files: max(p.Changed, 0), Lines: max(p.Added+p.Deleted, 0)}
	c.Refs = []triage.Ref{{System: "github-pull", ID: fmt.Sprintf("%s#%d", r.cfg.Name, p.Number), URL: c.URL}}
	c.Labels["pr"] = strconv.Itoa(p.Number)
	label(c.Labels, "pr_titles", p.Title)
	label(c.Labels, "sha", p.MergeSHA)
	label(c.Labels, "ref", p.Base.Ref)
	return c, ""
}

// pointChange is a Change that is done the moment it happens: a push, a merge, a release.
func (s *Source) pointChange(r *repo, at, now time.Time) triage.Change {
	c := triage.Change{
		Source: s.cfg.Name, Status: triage.StatusSucceeded, Scope: r.scope(r.cfg.Environment, ""),
		StartedAt: at, FinishedAt: at, ObservedAt: now, Labels: map[string]string{"repo": r.cfg.Name},
	}
	label(c.Labels, "environment", r.cfg.Environment)
	settle(&c, now)
	return c
}

// push is one move of a branch, from a webhook or from the activity list.
type push struct {
	branch, before, after string
	at                    time.Time
	uncertainty           time.Duration // ± on at
	title                 string
	paths                 []string
	lines                 int  // 0: not known
	partial               bool // paths may be a part
	forced                bool
	actor                 string
}

// pushChanges are the Changes of a push: one per service whose files it touched. why says why there is none.
// A push is a config change where config_paths are applied_on_push, a migration where a migration path is, else a deploy where push_is_deploy.
// Files beside the configured ones do not make it less of a config change.
func (s *Source) pushChanges(r *repo, p push, now time.Time) (cs []triage.Change, why string) {
	if !r.cfg.AppliedOnPush && !r.cfg.PushIsDeploy {
		return nil, "a push is no change here (applied_on_push, push_is_deploy)"
	}
	services := make(map[string][]string) // "": the repository's own
	for _, path := range p.paths {
		sv := r.serviceOfPath(path)
		services[sv] = append(services[sv], path)
	}
	if len(p.paths) == 0 && r.cfg.PushIsDeploy {
		services[""] = nil // a deploy whatever the files
	}
	for _, service := range slices.Sorted(maps.Keys(services)) {
		paths := services[service]
		kind := triage.KindDeploy
		migrations, config := filterPaths(r.migrations, paths), filterPaths(r.config, paths)
		switch {
		case r.cfg.AppliedOnPush && len(migrations) > 0:
			kind, paths = triage.KindMigration, migrations
		case r.cfg.AppliedOnPush && len(config) > 0:
			kind, paths = triage.KindConfig, config
		case !r.cfg.PushIsDeploy:
			continue
		}
		c := s.pointChange(r, p.at, now)
		c.ID = pushID(r, p, service)
		c.Kind = kind
		if service != "" {
			c.Service = clean(service)
		}
		if p.uncertainty > 0 {
			c.TimeUncertaintyS = p.uncertainty.Seconds()
		}
		c.Version, c.PreviousVersion = shortSHA(p.after), shortSHA(p.before)
		c.Title = cmp.Or(firstLine(p.title), clean("push to "+p.branch))
		c.URL = fmt.Sprintf("%s/%s/compare/%s...%s", s.api.web, r.cfg.Name, shortest(p.before), shortest(p.after))
		c.Actor = p.actor
		c.Size = size(paths, p.lines, len(paths) == len(p.paths))
		c.Refs = []triage.Ref{{System: "github-push", ID: r.cfg.Name + "/" + p.branch + "@" + p.after, URL: c.URL}}
		label(c.Labels, "sha", p.after)
		label(c.Labels, "ref", p.branch)
		if len(migrations) > 0 {
			label(c.Labels, "migration_paths", strings.Join(migrations, ","))
		}
		if p.forced {
			c.Labels["forced"] = "true"
		}
		if p.partial {
			c.Labels["files_truncated"] = "true"
		}
		switch {
		case kind == triage.KindMigration:
			c.Reversible = triage.Reversible{Value: triage.ReversibleNo, Reason: "a migration: the schema does not come back with the code"}
		case !zeroSHA(p.before):
			c.Reversible = triage.Reversible{Value: triage.ReversibleYes, Reason: "the commit before it is known: " + shortSHA(p.before)}
		}
		cs = append(cs, c)
	}
	if len(cs) == 0 {
		return nil, "push touches no configured path"
	}
	return cs, ""
}

// pushID names a move of a branch by both ends, since a forced push may bring an earlier commit back.
func pushID(r *repo, p push, service string) triage.ChangeID {
	id := "github:" + r.cfg.Name + "/push/" + p.branch + "/" + shortest(p.before) + "..." + shortest(p.after)
	if service != "" {
		id += "/" + service
	}
	return triage.ChangeID(clean(id))
}

// shortest keeps a commit recognisable in ids and links.
func shortest(sha string) string { return sha[:min(len(sha), 12)] }

// size is the extent of a Change; lines count only where they are those of all the paths.
func size(paths []string, lines int, all bool) triage.Size {
	out := triage.Size{Files: len(paths)}
	if all {
		out.Lines = lines
	}
	for _, p := range paths[:min(len(paths), triage.MaxPaths)] {
		out.Paths = append(out.Paths, clean(p))
	}
	return out
}

// filesOf are the distinct files of a webhook's commits, in order.
func filesOf(commits []pushCommit) []string {
	var out []string
	seen := make(map[string]bool)
	for _, c := range commits {
		for _, list := range [][]string{c.Added, c.Modified, c.Removed} {
			for _, f := range list {
				if !seen[f] {
					seen[f] = true
					out = append(out, f)
				}
			}
		}
	}
	return out
}

// jobProgress is the progress of a deployment as the job that carries it out tells.
func jobProgress(j *workflowJob) (p progress, why string) {
	switch j.Status {
	case "in_progress":
		p.started = j.StartedAt.Time
	case "completed":
		if c := j.Conclusion; c == "skipped" || c == "stale" || c == "action_required" {
			return p, "job did nothing: " + c
		}
		p.started, p.finished = j.StartedAt.Time, j.CompletedAt.Time
		p.result = statusOf(j.Conclusion)
		if p.result == triage.StatusStarted {
			p.result = triage.StatusFailed
		}
	default:
		return p, "job has not begun: " + clean(j.Status)
	}
	return p, ""
}
