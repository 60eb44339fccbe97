package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Bounds of one poll of one repository.
const (
	maxPages       = 10             // of a list, when catching up
	maxOpen        = 20             // open deployments that have left the newest page
	maxStatusPages = 3              // statuses of one deployment
	maxHistory     = 3              // earlier deployments whose outcome is asked for, per deployment
	maxTries       = 3              // of enriching one deployment
	enrichWithin   = 3 * time.Hour  // older ones are history when first seen, and not worth the requests
	giveUpAfter    = 24 * time.Hour // on a deployment that never ends
	openOverlap    = time.Hour      // fingerprints are kept this much longer than anything listed
)

// deploymentPoll is one poll of the deployments of one repository. It owns the batch's copy of the state.
type deploymentPoll struct {
	s        *Source
	r        *repo
	b        *batch
	cutoff   time.Time
	progress map[int64]progress // read in this poll
}

// pollDeployments finds new deployments, follows the open ones to their end, and stops reading at what is known.
// On an error the batch holds what was found before it: newest first, so that a limit costs the oldest.
func (s *Source) pollDeployments(ctx context.Context, r *repo, b *batch, cutoff time.Time) error {
	p := &deploymentPoll{s: s, r: r, b: b, cutoff: cutoff, progress: make(map[int64]progress)}
	ds, err := p.list(ctx)
	if err != nil {
		return fmt.Errorf("list deployments: %w", err)
	}
	for _, d := range ds {
		p.register(d)
	}
	missing, err := p.missing(ctx, ds)
	ds = append(ds, missing...)
	for _, d := range ds {
		if e := p.follow(ctx, d); e != nil {
			e = fmt.Errorf("deployment %d: %w", d.ID, e)
			if stops(e) {
				return errors.Join(err, e)
			}
			err = errors.Join(err, e)
		}
	}
	return err
}

// stops reports whether an error will meet the next request too, so that going on is useless.
func stops(err error) bool {
	if _, ok := errors.AsType[*LimitError](err); ok {
		return true
	}
	if st, ok := errors.AsType[*statusError](err); ok {
		return st.Status >= 500 || st.Status == 401 || st.Status == 403
	}
	_, odd := errors.AsType[*oddAnswer](err)
	return !odd && !isStatus(err, 400, 404, 409, 410, 422)
}

// list reads deployments, newest first, down to the first page that ends in something known or too old.
func (p *deploymentPoll) list(ctx context.Context) ([]*deployment, error) {
	var out []*deployment
	for page, n := 1, 0; page > 0 && n < maxPages; n++ {
		items, next, err := p.s.api.list(ctx, "repos/"+p.r.cfg.Name+"/deployments", "", "Deployments: read", page)
		if err != nil {
			return nil, err
		}
		page = next
		for _, item := range items {
			d, err := readDeployment(item)
			if err != nil {
				p.s.odd(ctx, p.b, "GET deployments of "+p.r.cfg.Name, item, err)
				continue
			}
			if _, known := p.b.st.Deployments[d.ID]; known || d.CreatedAt.Before(p.cutoff) {
				page = 0
			}
			if !p.r.ignores(d.Environment) {
				out = append(out, d)
			}
		}
	}
	return out, nil
}

func readDeployment(raw json.RawMessage) (*deployment, error) {
	var d deployment
	if err := unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("decode deployment: %w", err)
	}
	switch {
	case d.ID <= 0:
		return nil, errors.New("decode deployment: id is missing")
	case d.CreatedAt.IsZero():
		return nil, errors.New("decode deployment: created_at is missing")
	}
	return &d, nil
}

// register notes a deployment in the state, so that it can be found as the one before another.
func (p *deploymentPoll) register(d *deployment) {
	if _, known := p.b.st.Deployments[d.ID]; known {
		return
	}
	payload := d.payload()
	scope := p.r.scope(d.Environment, serviceHint(p.r, d, payload))
	old := d.CreatedAt.Before(p.cutoff)
	p.b.st.Deployments[d.ID] = deploymentState{
		SHA: d.SHA, Created: d.CreatedAt.UTC(), Version: deploymentVersion(d, payload),
		Scope:   strings.Join([]string{scope.Service, scope.Environment, scope.Region, scope.Cluster, scope.Namespace}, "|"),
		Updated: d.UpdatedAt.UTC(), Closed: old, Done: old,
	}
}

