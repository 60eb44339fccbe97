package collector

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/triaged-dev/triaged/triage"
)

// modelEntry is what a window should know of one Change.
type modelEntry struct {
	item
	keys map[uint64]bool
}

// Under any sequence of puts, updates, removals and evictions the window answers as a plain list would.
func TestWindowAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWindow()
		model := make(map[triage.ChangeID]*modelEntry)
		services := []string{"", "a", "b"}
		second := func(what string) time.Time {
			return t0.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, what)) * time.Second)
		}
		remove := func(match func(*modelEntry) bool) {
			for id, m := range model {
				if match(m) {
					delete(model, id)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				it := item{
					id: triage.ChangeID(fmt.Sprintf("id-%d", rapid.IntRange(0, 20).Draw(t, "id"))), kind: rapid.SampledFrom(triage.Kinds()).Draw(t, "kind"),
					scope: triage.Scope{Service: rapid.SampledFrom(services).Draw(t, "service"), Global: rapid.IntRange(0, 9).Draw(t, "global") == 0},
					start: second("start"), keys: rapid.SliceOfN(rapid.Uint64Range(0, 8), 0, 3).Draw(t, "keys"),
				}
				it.last = it.start.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "length")) * time.Second)
				w.put(it)
				m := model[it.id]
				if m == nil {
					m = &modelEntry{item: it, keys: make(map[uint64]bool)}
					model[it.id] = m
				}
				if it.start.After(m.start) {
					it.start = m.start
				}
				if it.last.Before(m.last) {
					it.last = m.last
				}
				m.item = it
				for _, k := range it.keys {
					m.keys[k] = true
				}
			},
			"remove": func(t *rapid.T) {
				id := triage.ChangeID(fmt.Sprintf("id-%d", rapid.IntRange(0, 20).Draw(t, "id")))
				if i := w.find(id); i != 0 {
					w.remove(i)
				}
				delete(model, id)
			},
			"evict": func(t *rapid.T) {
				cut := second("cut")
				w.evictBefore(cut)
				limit := cut.Unix() / bucketSeconds
				remove(func(m *modelEntry) bool { return m.last.Unix()/bucketSeconds < limit })
			},
			"": func(t *rapid.T) {
				if w.count != len(model) {
					t.Fatalf("count is %d, want %d", w.count, len(model))
				}
				q := triage.ChangeQuery{From: second("from"), Services: [][]string{nil, {"a"}, {"a", "b", "a"}}[rapid.IntRange(0, 2).Draw(t, "services")]}
				q.To = q.From.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "to")) * time.Second)
				var got, want []triage.ChangeID
				found, _ := w.query(q)
				for _, m := range found {
					got = append(got, m.id)
				}
				for id, m := range model {
					reaches := len(q.Services) == 0 || m.scope.Global || m.scope.Service == "" || slices.Contains(q.Services, m.scope.Service)
					if reaches && !m.start.After(q.To) && !m.last.Before(q.From) {
						want = append(want, id)
					}
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("query found %v, want %v", got, want)
				}
				q.Near, q.Limit = &triage.Near{At: second("near"), Service: "a"}, rapid.IntRange(1, 5).Draw(t, "limit")
				far := func(id triage.ChangeID) int64 {
					m := model[id]
					d := max(0, m.start.Unix()-q.Near.At.Unix(), q.Near.At.Unix()-m.last.Unix())
					if !m.scope.Global && m.scope.Service != "a" {
						d += 1 << 32
					}
					return d
				}
				slices.SortFunc(want, func(a, b triage.ChangeID) int { return cmp.Or(cmp.Compare(far(a), far(b)), cmp.Compare(a, b)) })
				want, got = want[:min(q.Limit, len(want))], nil
				found, selected := w.query(q)
				for _, m := range found {
					got = append(got, m.id)
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) || selected < len(got) {
					t.Fatalf("of %d the nearest %d to %s are %v, want %v", selected, q.Limit, q.Near.At, got, want)
				}
				for k := range uint64(9) {
					var got, want []triage.ChangeID
					w.keys.each(k, func(i uint32) bool { got = append(got, w.id(i)); return true })
					for id, m := range model {
						if m.keys[k] {
							want = append(want, id)
						}
					}
					slices.Sort(got)
					slices.Sort(want)
					if !slices.Equal(got, want) {
						t.Fatalf("key %d found %v, want %v", k, got, want)
					}
				}
			},
		})
	})
}

// A full window that is emptied and filled again must not grow: memory is bounded by what it holds.
func TestWindowReusesMemory(t *testing.T) {
	w := newWindow()
	var blocks, chunks, nodes int
	for round := range 4 {
		begin := t0.Add(time.Duration(round) * 10 * time.Hour)
		for i := range 20_000 {
			w.put(benchItem(round*20_000+i, begin.Add(time.Duration(i)*time.Second/10)))
		}
		if round == 0 {
			blocks, chunks, nodes = len(w.entries.blocks), len(w.ids.chunks), len(w.keys.nodes.blocks)
		} else if len(w.entries.blocks) > blocks || len(w.ids.chunks) > chunks+1 || len(w.keys.nodes.blocks) > nodes {
			t.Errorf("round %d: %d entry blocks, %d id chunks, %d key blocks; the first took %d, %d, %d",
				round, len(w.entries.blocks), len(w.ids.chunks), len(w.keys.nodes.blocks), blocks, chunks, nodes)
		}
		if n := w.evictBefore(begin.Add(9 * time.Hour)); n != 20_000 || w.count != 0 || len(w.ring) != 0 || len(w.services) != 0 || len(w.scopeOf) != 0 {
			t.Fatalf("round %d: evicted %d, left %d in %d buckets of %d services with %d scopes", round, n, w.count, len(w.ring), len(w.services), len(w.scopeOf))
		}
	}
}

// Eviction goes by the last activity: a rollout that still moves stays, however long ago it began.
func TestLongRolloutStays(t *testing.T) {
	w := newWindow()
	w.put(item{id: "short", start: at(0), last: at(1)})
	w.put(item{id: "long", start: at(0), last: at(1)})
	w.put(item{id: "long", start: at(0), last: at(200)})
	w.evictBefore(at(180))
	if w.find("short") != 0 || w.find("long") == 0 {
		t.Error("want the long one alone to stay")
	}
}

func TestFilter(t *testing.T) {
	f := newIDFilter()
	if !f.mayHave("x") {
		t.Error("an incomplete filter said no")
	}
	for i := range 100_000 {
		f.add(triage.ChangeID(fmt.Sprintf("known-%d", i)))
	}
	f.complete.Store(true)
	wrong := 0
	for i := range 100_000 {
		if !f.mayHave(triage.ChangeID(fmt.Sprintf("known-%d", i))) {
			t.Fatalf("said no to known-%d", i)
		}
		if f.mayHave(triage.ChangeID(fmt.Sprintf("other-%d", i))) {
			wrong++
		}
	}
	if wrong > 200 {
		t.Errorf("said yes to %d of 100000 unknown ids", wrong)
	}
}
