package github

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// progress is what the statuses of a deployment seen so far say together. Its zero value knows nothing.
type progress struct {
	started, finished time.Time
	result            triage.Status // terminal, or ""
	inactive          bool          // a newer deployment took its place
	gated             bool          // waits, or waited, for an approval
	complete          bool          // these are all statuses there are
	last              *deploymentStatus
}

// read takes one more status in. The order of calls does not matter: the earliest start and the latest end are kept.
func (p *progress) read(st *deploymentStatus) {
	at := st.CreatedAt.Time
	switch st.State {
	case "in_progress":
		if p.started.IsZero() || at.Before(p.started) {
			p.started = at
		}
	case "success", "failure", "error":
		if p.result == "" || at.After(p.finished) {
			p.finished, p.result = at, statusOf(st.State)
		}
	case "inactive":
		p.inactive = true
	case "waiting":
		p.gated = true
	}
	if p.last == nil || !at.Before(p.last.CreatedAt.Time) {
		p.last = st
	}
}

// lastEnvironment is where the latest status says that the deployment went.
func (p *progress) lastEnvironment() string {
	if p.last == nil {
		return ""
	}
	return p.last.Environment
}

func statusOf(state string) triage.Status {
	switch state {
	case "success":
		return triage.StatusSucceeded
	case "failure", "error", "timed_out", "startup_failure":
		return triage.StatusFailed
	case "cancelled":
		return triage.StatusCancelled
	}
	return triage.StatusStarted
}

// running reports whether the deployment has touched anything yet. One of Actions that waits in a queue or for an approval has
// not, nor has one that failed without ever starting: its approval was refused.
func (p *progress) running(byActions bool) bool {
	switch {
	case !p.started.IsZero() || p.result == triage.StatusSucceeded:
		return true
	case byActions:
		return p.result != "" && !p.complete
	}
	return p.result != "" || !p.gated
}

var (
	saysRollback  = regexp.MustCompile(`(?i)\broll(?:ed|ing|s)?[ _-]?back\b`)
	taskRollback  = regexp.MustCompile(`(?i)^(?:deploy[:/_-])?(?:rollback|roll-back|revert|undo)\b`)
	taskMigration = regexp.MustCompile(`(?i)\bmigrat(?:e|es|ion|ions)\b`)
	looksTagged   = regexp.MustCompile(`^[A-Za-z]*[-_/]?v?\d+(?:\.\d+)*[\w.+-]*$`)
	runInURL      = regexp.MustCompile(`/actions/runs/(\d+)(?:/attempts/(\d+))?(?:/job/(\d+))?`)
)

// deploymentChange is the Change of a deployment as far as its statuses tell. ok is false while nothing runs.
func (s *Source) deploymentChange(r *repo, d *deployment, p progress, now time.Time) (c triage.Change, ok bool) {
	env := cmp.Or(d.Environment, p.lastEnvironment())
	payload := d.payload()
	c = triage.Change{
		ID:         deploymentID(r, d.ID),
		Source:     s.cfg.Name,
		Kind:       deploymentKind(d),
		Status:     triage.StatusStarted,
		Scope:      r.scope(env, serviceHint(r, d, payload)),
		ObservedAt: now,
		Version:    deploymentVersion(d, payload),
		Digest:     digest(payload),
		Title:      deploymentTitle(d, env),
		Actor:      actor(d.Creator),
		Refs:       []triage.Ref{{System: "github-deployment", ID: fmt.Sprintf("%s#%d", r.cfg.Name, d.ID)}},
		Labels:     map[string]string{"repo": r.cfg.Name, "environment": clean(env)},
	}
	label(c.Labels, "sha", d.SHA)
	label(c.Labels, "ref", d.Ref)
	if t := d.Task; t != "deploy" {
		label(c.Labels, "task", t)
	}
	if d.Production {
		c.Labels["production"] = "true"
	}
	if d.Transient {
		c.Labels["transient"] = "true"
	}
	c.StartedAt = p.started
	if c.StartedAt.IsZero() && !d.byActions() && !p.gated {
		c.StartedAt = d.CreatedAt.Time
	}
	if p.result != "" {
		c.Status, c.FinishedAt = p.result, p.finished
	}
	if p.inactive {
		c.Status = triage.StatusSuperseded
	}
	log := ""
	if p.last != nil {
		log = link(p.last.LogURL)
		c.URL = cmp.Or(log, link(p.last.TargetURL))
		label(c.Labels, "github_state", p.last.State)
		for _, u := range []string{p.last.LogURL, p.last.TargetURL} {
			if addRun(&c, r, u) {
				break
			}
		}
	}
	c.URL = cmp.Or(c.URL, s.api.web+"/"+r.cfg.Name+"/deployments")
	if len(r.migrations) > 0 && c.Kind == triage.KindMigration {
		c.Reversible = triage.Reversible{Value: triage.ReversibleNo, Reason: "a migration: the schema does not come back with the code"}
	}
	settle(&c, now)
	return c, p.running(d.byActions())
}

func deploymentID(r *repo, id int64) triage.ChangeID {
	return triage.ChangeID("github:" + r.cfg.Name + "/deployment/" + strconv.FormatInt(id, 10))
}

