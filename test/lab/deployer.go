package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/triaged-dev/triaged/test/lab/service"
	"github.com/triaged-dev/triaged/triage"
)

// telling is how the daemons hear of a change.
type telling int

const (
	atOnce telling = iota // its start, and then its end
	atEnd                 // its end alone, without when it began
	late                  // half a minute after the page
	never
)

// lateness is how long a late change is kept back.
const lateness = 75 * time.Second

// deployer changes the office, as people and pipelines do, and tells the daemons over HTTP.
type deployer struct {
	fleet   *fleet
	daemons []*daemon

	mu       sync.Mutex
	rand     *rand.Rand
	serial   int
	told     []triage.Change               // everything it did, in order
	versions map[string]int                // how often each service was released
	when     map[triage.ChangeID]time.Time // when the daemons had heard of each
	errs     []error
	wait     sync.WaitGroup
}

// id makes a change's id as its tool would.
func (d *deployer) id(tool, service string) triage.ChangeID {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.serial++
	return triage.ChangeID(fmt.Sprintf("%s:%s/%d", tool, service, 4000+7*d.serial))
}

// pick draws one of n.
func (d *deployer) pick(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.IntN(n)
}

func (d *deployer) tell(ctx context.Context, c triage.Change, how telling) {
	if how == never {
		return
	}
	if how == atEnd {
		if c.FinishedAt.IsZero() {
			return
		}
		c.StartedAt = time.Time{}
	}
	d.wait.Go(func() {
		if how == late {
			sleep(ctx, lateness)
		}
		for _, daemon := range d.daemons {
			if _, err := daemon.do(ctx, http.MethodPost, "/api/v1/changes", c); err != nil && ctx.Err() == nil {
				d.mu.Lock()
				d.errs = append(d.errs, fmt.Errorf("tell %s of %s: %w", daemon.knows, c.ID, err))
				d.mu.Unlock()
			}
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if _, before := d.when[c.ID]; !before {
			d.when[c.ID] = time.Now()
		}
	})
}

// keep remembers what was done; a later word about the same change replaces the earlier.
func (d *deployer) keep(c triage.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.IndexFunc(d.told, func(o triage.Change) bool { return o.ID == c.ID }); i >= 0 {
		d.told[i] = c
		return
	}
	d.told = append(d.told, c)
}

func (d *deployer) change(tool string, kind triage.Kind, name string) triage.Change {
	return triage.Change{
		ID: d.id(tool, name), Kind: kind, Status: triage.StatusSucceeded,
		Scope: triage.Scope{Service: name, Environment: "production"}, StartedAt: time.Now().UTC(),
	}
}

// deploy rolls a version out for real. A canary replaces one instance.
func (d *deployer) deploy(ctx context.Context, kind triage.Kind, name, version string, build service.Build, canary bool, how telling) (triage.Change, error) {
	c := d.change("shipit", kind, name)
	c.Status, c.Version, c.PreviousVersion = triage.StatusStarted, version, d.fleet.now(name).version
	c.Title = fmt.Sprintf("%s %s → %s", name, c.PreviousVersion, version)
	if canary {
		half := 50.0
		c.RolloutPercent, c.Title = &half, c.Title+" (canary)"
	}
	d.tell(ctx, c, how)
	if err := d.fleet.rollout(ctx, name, version, build, canary); err != nil {
		return c, err
	}
	c.FinishedAt = time.Now().UTC()
	if !canary { // a canary goes on until somebody ends it
		c.Status = triage.StatusSucceeded
	}
	d.tell(ctx, c, how)
	d.keep(c)
	return c, nil
}

// next is a version that never ran before.
func (d *deployer) next(name string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.versions[name]++
	return staffOf(name).version(d.versions[name])
}

// configure sets one value while the service runs.
func (d *deployer) configure(ctx context.Context, name, key string, from, to float64, how telling) (triage.Change, error) {
	c := d.change("confd", triage.KindConfig, name)
	c.Title = fmt.Sprintf("%s %g → %g", strings.ReplaceAll(key, ".", " "), from, to)
	c.Labels = map[string]string{"key": key, "from": fmt.Sprint(from), "to": fmt.Sprint(to)}
	err := d.fleet.adjust(name, func(values map[string]float64, _ map[string]bool) { values[key] = to })
	c.FinishedAt = c.StartedAt
	d.tell(ctx, c, how)
	d.keep(c)
	return c, err
}

// flip sets a flag.
func (d *deployer) flip(ctx context.Context, name, flag string, on bool, how telling) (triage.Change, error) {
	word := map[bool]string{true: "on", false: "off"}
	c := d.change("flagd", triage.KindFlag, name)
	c.Title = fmt.Sprintf("flag %s turned %s", flag, word[on])
	c.Labels = map[string]string{"flag": flag, "from": word[!on], "to": word[on]}
	err := d.fleet.adjust(name, func(_ map[string]float64, flags map[string]bool) { flags[flag] = on })
	c.FinishedAt = c.StartedAt
	d.tell(ctx, c, how)
	d.keep(c)
	return c, err
}

// scale sets the number of instances.
func (d *deployer) scale(ctx context.Context, name string, from, to int, how telling) (triage.Change, error) {
	c := d.change("scaler", triage.KindScale, name)
	c.Title = fmt.Sprintf("scale %s from %d to %d", name, from, to)
	c.Labels = map[string]string{"from": strconv.Itoa(from), "to": strconv.Itoa(to)}
	err := d.fleet.resize(ctx, name, to)
	c.FinishedAt = time.Now().UTC()
	d.tell(ctx, c, how)
	d.keep(c)
	return c, err
}

// list is everything done so far, as JSON lines would have it.
func (d *deployer) list() []triage.Change {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.told)
}

// trouble is what could not be told.
func (d *deployer) trouble() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.errs) == 0 {
		return ""
	}
	b, _ := json.Marshal(d.errs[0].Error()) // a string encodes
	return string(b)
}