// missing fetches the open deployments that are no longer among the listed ones.
func (p *deploymentPoll) missing(ctx context.Context, listed []*deployment) ([]*deployment, error) {
	on := make(map[int64]bool, len(listed))
	for _, d := range listed {
		on[d.ID] = true
	}
	var ids []int64
	for id, st := range p.b.st.Deployments {
		if !st.Closed && !on[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	var out []*deployment
	for i, id := range ids {
		if i >= maxOpen || p.expired(id) {
			p.close(id)
			continue
		}
		var d deployment
		err := p.s.api.get(ctx, fmt.Sprintf("repos/%s/deployments/%d", p.r.cfg.Name, id), "Deployments: read", &d)
		switch {
		case isStatus(err, 404, 410):
			p.close(id) // deleted
		case err != nil:
			return out, fmt.Errorf("get deployment %d: %w", id, err)
		case d.ID == id:
			out = append(out, &d)
		}
	}
	return out, nil
}

func (p *deploymentPoll) expired(id int64) bool {
	return p.b.st.Deployments[id].Created.Before(p.b.now.Add(-giveUpAfter))
}

func (p *deploymentPoll) close(id int64) {
	st := p.b.st.Deployments[id]
	st.Closed, st.Done = true, true
	p.b.st.Deployments[id] = st
}

// follow brings one deployment up to date: its statuses, what lies between it and the one before, and the Change of it all.
func (p *deploymentPoll) follow(ctx context.Context, d *deployment) error {
	id := d.ID
	st := p.b.st.Deployments[id]
	updated := d.UpdatedAt.UTC()
	if st.Closed && st.Done && st.Updated.Equal(updated) || st.Closed && d.CreatedAt.Before(p.cutoff) {
		return nil
	}
	pr, err := p.statuses(ctx, id)
	if isStatus(err, 404, 410) {
		p.close(id)
		return nil
	}
	if err != nil {
		return err
	}
	st = p.b.st.Deployments[id] // statuses wrote the outcome
	c, running := p.s.deploymentChange(p.r, d, pr, p.b.now)
	var enrichErr error
	if running {
		enrichErr = p.enrichWithinBudget(ctx, d, &c, &st)
		if p.ranBefore(id, st) {
			dropRun(&c) // a re-run is a change of its own, made later
		}
		p.b.offer(c, c.OccurredAt())
	}
	st.Updated = updated
	st.Closed = pr.result != "" || pr.inactive || p.expired(id)
	st.Done = st.Done || st.Closed && !running // ended without ever running: nothing to enrich
	p.b.st.Deployments[id] = st
	if _, limited := errors.AsType[*LimitError](enrichErr); limited {
		return enrichErr
	}
	return nil
}

// enrichWithinBudget enriches where that is worth a request, and keeps count of the tries.
func (p *deploymentPoll) enrichWithinBudget(ctx context.Context, d *deployment, c *triage.Change, st *deploymentState) error {
	switch {
	case d.CreatedAt.Before(p.b.now.Add(-enrichWithin)) && !st.Done:
		st.Done = true
		return nil
	case p.s.api.limits.scarce(p.b.now):
		return nil
	}
	err := p.enrich(ctx, d, c)
	if err == nil {
		st.Done = true
	} else if _, limited := errors.AsType[*LimitError](err); !limited {
		st.Tries++
		st.Done = st.Done || st.Tries >= maxTries
		p.s.log.Debug("deployment handed over without its extent", "repo", p.r.cfg.Name, "deployment", d.ID, "err", err)
	}
	if st.Back = st.Back || c.Kind == triage.KindRollback; st.Back {
		c.Kind = triage.KindRollback
	}
	return err
}

// statuses reads all statuses of a deployment, once per poll.
func (p *deploymentPoll) statuses(ctx context.Context, id int64) (progress, error) {
	if pr, ok := p.progress[id]; ok {
		return pr, nil
	}
	var pr progress
	path := fmt.Sprintf("repos/%s/deployments/%d/statuses", p.r.cfg.Name, id)
	for page, n := 1, 0; page > 0 && n < maxStatusPages; n++ {
		items, next, err := p.s.api.list(ctx, path, "", "Deployments: read", page)
		if err != nil {
			return pr, fmt.Errorf("list statuses: %w", err)
		}
		page = next
		for _, item := range items {
			var st deploymentStatus
			err := unmarshal(item, &st)
			if err == nil && st.State == "" {
				err = errors.New("state is missing")
			}
			if err != nil {
				p.s.odd(ctx, p.b, "GET "+path, item, fmt.Errorf("decode deployment status: %w", err))
				continue
			}
			pr.read(&st)
		}
	}
	pr.complete = true
	p.progress[id] = pr
	if st, ok := p.b.st.Deployments[id]; ok {
		switch {
		case pr.result == triage.StatusSucceeded:
			st.Success = 1
		case pr.result != "":
			st.Success = -1
		}
		if pr.last != nil {
			if m := runInURL.FindStringSubmatch(pr.last.LogURL); m != nil {
				st.Run = m[1]
			}
		}
		p.b.st.Deployments[id] = st
	}
	return pr, nil
}

// history finds the deployment that ran in the same scope before d, and whether d brings a commit again that ran there
// successfully before that one: then undone are those in between, newest first.
func (p *deploymentPoll) history(ctx context.Context, d *deployment) (prev int64, again bool, undone []int64, err error) {
	lookups := maxHistory
	st := p.b.st
	for _, id := range st.earlier(st.Deployments[d.ID].Scope, d.ID) {
		e := st.Deployments[id]
		if e.Success == 0 && (prev == 0 || e.SHA == d.SHA) && lookups > 0 {
			lookups--
			if _, err := p.statuses(ctx, id); err != nil && !isStatus(err, 404, 410) {
				return prev, false, nil, err
			}
			e = st.Deployments[id]
		}
		if e.Success != 1 {
			continue
		}
		if e.SHA == d.SHA {
			return orElse(prev, id), prev != 0, undone, nil
		}
		prev = orElse(prev, id)
		undone = append(undone, id)
	}
	return prev, false, nil, nil
}

// ranBefore reports whether the same workflow run made an earlier deployment of the same scope.
func (p *deploymentPoll) ranBefore(id int64, st deploymentState) bool {
	if st.Run == "" {
		return false
	}
	for d, e := range p.b.st.Deployments {
		if d < id && e.Scope == st.Scope && e.Run == st.Run {
			return true
		}
	}
	return false
}

func orElse(a, b int64) int64 {
	if a != 0 {
		return a
	}
	return b
}
