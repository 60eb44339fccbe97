package github

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// committed is the newest commit of a comparison: the only clock there is where the activity list is not to be had.
type committed struct {
	date     time.Time
	byGitHub bool // GitHub made the commit itself, on merging: its date is the merge's
	title    string
}

// pollPushes reads the moves of the watched branches from the repository's activity list, which has their exact times. Servers
// that do not know it are asked for the branch's head instead: then pushes between two polls are one, and its time is uncertain.
func (s *Source) pollPushes(ctx context.Context, r *repo, b *batch, cutoff time.Time) error {
	fallback, err := s.branch(ctx, r)
	if err != nil {
		return err
	}
	err = s.pollActivity(ctx, r, b, cutoff, fallback)
	if isStatus(err, 404, 403, 410) {
		return s.pollHeads(ctx, r, b, fallback)
	}
	if err != nil {
		return fmt.Errorf("list repository activity: %w", err)
	}
	return nil
}

func (s *Source) pollActivity(ctx context.Context, r *repo, b *batch, cutoff time.Time, fallback string) error {
	p := "repos/" + r.cfg.Name + "/activity"
	if one := onlyBranch(r, fallback); one != "" {
		p += "?ref=" + url.QueryEscape("refs/heads/"+one)
	}
	items, _, err := s.api.list(ctx, p, "", "Contents: read", 1) // pages by cursor, 100 moves are enough between two polls
	if err != nil {
		return err
	}
	for _, item := range items {
		a, err := decode[activity](item, "activity")
		if err == nil && a.Timestamp.IsZero() {
			err = &oddAnswer{errors.New("activity: timestamp is missing")}
		}
		if err != nil {
			s.odd(ctx, b, "GET "+p, item, err)
			continue
		}
		if a.Timestamp.Before(cutoff) {
			break
		}
		branch, isBranch := strings.CutPrefix(a.Ref, "refs/heads/")
		if !isBranch || !r.watches(branch, fallback) || zeroSHA(a.Before) || zeroSHA(a.After) {
			continue
		}
		switch a.Type {
		case "push", "force_push", "pr_merge", "merge_queue_merge":
		default:
			continue
		}
		mv := push{branch: branch, before: a.Before, after: a.After, at: a.Timestamp.Time, forced: a.Type == "force_push", actor: actor(a.Actor)}
		if err := s.offerPush(ctx, r, b, mv); err != nil {
			if stops(err) {
				return err
			}
			s.log.Debug("push left out; it is tried again", "repo", r.cfg.Name, "err", err)
		}
	}
	return nil
}

// onlyBranch is the one branch to ask for, where it is one.
func onlyBranch(r *repo, fallback string) string {
	switch {
	case len(r.cfg.Branches) == 0:
		return fallback
	case len(r.cfg.Branches) == 1 && !strings.ContainsAny(r.cfg.Branches[0], "*?["):
		return r.cfg.Branches[0]
	}
	return ""
}

// offerPush asks which files a move touched, once, and offers its Changes.
func (s *Source) offerPush(ctx context.Context, r *repo, b *batch, mv push) error {
	mark := pushID(r, mv, "") + "?"
	if b.settled(mark) {
		return nil
	}
	diff, err := s.compare(ctx, r, mv.before, mv.after)
	if err != nil {
		return err
	}
	mv.title, mv.paths, mv.lines, mv.partial = diff.at.title, diff.paths, diff.lines, diff.partial
	if diff.status == "behind" { // a forced push back: what it takes away is what lies in the other direction
		if diff, err = s.compare(ctx, r, mv.after, mv.before); err != nil {
			return err
		}
		mv.title = "back to " + shortSHA(mv.after)
		mv.paths, mv.lines, mv.partial = diff.paths, diff.lines, diff.partial
	}
	cs, _ := s.pushChanges(r, mv, b.now)
	for _, c := range cs {
		if len(diff.prs) > 0 {
			labelPulls(&c, diff.prs)
		}
		b.offer(c, mv.at)
	}
	b.note(mark, mv.at)
	return nil
}

// pollHeads compares each branch's head with the one of the last poll. The first poll only remembers it.
func (s *Source) pollHeads(ctx context.Context, r *repo, b *batch, fallback string) error {
	branches := r.cfg.Branches
	if len(branches) == 0 {
		branches = []string{fallback}
	}
	var errs []error
	for _, branch := range branches {
		if strings.ContainsAny(branch, "*?[") {
			errs = append(errs, fmt.Errorf("branches: %q: this server has no activity list, so branches must be named", branch))
			continue
		}
		if err := s.pollHead(ctx, r, b, branch); err != nil {
			errs = append(errs, fmt.Errorf("head of %s: %w", branch, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Source) pollHead(ctx context.Context, r *repo, b *batch, branch string) error {
	var ref struct {
		Object struct {
			SHA string `json:"sha"`
		} `json:"object"`
	}
	if err := s.api.get(ctx, "repos/"+r.cfg.Name+"/git/ref/heads/"+escapePath(branch), "Contents: read", &ref); err != nil {
		return err
	}
	sha := ref.Object.SHA
	if !isSHA(sha) {
		return &oddAnswer{errors.New("object.sha is no commit")}
	}
	was, known := b.st.Heads[branch]
	if known && was.SHA != sha {
		mv := push{branch: branch, before: was.SHA, after: sha}
		diff, err := s.compare(ctx, r, was.SHA, sha)
		if err != nil {
			return err
		}
		mv.at, mv.uncertainty = pushTime(diff.at, was.At, b.now)
		mv.forced = diff.status == "diverged" || diff.status == "behind"
		if err := s.offerPush(ctx, r, b, mv); err != nil {
			return err
		}
	}
	b.st.Heads[branch] = head{SHA: sha, At: b.now}
	return nil
}

// pushTime places a push between two polls. GitHub's own merge commits are dated by the merge; any other commit was made at
// some time before it was pushed. A branch last seen at 10:00:00, now 10:00:30, commit of 09:55: 10:00:15 ± 15 s.
func pushTime(c committed, last, now time.Time) (time.Time, time.Duration) {
	if c.date.After(last) && !c.date.After(now) {
		if c.byGitHub {
			return c.date, 0
		}
		last = c.date
	}
	half := now.Sub(last) / 2
	return last.Add(half), half
}

// escapePath escapes each segment of a ref, and keeps its slashes.
func escapePath(ref string) string {
	parts := strings.Split(ref, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// pushOfDelivery reads a push webhook. ok is false, and why says so, where no branch moved to a commit.
func pushOfDelivery(d *delivery, now time.Time) (p push, why string) {
	branch, isBranch := strings.CutPrefix(d.Ref, "refs/heads/")
	switch {
	case !isBranch:
		return p, "not a branch"
	case d.Deleted || zeroSHA(d.After):
		return p, "branch was deleted"
	case len(d.Commits) == 0:
		return p, "push brings no commits"
	}
	p = push{
		branch: branch, before: d.Before, after: d.After, forced: d.Forced, paths: filesOf(d.Commits),
		at: now, title: d.HeadCommit.Message, actor: actor(d.Sender),
	}
	if t := d.Repository.PushedAt; !t.IsZero() {
		p.at = t.Time
	}
	return p, ""
}
