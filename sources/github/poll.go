package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// pollRepo reads everything that is configured of one repository, hands over what is new, and only then moves the cursor.
// A part that fails does not hide the others; its own cursor stays where it got to.
func (s *Source) pollRepo(ctx context.Context, r *repo, emit triage.Emit) error {
	old := s.loadState(ctx, r)
	now := s.now().UTC()
	cutoff := now.Add(-time.Duration(s.cfg.Backfill))
	b := &batch{st: old.clone(), now: now}

	parts := []struct {
		wanted bool
		poll   func(context.Context, *repo, *batch, time.Time) error
	}{
		{r.cfg.deployments(), s.pollDeployments},
		{len(r.cfg.DeployWorkflows) > 0, s.pollRuns},
		{r.cfg.AppliedOnPush || r.cfg.PushIsDeploy, s.pollPushes},
		{r.cfg.MergeIsDeploy, s.pollMerges},
		{r.cfg.ReleaseIsDeploy, s.pollReleases},
	}
	var errs []error
	for _, p := range parts {
		if !p.wanted {
			continue
		}
		err := p.poll(ctx, r, b, cutoff)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			continue
		}
		errs = append(errs, err)
		if _, limited := errors.AsType[*LimitError](err); limited {
			break
		}
	}
	b.st.prune(cutoff.Add(-openOverlap))
	if err := s.deliver(ctx, emit, s.checked(b.changes)); err != nil {
		return errors.Join(append(errs, err)...)
	}
	if !b.st.equal(old) {
		r.replace(b.st)
		s.saveState(ctx, r, b.st)
	}
	return errors.Join(errs...)
}

// odd sets a list's element aside, once: it stays in the list for many polls.
func (s *Source) odd(ctx context.Context, b *batch, origin string, raw json.RawMessage, err error) {
	h := fnv.New64a()
	_, _ = h.Write(raw)
	id := triage.ChangeID("odd:" + strconv.FormatUint(h.Sum64(), 36))
	if b.settled(id) {
		return
	}
	b.note(id, b.now)
	s.quarantine(ctx, origin, raw, err)
}

// each reads one list and calls f for every element until f says to stop or the pages end.
func (s *Source) each(ctx context.Context, b *batch, path, key, permission string, f func(json.RawMessage) (more bool, err error)) error {
	for page, n := 1, 0; page > 0 && n < maxPages; n++ {
		items, next, err := s.api.list(ctx, path, key, permission, page)
		if err != nil {
			return err
		}
		page = next
		for _, item := range items {
			more, err := f(item)
			if err != nil {
				if stops(err) {
					return err
				}
				s.odd(ctx, b, "GET "+path, item, err)
			}
			if !more {
				page = 0
			}
		}
	}
	return nil
}

// decode reads one element of a list; its error lets the others pass.
func decode[T any](raw json.RawMessage, what string) (T, error) {
	var v T
	if err := unmarshal(raw, &v); err != nil {
		return v, &oddAnswer{fmt.Errorf("%s: %w", what, err)}
	}
	return v, nil
}

// pollRuns reads the runs of the deploy workflows. Where every rule is a file name, only those files' runs are asked for: other
// workflows then do not disturb the free polls.
func (s *Source) pollRuns(ctx context.Context, r *repo, b *batch, cutoff time.Time) error {
	base := "repos/" + r.cfg.Name + "/actions/"
	seen := make(map[int64]bool)
	for _, p := range runLists(r.cfg.DeployWorkflows) {
		err := s.each(ctx, b, base+p, "workflow_runs", "Actions: read", func(raw json.RawMessage) (bool, error) {
			w, err := decode[workflowRun](raw, "workflow run")
			if err != nil {
				return true, err
			}
			seen[w.ID] = true
			known := s.offerRun(r, b, &w, cutoff)
			return !known && !w.CreatedAt.Before(cutoff), nil
		})
		if err != nil {
			return fmt.Errorf("list workflow runs: %w", err)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.st.Runs)) { // runs that were under way and have left the list
		if seen[id] {
			continue
		}
		var w workflowRun
		err := s.api.get(ctx, base+"runs/"+strconv.FormatInt(id, 10), "Actions: read", &w)
		switch {
		case isStatus(err, 404, 410):
			delete(b.st.Runs, id)
		case err != nil:
			return fmt.Errorf("get workflow run %d: %w", id, err)
		default:
			s.offerRun(r, b, &w, cutoff)
		}
	}
	return nil
}