// deploymentKind is what the deployment says of itself; that it goes back to an earlier commit is found later.
func deploymentKind(d *deployment) triage.Kind {
	switch {
	case taskRollback.MatchString(d.Task), saysRollback.MatchString(d.Ref), saysRollback.MatchString(d.Description):
		return triage.KindRollback
	case taskMigration.MatchString(d.Task):
		return triage.KindMigration
	}
	return triage.KindDeploy
}

// serviceHint is the service the deployment names: in its payload, else as a task that is no verb of deploying.
func serviceHint(r *repo, d *deployment, payload map[string]any) string {
	if s := lookup(payload, cmp.Or(r.cfg.PayloadService, "service")); s != "" {
		return s
	}
	t := d.Task
	if t == "" || strings.HasPrefix(t, "deploy") || taskRollback.MatchString(t) || taskMigration.MatchString(t) {
		return ""
	}
	return clean(t)
}

// deploymentVersion is the version in the payload, else a ref that looks like a tag, else the short commit.
func deploymentVersion(d *deployment, payload map[string]any) string {
	for _, key := range []string{"version", "tag"} {
		if v := lookup(payload, key); v != "" {
			return v
		}
	}
	if ref := strings.TrimPrefix(d.Ref, "refs/tags/"); !isSHA(ref) && looksTagged.MatchString(ref) && ref != d.SHA {
		return clean(ref)
	}
	return shortSHA(d.SHA)
}

func digest(payload map[string]any) string {
	for _, key := range []string{"digest", "image_digest", "image"} {
		v := lookup(payload, key)
		if i := strings.LastIndex(v, "sha256:"); i >= 0 && len(v)-i == len("sha256:")+64 {
			return v[i:]
		}
	}
	return ""
}

func deploymentTitle(d *deployment, env string) string {
	if t := firstLine(d.Description); t != "" {
		return t
	}
	what := d.Ref
	if isSHA(what) || what == "" {
		what = shortSHA(d.SHA)
	}
	return clean("deploy " + what + " to " + env)
}

// addRun joins a Change with the workflow run behind a log link, and reports whether there is one.
func addRun(c *triage.Change, r *repo, u string) bool {
	m := runInURL.FindStringSubmatch(u)
	if m == nil || !strings.Contains(strings.ToLower(u), "/"+strings.ToLower(r.cfg.Name)+"/actions/") {
		return false
	}
	attempt, _ := strconv.Atoi(m[2])
	id, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return false
	}
	addRunRef(c, r, id, attempt, link(u))
	if m[3] != "" {
		addRef(c, triage.Ref{System: "github-job", ID: r.cfg.Name + "#" + m[3]})
	}
	return true
}

func addRunRef(c *triage.Change, r *repo, id int64, attempt int, url string) {
	c.Labels["run"] = strconv.FormatInt(id, 10)
	addRef(c, triage.Ref{System: "github-run", ID: runKey(r, id, attempt), URL: url})
}

// dropRun takes the run's key off a Change that is not the run's only one in its scope.
func dropRun(c *triage.Change) {
	c.Refs = slices.DeleteFunc(c.Refs, func(r triage.Ref) bool { return r.System == "github-run" })
}

func addRef(c *triage.Change, ref triage.Ref) {
	for _, have := range c.Refs {
		if have.System == ref.System && have.ID == ref.ID {
			return
		}
	}
	if len(c.Refs) < triage.MaxRefs {
		c.Refs = append(c.Refs, ref)
	}
}

// runKey names one attempt of a run: a re-run is a change of its own, made later.
func runKey(r *repo, id int64, attempt int) string {
	key := fmt.Sprintf("%s#%d", r.cfg.Name, id)
	if attempt > 1 {
		key += fmt.Sprintf("/attempts/%d", attempt)
	}
	return key
}

func label(labels map[string]string, name, value string) {
	if v := clean(value); v != "" {
		labels[name] = v
	}
}

// unreadTime is how far off a Change's time may be that is taken from its delivery: about what GitHub's queues make of it.
const unreadTime = 5 * time.Minute

// settle makes a Change fit to be stored: times in UTC, none far in the future, and the end not before the start.
func settle(c *triage.Change, now time.Time) {
	heard := cmp.Or(c.ObservedAt, now)
	switch c.Status { // GitHub says when; where its time cannot be read, the delivery has just told us
	case triage.StatusSucceeded, triage.StatusFailed, triage.StatusCancelled:
		if c.FinishedAt.IsZero() {
			c.FinishedAt, c.TimeUncertaintyS = heard, unreadTime.Seconds()
		}
	case triage.StatusStarted:
		if c.StartedAt.IsZero() {
			c.StartedAt, c.TimeUncertaintyS = heard, unreadTime.Seconds()
		}
	default: // superseded has no time of its own
	}
	skewed := false
	for _, t := range []*time.Time{&c.StartedAt, &c.FinishedAt} {
		if t.IsZero() {
			continue
		}
		at, clamped := believe(*t, now)
		*t = at.UTC()
		skewed = skewed || clamped
	}
	c.ObservedAt = c.ObservedAt.UTC()
	if skewed {
		c.Labels["clock_skew"] = "true"
	}
	if !c.StartedAt.IsZero() && !c.FinishedAt.IsZero() && c.FinishedAt.Before(c.StartedAt) {
		c.StartedAt = c.FinishedAt
	}
}
