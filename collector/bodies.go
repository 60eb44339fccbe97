package collector

import (
	"fmt"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/triaged-dev/triaged/triage"
)

// bodies is the cache of change bodies in front of the journal. ristretto may drop any Set; that costs one read and nothing else.
// Bodies are shared and not changed by anyone.
type bodies struct {
	cache *ristretto.Cache[string, *triage.Change]
}

// newBodies makes a cache of so many bytes. Costs are bytes, so ristretto's own bytes per entry are counted too.
func newBodies(bytes int64) (*bodies, error) {
	cache, err := ristretto.NewCache(&ristretto.Config[string, *triage.Change]{
		NumCounters: max(1000, bytes/100), // ten for each body of 1 KiB
		MaxCost:     bytes,
		BufferItems: 64,
	})
	if err != nil {
		return nil, fmt.Errorf("make the cache of change bodies: %w", err)
	}
	return &bodies{cache: cache}, nil
}

func (b *bodies) get(id triage.ChangeID) (*triage.Change, bool) { return b.cache.Get(string(id)) }

func (b *bodies) set(c *triage.Change) { b.cache.Set(string(c.ID), c, bodyCost(c)) }

func (b *bodies) drop(id triage.ChangeID) { b.cache.Del(string(id)) }

// settle waits until what was set can be read, so that the reports of one rollout that come one after the other find each other
// without a read of the journal.
func (b *bodies) settle() { b.cache.Wait() }

func (b *bodies) close() { b.cache.Close() }

// bodyCost estimates the memory of a Change in bytes: the struct, its strings, and what slices and maps take for each element.
func bodyCost(c *triage.Change) int64 {
	n := 640 + len(c.ID)*2 + len(c.Source) + len(c.Service) + len(c.Environment) + len(c.Region) + len(c.Cluster) + len(c.Namespace) +
		len(c.Version) + len(c.PreviousVersion) + len(c.Digest) + len(c.Title) + len(c.URL) + len(c.Actor) + len(c.Reversible.Reason) +
		48*len(c.Steps)
	for _, r := range c.Refs {
		n += 48 + len(r.System) + len(r.ID) + len(r.URL)
	}
	if len(c.Labels) > 0 {
		n += 300
	}
	for k, v := range c.Labels {
		n += 40 + len(k) + len(v)
	}
	for _, p := range c.Size.Paths {
		n += 16 + len(p)
	}
	for _, id := range c.Undoes {
		n += 16 + len(id)
	}
	for _, id := range c.RevertedBy {
		n += 16 + len(id)
	}
	return int64(n)
}
