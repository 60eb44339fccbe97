package github

import (
	"fmt"

	"github.com/triaged-dev/triaged/triage"
)

// found is what one delivery came to.
type found struct {
	repo    *repo
	changes []triage.Change
	why     string // there is no Change
	unknown bool   // the event is not one this package reads
	poll    bool   // the API knows more about it
}

func ignore(why string) found { return found{why: why} }

// readEvent turns one delivery into Changes. It makes no request. The event's name comes from the header; action may be absent in
// old deliveries and is then not asked for.
func (s *Source) readEvent(event string, body []byte) (found, error) {
	read, known := map[string]func(*Source, *repo, *delivery) found{
		"deployment":        (*Source).onDeployment,
		"deployment_status": (*Source).onDeploymentStatus,
		"workflow_run":      (*Source).onWorkflowRun,
		"workflow_job":      (*Source).onWorkflowJob,
		"push":              (*Source).onPush,
		"pull_request":      (*Source).onPullRequest,
		"release":           (*Source).onRelease,
	}[event]
	if !known {
		why, listed := notChanges[event]
		if !listed {
			return found{why: "event is not read", unknown: true}, nil
		}
		return ignore(why), nil
	}
	var d delivery
	if err := unmarshal(body, &d); err != nil {
		return found{}, fmt.Errorf("%w: %s: %w", errMalformed, event, err)
	}
	name := d.Repository.FullName
	if lacks := d.lacks(event); lacks != "" {
		return found{}, fmt.Errorf("%w: %s: %s is missing or has another form", errMalformed, event, lacks)
	}
	r := s.forName(name)
	if r == nil {
		return ignore("repository is not configured"), nil
	}
	r.setBranch(d.Repository.DefaultBranch, s.now())
	f := read(s, r, &d)
	f.repo = r
	if len(f.changes) == 0 {
		return f, nil
	}
	bad := f.changes[0].Validate("") // the list is reused for those that are kept
	if f.changes = s.checked(f.changes); len(f.changes) == 0 {
		return found{}, fmt.Errorf("%w: %s: %w", errMalformed, event, bad) // set aside whole, and not only left out
	}
	return f, nil
}

// lacks names what an event cannot be understood without and does not have.
func (d *delivery) lacks(event string) string {
	needs := map[string][]struct {
		field string
		there bool
	}{
		"deployment":        {{"deployment.id", d.Deployment.ID > 0}},
		"deployment_status": {{"deployment.id", d.Deployment.ID > 0}, {"deployment_status.state", d.DeploymentStatus.State != ""}},
		"workflow_run":      {{"workflow_run.id", d.WorkflowRun.ID > 0}},
		"workflow_job":      {{"workflow_job.status", d.WorkflowJob.Status != ""}},
		"push":              {{"ref", d.Ref != ""}, {"after", d.After != ""}},
		"pull_request":      {{"pull_request.number", d.PullRequest.Number > 0}},
		"release":           {{"release.id", d.Release.ID > 0}},
	}
	if d.Repository.FullName == "" {
		return "repository.full_name"
	}
	for _, n := range needs[event] {
		if !n.there {
			return n.field
		}
	}
	return ""
}

// notChanges are events that are known and never a change to a running system.
var notChanges = map[string]string{
	"ping":                       "ping",
	"registry_package":           "a package is published, but nothing runs it yet",
	"package":                    "a package is published, but nothing runs it yet",
	"deployment_review":          "a gate waits for approval; nothing has changed yet",
	"deployment_protection_rule": "a gate waits for approval; nothing has changed yet",
	"repository_dispatch":        "what it means is the sender's own; map it with a hook",
	"check_run":                  "a check changes nothing that runs",
	"check_suite":                "a check changes nothing that runs",
	"status":                     "a check changes nothing that runs",
	"create":                     "a branch or tag; the push tells the rest",
	"delete":                     "a branch or tag was deleted",
	"installation":               "the App's own affairs",
	"installation_repositories":  "the App's own affairs",
}

// checked keeps the Changes that can be stored; one that cannot is our bug or a hostile field, and must not block the others.
func (s *Source) checked(cs []triage.Change) []triage.Change {
	out := cs[:0]
	for _, c := range cs {
		if err := c.Validate(""); err != nil {
			s.log.Warn("change left out", "id", c.ID, "err", err)
			continue
		}
		out = append(out, c)
	}
	return out
}

func (s *Source) onDeployment(r *repo, d *delivery) found {
	dep := &d.Deployment
	switch {
	case d.Action != "" && d.Action != "created":
		return ignore("action " + clean(d.Action))
	case r.ignores(dep.Environment):
		return ignore("environment is in ignore_environments")
	case d.WorkflowRun.ID > 0 || dep.byActions():
		return found{why: "Actions has queued it; it is a change when its job starts", poll: true}
	}
	return s.deploymentFound(r, d, progress{})
}

