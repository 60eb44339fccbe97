package github

import (
	"cmp"
	"errors"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// repo is one configured repository: its rules, compiled, and where its polling stands.
type repo struct {
	cfg        Repository
	owner      string
	short      string // name without owner
	config     []glob
	migrations []glob
	services   []pathService

	mu       sync.Mutex
	state    *repoState // nil until loaded; replaced whole, never changed
	next     time.Time  // next poll; zero: now
	asked    bool       // next was set by a webhook
	polling  bool
	never    bool // no clock: only a webhook makes it due
	failures int
	err      error
	success  time.Time
	branch   string // default branch, as the API or a webhook named it
	branchAt time.Time
}

type pathService struct {
	globs   []glob
	service string
}

func newRepo(cfg Repository) (*repo, error) {
	r := &repo{cfg: cfg}
	r.owner, r.short, _ = strings.Cut(cfg.Name, "/")
	var err error
	if r.config, err = compileGlobs("config_paths", cfg.ConfigPaths); err != nil {
		return nil, err
	}
	if r.migrations, err = compileGlobs("migration_paths", cfg.MigrationPaths); err != nil {
		return nil, err
	}
	for _, s := range cfg.Services {
		g, err := compileGlobs("services.paths", s.Paths)
		if err != nil {
			return nil, err
		}
		r.services = append(r.services, pathService{globs: g, service: s.Service})
	}
	return r, nil
}

// forName is the repository with the full name of a webhook: itself, or for a pattern a copy that bears the name. nil: not ours.
func (s *Source) forName(fullName string) *repo {
	for _, r := range s.repos {
		if strings.EqualFold(r.cfg.Name, fullName) {
			return r
		}
	}
	for _, g := range s.globs {
		ok, _ := path.Match(strings.ToLower(g.cfg.Name), strings.ToLower(fullName))
		owner, short, found := strings.Cut(fullName, "/")
		if ok && found {
			cfg := g.cfg // still a pattern in spirit: it is never polled, so it carries no state
			cfg.Name = fullName
			return &repo{cfg: cfg, owner: owner, short: short, config: g.config, migrations: g.migrations, services: g.services, never: true}
		}
	}
	return nil
}

// due reports whether the repository's turn has come.
func (r *repo) due(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.polling && !r.never && !now.Before(r.next)
}

// nextTurn is when it is due; false where only a webhook makes it so.
func (r *repo) nextTurn() (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next, !r.never
}

// minPause is the least time between two polls of one repository, however many webhooks ask.
const minPause = 2 * time.Second

func (r *repo) markDue() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked, r.never, r.next = true, false, time.Time{}
}

func (r *repo) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.polling, r.asked = true, false
}

// done schedules the next poll: after interval, later the more often it failed. changed says that it began or ceased to fail, or
// fails in another way. interval 0 means that only webhooks, and failures, bring it back.
func (r *repo) done(err error, now time.Time, interval time.Duration) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.polling = false
	was := r.err
	r.err = err
	wait := cmp.Or(interval, DefaultPollInterval)
	if err == nil {
		r.failures, r.success = 0, now
		r.never = interval == 0 && !r.asked
	} else if limit, ok := errors.AsType[*LimitError](err); ok { // not the repository's fault: on with it as soon as we may
		wait = max(limit.Until.Sub(now), minPause)
		r.never, r.asked = false, false
	} else {
		wait = min(wait<<min(r.failures, 5), 10*time.Minute)
		r.failures++
		r.never = false
	}
	if r.asked {
		wait = minPause
	}
	r.next = now.Add(wait)
	switch {
	case err == nil || was == nil:
		return (err == nil) != (was == nil)
	default:
		return err.Error() != was.Error()
	}
}

// health is what Status needs.
func (r *repo) health() (success time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.success, r.err
}

func (r *repo) current() *repoState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

func (r *repo) replace(st *repoState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = st
}

func (r *repo) setBranch(name string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name != "" {
		r.branch, r.branchAt = name, at
	}
}

// defaultBranch is what was last heard, and when.
func (r *repo) defaultBranch() (string, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.branch, r.branchAt
}

// watches reports whether pushes to a branch count. fallback is the default branch, "" where it is not known.
func (r *repo) watches(branch, fallback string) bool {
	if len(r.cfg.Branches) == 0 {
		return branch != "" && branch == fallback
	}
	return slices.ContainsFunc(r.cfg.Branches, func(p string) bool { return globName(p, branch) })
}

// ignores reports whether deployments to an environment are not to be reported.
func (r *repo) ignores(environment string) bool {
	return slices.ContainsFunc(r.cfg.IgnoreEnvironments, func(re Regexp) bool { return re.MatchString(environment) })
}

// scope reads the scope out of an environment's raw name. service is what the event itself names, "" if nothing.
// Order for the service: the rule's group, the rule's fixed service, the repository's, the event's, the repository's name.
func (r *repo) scope(environment, service string) triage.Scope {
	s := triage.Scope{Environment: environment}
	for _, rule := range r.cfg.Environments {
		m := rule.Match.FindStringSubmatch(environment)
		if m == nil {
			continue
		}
		group := func(name string) string {
			if i := rule.Match.SubexpIndex(name); i >= 0 {
				return m[i]
			}
			return ""
		}
		s.Service = cmp.Or(group("service"), rule.Service)
		s.Environment = cmp.Or(group("environment"), rule.Environment, environment)
		s.Region = cmp.Or(group("region"), rule.Region)
		s.Cluster = cmp.Or(group("cluster"), rule.Cluster)
		s.Namespace = cmp.Or(group("namespace"), rule.Namespace)
		break
	}
	s.Service = clean(cmp.Or(s.Service, r.cfg.Service, service, r.short))
	s.Environment = strings.ToLower(clean(s.Environment))
	s.Region, s.Cluster, s.Namespace = clean(s.Region), clean(s.Cluster), clean(s.Namespace)
	return s
}

// serviceOfPath is whose file it is in a monorepo.
func (r *repo) serviceOfPath(p string) string {
	for _, s := range r.services {
		if matchAny(s.globs, p) {
			return s.service
		}
	}
	return ""
}

// workflow is the rule that makes a run a deploy.
func (r *repo) workflow(name, file, branch, event string) (Workflow, bool) {
	for _, w := range r.cfg.DeployWorkflows {
		if !globName(w.Match, name) && !globName(w.Match, file) && !globName(w.Match, path.Base(file)) {
			continue
		}
		if len(w.Branches) > 0 && !slices.ContainsFunc(w.Branches, func(p string) bool { return globName(p, branch) }) {
			continue
		}
		if len(w.Events) > 0 && !slices.Contains(w.Events, event) {
			continue
		}
		if len(w.Events) == 0 && (strings.HasPrefix(event, "pull_request") || event == "merge_group") {
			continue // a check before the merge, not a deploy
		}
		return w, true
	}
	return Workflow{}, false
}

// globName matches a name that may hold slashes: * stands for anything but a slash, except as the whole pattern.
func globName(pattern, name string) bool {
	if name == "" {
		return false
	}
	if pattern == "*" || pattern == name {
		return true
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}
