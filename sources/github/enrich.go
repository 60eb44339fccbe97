package github

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/triaged-dev/triaged/triage"
)

// facts caches what can be asked again and does not change: comparisons of two commits, and the pull requests of one.
type facts struct{ cache *ristretto.Cache[string, any] }

const factsBytes = 16 << 20 // about 4 000 comparisons of 4 KiB

func newFacts() (*facts, error) {
	cache, err := ristretto.NewCache(&ristretto.Config[string, any]{
		NumCounters: 40_000, MaxCost: factsBytes, BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		return nil, fmt.Errorf("make cache of comparisons: %w", err)
	}
	return &facts{cache: cache}, nil
}

func (f *facts) keep(key string, v any, bytes int) {
	f.cache.Set(key, v, int64(bytes))
	f.cache.Wait()
}

// between is what lies between two commits, reduced to what a Change carries.
type between struct {
	status   string // ahead, behind, diverged, identical
	commits  int
	files    int
	lines    int
	paths    []string
	partial  bool
	prs      []pull
	nameless []string // commits whose message names no pull request, newest first
	at       committed
}

// compare asks what lies between base and head.
func (s *Source) compare(ctx context.Context, r *repo, base, head string) (*between, error) {
	key := "compare " + r.cfg.Name + " " + base + " " + head
	if v, ok := s.facts.cache.Get(key); ok {
		return v.(*between), nil
	}
	var raw comparison
	path := "repos/" + r.cfg.Name + "/compare/" + url.PathEscape(base) + "..." + url.PathEscape(head)
	if err := s.api.get(ctx, path, "Contents: read", &raw); err != nil {
		return nil, fmt.Errorf("compare %s...%s: %w", shortSHA(base), shortSHA(head), err)
	}
	if raw.Status == "" {
		return nil, &oddAnswer{errors.New("comparison has no status")}
	}
	b := &between{
		status: raw.Status, commits: raw.TotalCommits, files: len(raw.Files), lines: raw.lines(), paths: raw.paths(),
		partial: len(raw.Files) >= maxFiles,
	}
	cost := 256
	for _, p := range b.paths {
		cost += len(p) + 16
	}
	for _, c := range slices.Backward(raw.Commits) {
		if p, ok := pullOfMessage(c.Commit.Message); ok {
			b.prs = append(b.prs, p)
			cost += len(p.Title) + 64
		} else {
			b.nameless = append(b.nameless, c.SHA)
			cost += len(c.SHA)
		}
	}
	if n := len(raw.Commits); n > 0 {
		last := raw.Commits[n-1]
		b.at = committed{date: last.Commit.Committer.Date.Time, byGitHub: last.Commit.Committer.Name == "GitHub", title: firstLine(last.Commit.Message)}
	}
	s.facts.keep(key, b, cost)
	return b, nil
}

var (
	squashed = regexp.MustCompile(`^(.*?)\s*\(#(\d+)\)$`)
	merged   = regexp.MustCompile(`^Merge pull request #(\d+) from \S+`)
)

// pullOfMessage reads the pull request out of the two forms of commit message GitHub writes when it merges one.
func pullOfMessage(message string) (pull, bool) {
	subject, body, _ := strings.Cut(strings.TrimSpace(message), "\n")
	subject = strings.TrimSpace(subject)
	if m := merged.FindStringSubmatch(subject); m != nil {
		n, err := strconv.Atoi(m[1])
		return pull{Number: n, Title: firstLine(body)}, err == nil
	}
	if m := squashed.FindStringSubmatch(subject); m != nil {
		n, err := strconv.Atoi(m[2])
		return pull{Number: n, Title: clean(m[1])}, err == nil
	}
	return pull{}, false
}

// pullsOf are the merged pull requests of a commit.
func (s *Source) pullsOf(ctx context.Context, r *repo, sha string) ([]pull, error) {
	if ps, ok := s.knownPulls(r, sha); ok {
		return ps, nil
	}
	items, _, err := s.api.list(ctx, "repos/"+r.cfg.Name+"/commits/"+url.PathEscape(sha)+"/pulls", "", "Pull requests: read", 1)
	if err != nil {
		return nil, fmt.Errorf("list pull requests of %s: %w", shortSHA(sha), err)
	}
	var ps []pull
	for _, item := range items {
		var p pull
		if err := unmarshal(item, &p); err == nil && !p.MergedAt.IsZero() {
			ps = append(ps, pull{Number: p.Number, Title: firstLine(p.Title)})
		}
	}
	s.rememberPulls(r, sha, ps)
	return ps, nil
}

func pullKey(r *repo, sha string) string { return "pulls " + r.cfg.Name + " " + sha }

func (s *Source) knownPulls(r *repo, sha string) ([]pull, bool) {
	v, ok := s.facts.cache.Get(pullKey(r, sha))
	if !ok {
		return nil, false
	}
	return v.([]pull), true
}

func (s *Source) rememberPulls(r *repo, sha string, ps []pull) {
	cost := 128
	for _, p := range ps {
		cost += len(p.Title) + 64
	}
	s.facts.keep(pullKey(r, sha), ps, cost)
}

// Bounds of one enrichment.
const (
	maxPullLookups = 3   // commits whose pull request is asked for
	maxPulls       = 20  // named on a Change
	maxTitles      = 600 // bytes of their titles
)

// enrich adds what lies between the deployed commit and the one before it: extent, migrations, pull requests, whether it goes
// back. What it already added stays when it fails in the middle. It changes c, which nobody else has seen yet.
func (p *deploymentPoll) enrich(ctx context.Context, d *deployment, c *triage.Change) error {
	prev, again, undone, err := p.history(ctx, d)
	if prev == 0 || err != nil {
		return errors.Join(err, p.addPulls(ctx, c, []string{d.SHA}, nil))
	}
	before := p.b.st.Deployments[prev]
	c.PreviousVersion = before.Version
	c.Labels["previous_sha"] = before.SHA
	if c.Reversible.Value == "" {
		c.Reversible = triage.Reversible{Value: triage.ReversibleYes, Reason: "the version before it is known: " + before.Version}
	}
	if before.SHA == d.SHA {
		return nil // deployed again: nothing lies between
	}
	if len(undone) == 0 || !again {
		undone = []int64{prev}
	}
	diff, err := p.s.compare(ctx, p.r, before.SHA, d.SHA)
	if err != nil {
		if again || c.Kind == triage.KindRollback {
			goBack(c, p.r, undone)
		}
		return err
	}
	c.Labels["compare"] = p.s.api.web + "/" + p.r.cfg.Name + "/compare/" + shortest(before.SHA) + "..." + shortest(d.SHA)
	// A commit that ran here before is a way back, unless it lies ahead: that is rolling forward again.
	if diff.status == "behind" || again && diff.status != "ahead" || c.Kind == triage.KindRollback {
		goBack(c, p.r, undone)
	}
	if diff.status == "behind" {
		return nil // GitHub lists no files in this direction
	}
	c.Labels["commits"] = strconv.Itoa(diff.commits)
	c.Size = size(diff.paths, diff.lines, true)
	c.Size.Files = diff.files
	if diff.partial {
		c.Labels["files_truncated"] = "true"
	}
	if ms := filterPaths(p.r.migrations, diff.paths); len(ms) > 0 {
		label(c.Labels, "migration_paths", strings.Join(ms, ","))
		c.Reversible = triage.Reversible{Value: triage.ReversibleNo, Reason: clean("it carries a migration: " + ms[0])}
	}
	return p.addPulls(ctx, c, diff.nameless, diff.prs)
}

// goBack makes c a rollback that undoes the given deployments.
func goBack(c *triage.Change, r *repo, undone []int64) {
	c.Kind = triage.KindRollback
	for _, id := range undone[:min(len(undone), triage.MaxRefs)] {
		c.Undoes = append(c.Undoes, deploymentID(r, id))
	}
}

// addPulls names the pull requests: those known already, and those of the first few commits that name none.
func (p *deploymentPoll) addPulls(ctx context.Context, c *triage.Change, shas []string, known []pull) error {
	prs := slices.Clone(known)
	var err error
	for _, sha := range shas[:min(len(shas), maxPullLookups)] {
		var more []pull
		if more, err = p.s.pullsOf(ctx, p.r, sha); err != nil {
			break
		}
		prs = append(prs, more...)
	}
	labelPulls(c, prs)
	if isStatus(err, 403, 404, 422) {
		return nil // this permission is optional: the numbers in commit messages are what is left
	}
	return err
}

// labelPulls writes the labels pr and pr_titles.
func labelPulls(c *triage.Change, prs []pull) {
	slices.SortFunc(prs, func(a, b pull) int { return b.Number - a.Number })
	prs = slices.CompactFunc(prs, func(a, b pull) bool { return a.Number == b.Number })
	var numbers, titles []string
	for _, pr := range prs[:min(len(prs), maxPulls)] {
		numbers = append(numbers, strconv.Itoa(pr.Number))
		if pr.Title != "" {
			titles = append(titles, pr.Title)
		}
	}
	label(c.Labels, "pr", strings.Join(numbers, ","))
	if t := cleanTo(strings.Join(titles, "; "), maxTitles); t != "" {
		c.Labels["pr_titles"] = t
	}
}
