package placebo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// What is kept: at most so many services, the ones looked at last, each under a key of its own, and the changes that were looked at.
const (
	maxServices = 500
	maxSeen     = 10_000
	saveEach    = 5 * time.Minute
	stateKey    = "placebo"
)

// record is what was learned.
type record struct {
	Seen     map[triage.ChangeID]int64 // when they began, Unix seconds
	Services map[string]*learnedOf
}

// learnedOf is what was learned of one service.
type learnedOf struct {
	Looked  []int64  `json:"looked"` // quiet times that were looked at, Unix seconds
	Groups  []*group `json:"groups"`
	changed bool
}

// group are the occasions of one kind, oldest first.
type group struct {
	Signal triage.Signal         `json:"signal"`
	After  triage.PlaceboAfter   `json:"after"`
	Minute triage.PlaceboMinutes `json:"minute,omitempty"`
	At     []int64               `json:"at"` // Unix seconds
	Shifts []float64             `json:"shifts"`
}

// index is what is kept under stateKey itself.
type index struct {
	Seen     map[triage.ChangeID]int64 `json:"seen"`
	Services []string                  `json:"services"`
}

func (r *record) add(o occasion, found []triage.Placebo) {
	s := r.Services[o.service]
	if s == nil {
		if len(found) == 0 || len(r.Services) >= maxServices {
			if o.change != nil {
				r.Seen[o.change.ID] = o.at.Unix()
			}
			return
		}
		s = &learnedOf{}
		r.Services[o.service] = s
	}
	s.changed = true
	if o.change != nil {
		r.Seen[o.change.ID] = o.at.Unix()
	} else {
		s.Looked = append(s.Looked, o.at.Unix())
	}
	for _, p := range found {
		i := slices.IndexFunc(s.Groups, func(g *group) bool { return g.Signal == p.Signal && g.After == p.After && g.Minute == p.Minute })
		if i < 0 {
			i = len(s.Groups)
			s.Groups = append(s.Groups, &group{Signal: p.Signal, After: p.After, Minute: p.Minute})
		}
		s.Groups[i].insert(o.at.Unix(), math.Round(p.Shifts[0]*100)/100)
	}
}

// insert keeps the latest occasions, in order.
func (g *group) insert(at int64, shift float64) {
	i, _ := slices.BinarySearch(g.At, at)
	g.At, g.Shifts = slices.Insert(g.At, i, at), slices.Insert(g.Shifts, i, shift)
	if drop := len(g.At) - triage.PlaceboMost; drop > 0 {
		g.At, g.Shifts = slices.Delete(g.At, 0, drop), slices.Delete(g.Shifts, 0, drop)
	}
}

func (r *record) looked(service string, at time.Time) bool {
	s := r.Services[service]
	return s != nil && slices.Contains(s.Looked, at.Unix())
}

// forget drops what is older than the history, and of the changes seen the oldest where they are too many.
func (r *record) forget(before time.Time) {
	old := before.Unix()
	maps.DeleteFunc(r.Seen, func(_ triage.ChangeID, at int64) bool { return at < old })
	if over := len(r.Seen) - maxSeen; over > 0 {
		ids := slices.SortedFunc(maps.Keys(r.Seen), func(a, b triage.ChangeID) int {
			return cmp.Or(cmp.Compare(r.Seen[a], r.Seen[b]), cmp.Compare(a, b))
		})
		for _, id := range ids[:over] {
			delete(r.Seen, id)
		}
	}
	for name, s := range r.Services {
		was := len(s.Looked)
		s.Looked = slices.DeleteFunc(s.Looked, func(at int64) bool { return at < old })
		for _, g := range s.Groups {
			n, _ := slices.BinarySearch(g.At, old)
			g.At, g.Shifts = slices.Delete(g.At, 0, n), slices.Delete(g.Shifts, 0, n)
			was += n
		}
		s.Groups = slices.DeleteFunc(s.Groups, func(g *group) bool { return len(g.At) == 0 })
		s.changed = s.changed || was != len(s.Looked)
		if len(s.Groups) == 0 && len(s.Looked) == 0 {
			delete(r.Services, name)
		}
	}
}

// Placebo is what was learned of the services, in a fixed order.
func (l *Learner) Placebo(services []string) []triage.Placebo {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []triage.Placebo
	for _, name := range services {
		s := l.rec.Services[name]
		if s == nil {
			continue
		}
		for _, g := range s.Groups {
			out = append(out, triage.Placebo{Service: name, Signal: g.Signal, After: g.After, Minute: g.Minute, Shifts: slices.Sorted(slices.Values(g.Shifts))})
		}
	}
	slices.SortFunc(out, func(a, b triage.Placebo) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Signal, b.Signal), cmp.Compare(a.After, b.After), cmp.Compare(a.Minute, b.Minute))
	})
	return out
}

func (l *Learner) load(ctx context.Context) error {
	l.rec = record{Seen: make(map[triage.ChangeID]int64), Services: make(map[string]*learnedOf)}
	value, err := l.State.State(ctx, stateKey)
	if err != nil || len(value) == 0 {
		return err
	}
	var i index
	if err := json.Unmarshal(value, &i); err != nil {
		l.Logger.Warn("what is usual is learned from the beginning", "err", err)
		return nil
	}
	for _, name := range i.Services {
		value, err := l.State.State(ctx, stateKey+"/"+name)
		if err != nil {
			return fmt.Errorf("read what is usual for %s: %w", name, err)
		}
		s := &learnedOf{}
		if len(value) == 0 || json.Unmarshal(value, s) != nil || !s.sound() {
			l.Logger.Warn("what is usual is learned from the beginning", "service", name)
			i.Seen = nil // their changes may be looked at again
			continue
		}
		l.rec.Services[name] = s
	}
	if i.Seen != nil {
		l.rec.Seen = i.Seen
	}
	return nil
}

func (s *learnedOf) sound() bool {
	return !slices.ContainsFunc(s.Groups, func(g *group) bool { return g == nil || len(g.At) != len(g.Shifts) })
}

// save writes what changed. What cannot be written is tried again the next time.
func (l *Learner) save(ctx context.Context) {
	l.mu.Lock()
	i := index{Seen: maps.Clone(l.rec.Seen), Services: sortedKeys(l.rec.Services)}
	values := make(map[string][]byte)
	for name, s := range l.rec.Services {
		if s.changed {
			if v, err := json.Marshal(s); err == nil {
				values[name], s.changed = v, false
			}
		}
	}
	l.mu.Unlock()
	if len(values) == 0 {
		return
	}
	for _, name := range sortedKeys(values) {
		if err := l.State.SetState(ctx, stateKey+"/"+name, values[name]); err != nil {
			l.unsaved(name, err)
		}
	}
	v, err := json.Marshal(i)
	if err == nil {
		err = l.State.SetState(ctx, stateKey, v)
	}
	if err != nil {
		l.Logger.Warn("what is usual could not be saved", "err", err)
	}
}

func (l *Learner) unsaved(name string, err error) {
	l.Logger.Warn("what is usual could not be saved", "service", name, "err", err)
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.rec.Services[name]; s != nil {
		s.changed = true
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