func (s *Source) onDeploymentStatus(r *repo, d *delivery) found {
	dep, st := &d.Deployment, &d.DeploymentStatus
	switch {
	case r.ignores(dep.Environment):
		return ignore("environment is in ignore_environments")
	}
	var p progress
	p.read(st)
	return s.deploymentFound(r, d, p)
}

// deploymentFound is the Change of a deployment as far as one delivery knows it. The poll that follows knows the rest.
func (s *Source) deploymentFound(r *repo, d *delivery, p progress) found {
	dep := &d.Deployment
	if d.WorkflowRun.ID > 0 && dep.Via.Slug == "" {
		dep.Via.Slug = actionsApp
	}
	c, running := s.deploymentChange(r, dep, p, s.now())
	switch {
	case !running && p.inactive:
		return found{why: "a newer deployment took its place; when this one ran is not in the delivery", poll: true}
	case !running:
		return found{why: "it waits: " + clean(p.last.State), poll: true}
	}
	if id := d.WorkflowRun.ID; id > 0 {
		dropRun(&c) // the log's URL does not tell the attempt
		addRunRef(&c, r, id, d.WorkflowRun.RunAttempt, link(d.WorkflowRun.HTMLURL))
	}
	if prs, ok := s.knownPulls(r, dep.SHA); ok {
		labelPulls(&c, prs)
	}
	s.knownBack(r, dep, &c)
	return found{changes: []triage.Change{c}, poll: true}
}

// knownBack recognises a rollback from what earlier polls have seen, without asking.
func (s *Source) knownBack(r *repo, dep *deployment, c *triage.Change) {
	st := r.current()
	if st == nil {
		return
	}
	if e, ok := st.Deployments[dep.ID]; ok && e.Back {
		c.Kind = triage.KindRollback
	}
}

func (s *Source) onWorkflowRun(r *repo, d *delivery) found {
	w := &d.WorkflowRun
	if w.Path == "" {
		w.Path = d.Workflow.Path
	}
	c, why := s.runChange(r, w, d.Workflow.Name, s.now())
	if why != "" {
		return ignore(why)
	}
	if prs, ok := s.knownPulls(r, w.HeadSHA); ok {
		labelPulls(&c, prs)
	}
	return found{changes: []triage.Change{c}, poll: true}
}

func (s *Source) onWorkflowJob(r *repo, d *delivery) found {
	if d.Deployment.ID <= 0 {
		return ignore("job carries out no deployment")
	}
	if r.ignores(d.Deployment.Environment) {
		return ignore("environment is in ignore_environments")
	}
	p, why := jobProgress(&d.WorkflowJob)
	if why != "" {
		return found{why: why, poll: true}
	}
	d.Deployment.Via.Slug = actionsApp
	c, _ := s.deploymentChange(r, &d.Deployment, p, s.now())
	j := d.WorkflowJob
	addRunRef(&c, r, j.RunID, int(j.RunAttempt), "")
	addRef(&c, triage.Ref{System: "github-job", ID: fmt.Sprintf("%s#%d", r.cfg.Name, j.ID), URL: link(j.HTMLURL)})
	if u := link(j.HTMLURL); u != "" {
		c.URL = u
	}
	s.knownBack(r, &d.Deployment, &c)
	return found{changes: []triage.Change{c}, poll: true}
}

func (s *Source) onPush(r *repo, d *delivery) found {
	now := s.now()
	p, why := pushOfDelivery(d, now)
	if why != "" {
		// A forced push back brings no commits but does change what is applied: only the API can say which files.
		return found{why: why, poll: d.Forced && !d.Deleted && (r.cfg.AppliedOnPush || r.cfg.PushIsDeploy)}
	}
	fallback, _ := r.defaultBranch()
	if !r.watches(p.branch, fallback) {
		return ignore("branch is not watched")
	}
	cs, why := s.pushChanges(r, p, now)
	return found{changes: cs, why: why}
}

func (s *Source) onPullRequest(r *repo, d *delivery) found {
	p := &d.PullRequest
	if d.Action != "closed" {
		return ignore("only a merge matters")
	}
	if !p.Merged {
		return ignore("pull request was closed without merging")
	}
	if p.MergeSHA != "" {
		s.rememberPulls(r, p.MergeSHA, []pull{{Number: p.Number, Title: firstLine(p.Title)}})
	}
	if p.MergedAt.IsZero() {
		p.MergedAt.Time = s.now()
	}
	fallback, _ := r.defaultBranch()
	c, why := s.mergeChange(r, p, fallback, s.now())
	if why != "" {
		return ignore(why)
	}
	return found{changes: []triage.Change{c}}
}

func (s *Source) onRelease(r *repo, d *delivery) found {
	if d.Action != "published" && d.Action != "released" {
		return ignore("release " + clean(d.Action))
	}
	c, why := s.releaseChange(r, &d.Release, s.now())
	if why != "" {
		return ignore(why)
	}
	return found{changes: []triage.Change{c}}
}
