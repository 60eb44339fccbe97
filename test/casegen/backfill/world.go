package backfill

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

const (
	step  = time.Minute // between scrapes, and between evaluations of the rules
	days  = 14
	steps = days * 24 * 60
)

// Page is one page of the fortnight and the truth about it.
type Page struct {
	Service string    // the alert is about
	Alert   string    //
	Onset   time.Time // the first minute that was bad
	End     time.Time // the first minute that was good again
	Cause   string    // what set it off: rollout, config, scale; or why it was no change: vendor, surge, node, flap
	Changed string    // service whose change it was; "" for none
	Version string    // of the rollout
	Share   float64   // of requests that failed, or that were slow
	set     string    // the ReplicaSet of Version
}

// ByChange reports whether a change set the page off.
func (p Page) ByChange() bool { return p.Changed != "" }

// World is the fortnight.
type World struct {
	From, To time.Time
	Pages    []Page // by onset

	services []*service
	byName   map[string]*service
	rng      *rand.Rand
}

// service is one Deployment with its history.
type service struct {
	name    string
	calls   []string
	rate    float64 // requests per second at noon
	phases  []phase // rollouts and rollbacks, by time
	sets    []replicaSet
	configs []int // minutes at which its ConfigMap changed
	sizes   []resize
	fail    []float64 // share of failing requests by minute, besides what a bad version does
	slow    []float64 // share of requests over half a second, likewise
	surge   []float64 // factor on the traffic
	total   []float64 // requests by minute, once simulated
	failed  []float64
	slowly  []float64
	serving [][]podShare // by minute; made when it is first asked for, once all phases are known
}

type replicaSet struct {
	name, version string
	created       int // minute
	fail, slow    float64
}

// phase is the time from which the pods of one ReplicaSet run.
type phase struct {
	at  int // minute at which the rollout begins
	set int // index of sets; of a rollback only once all phases are known
	gen int // generation of the Deployment

	back bool // to what ran before the phase before
}

type resize struct{ at, replicas int }

// shop is who calls whom.
var shop = []struct {
	name  string
	rate  float64
	calls []string
}{
	{"frontend", 120, []string{"checkout", "catalog", "cart", "search", "accounts"}},
	{"checkout", 20, []string{"payments", "pricing", "inventory", "shipping"}},
	{"catalog", 60, []string{"inventory", "reviews"}},
	{"cart", 30, []string{"accounts"}},
	{"search", 40, []string{"recommendations"}},
	{"payments", 15, []string{"fraud", "ledger"}},
	{"pricing", 45, nil},
	{"inventory", 50, nil},
	{"shipping", 12, []string{"notifications"}},
	{"reviews", 25, nil},
	{"fraud", 15, nil},
	{"ledger", 15, nil},
	{"recommendations", 35, nil},
	{"accounts", 55, nil},
	{"notifications", 10, nil},
}

// New makes up the fortnight that ends at to.
func New(to time.Time, seed uint64) *World {
	to = to.Truncate(step).UTC()
	w := &World{From: to.Add(-steps * step), To: to, byName: make(map[string]*service), rng: rand.New(rand.NewPCG(seed, 2))}
	for _, s := range shop {
		svc := &service{name: s.name, calls: s.calls, rate: s.rate}
		svc.fail, svc.slow, svc.surge = make([]float64, steps), make([]float64, steps), make([]float64, steps)
		for i := range svc.surge {
			svc.surge[i] = 1
		}
		w.services, w.byName[s.name] = append(w.services, svc), svc
		w.rollout(svc, -3000, 0, 0)
	}
	w.pages()
	w.everyday()
	for _, s := range w.services {
		w.order(s)
	}
	w.simulate()
	slices.SortFunc(w.Pages, func(a, b Page) int { return a.Onset.Compare(b.Onset) })
	return w
}

// order sorts the phases, finds what rollbacks go back to, and gives versions and generations in order of time.
func (w *World) order(s *service) {
	slices.SortStableFunc(s.phases, func(a, b phase) int { return a.at - b.at })
	versions := 0
	for i := range s.phases {
		p := &s.phases[i]
		p.gen = i + 4
		if p.back {
			p.set = s.phases[i-2].set
			continue
		}
		set := &s.sets[p.set]
		set.version = fmt.Sprintf("v1.%d.0", 40+versions)
		versions++
		for j := range w.Pages {
			if w.Pages[j].set == set.name {
				w.Pages[j].Version = set.version
			}
		}
	}
}

func (w *World) at(minute int) time.Time { return w.From.Add(time.Duration(minute) * step) }

const hashLetters = "bcdfghjklmnpqrstvwxz2456789"

func (w *World) hash(n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte(hashLetters[w.rng.IntN(len(hashLetters))])
	}
	return b.String()
}

// rollout adds a new ReplicaSet whose pods fail or are slow by the shares given, and returns its name.
func (w *World) rollout(s *service, minute int, fail, slow float64) string {
	set := replicaSet{name: s.name + "-" + w.hash(9), created: minute, fail: fail, slow: slow}
	s.sets = append(s.sets, set)
	s.phases = append(s.phases, phase{at: minute, set: len(s.sets) - 1})
	return set.name
}

// everyday adds rollouts that do no harm: about one every two days and service, never while a page of that service is open or
// shortly before it, except where the page's script says so.
func (w *World) everyday() {
	for _, s := range w.services {
		at := 200 + w.rng.IntN(1500)
		for at < steps-300 {
			if !w.near(s.name, at) {
				w.rollout(s, at, 0, 0)
			}
			at += 1500 + w.rng.IntN(2600)
		}
	}
}

func (w *World) near(name string, minute int) bool {
	return slices.ContainsFunc(w.Pages, func(p Page) bool {
		return (p.Service == name || p.Changed == name) && w.at(minute).After(p.Onset.Add(-3*time.Hour)) && w.at(minute).Before(p.End.Add(3*time.Hour))
	})
}