// offerRun offers a run's Change, and reports whether the run was handled in an earlier poll.
func (s *Source) offerRun(r *repo, b *batch, w *workflowRun, cutoff time.Time) (known bool) {
	if w.ID <= 0 || w.start().Before(cutoff) {
		return false
	}
	c, why := s.runChange(r, w, "", b.now)
	if why != "" {
		return false
	}
	known = b.settled(c.ID)
	b.offer(c, c.StartedAt)
	if c.Status.Terminal() {
		delete(b.st.Runs, w.ID)
	} else {
		b.st.Runs[w.ID] = c.StartedAt
	}
	return known
}

// runLists are the lists to read for a set of rules.
func runLists(ws []Workflow) []string {
	var out []string
	for _, w := range ws {
		file := path.Base(w.Match)
		ext := path.Ext(file)
		if strings.ContainsAny(w.Match, "*?[") || ext != ".yml" && ext != ".yaml" {
			return []string{"runs"}
		}
		out = append(out, "workflows/"+file+"/runs")
	}
	return out
}

// pollReleases reads published releases.
func (s *Source) pollReleases(ctx context.Context, r *repo, b *batch, cutoff time.Time) error {
	err := s.each(ctx, b, "repos/"+r.cfg.Name+"/releases", "", "Contents: read", func(raw json.RawMessage) (bool, error) {
		rel, err := decode[release](raw, "release")
		if err != nil || rel.at().IsZero() {
			return true, err
		}
		if rel.at().Before(cutoff) {
			return false, nil
		}
		if c, why := s.releaseChange(r, &rel, b.now); why == "" {
			b.offer(c, rel.at())
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("list releases: %w", err)
	}
	return nil
}

// pollMerges reads closed pull requests by their last update, which a merge is.
func (s *Source) pollMerges(ctx context.Context, r *repo, b *batch, cutoff time.Time) error {
	fallback, err := s.branch(ctx, r)
	if err != nil {
		return err
	}
	p := "repos/" + r.cfg.Name + "/pulls?state=closed&sort=updated&direction=desc"
	err = s.each(ctx, b, p, "", "Pull requests: read", func(raw json.RawMessage) (bool, error) {
		pr, err := decode[struct {
			pull
			UpdatedAt time.Time `json:"updated_at"`
		}](raw, "pull request")
		if err != nil {
			return true, err
		}
		if pr.UpdatedAt.Before(cutoff) {
			return false, nil
		}
		if pr.MergedAt.IsZero() || pr.MergedAt.Before(cutoff) {
			return true, nil
		}
		c, why := s.mergeChange(r, &pr.pull, fallback, b.now)
		if why != "" {
			return true, nil
		}
		known := b.settled(c.ID)
		b.offer(c, pr.MergedAt.Time)
		return !known, nil
	})
	if err != nil {
		return fmt.Errorf("list pull requests: %w", err)
	}
	return nil
}

const branchFresh = time.Hour // between two looks at a repository's default branch

// branch is the repository's default branch; not asked for where the configuration names branches.
func (s *Source) branch(ctx context.Context, r *repo) (string, error) {
	if len(r.cfg.Branches) > 0 {
		return "", nil
	}
	name, at := r.defaultBranch()
	now := s.now()
	if name != "" && now.Sub(at) < branchFresh {
		return name, nil
	}
	var info struct {
		DefaultBranch string `json:"default_branch"`
	}
	err := s.api.get(ctx, "repos/"+r.cfg.Name, "Metadata: read", &info)
	if err != nil || info.DefaultBranch == "" {
		if name != "" {
			return name, nil // the old answer is better than none
		}
		if err == nil {
			err = &oddAnswer{errors.New("default_branch is missing")}
		}
		return "", fmt.Errorf("get repository: %w", err)
	}
	r.setBranch(info.DefaultBranch, now)
	return info.DefaultBranch, nil
}
