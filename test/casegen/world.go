package main

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/test/casegen/scenario"
	"github.com/triaged-dev/triaged/triage"
)

// bystanders are services that have nothing to do with an incident.
var bystanders = strings.Fields(`accounts ads address-book analytics-api audit-log auth-gateway avatars backoffice billing booking
	cart catalog chat checkout comments coupons crm-sync currency dashboards delivery-eta documents email-templates events-ingest
	exports feeds fraud-score geo-lookup help-centre image-resizer inventory invoices jobs-scheduler ledger loyalty mailer
	maps media-store notifications onboarding orders partner-api payouts pdf-render permissions price-lists profiles push-gateway
	ratings recommendations referrals reports returns search search-index session-store shipping sms-gateway stock subscriptions
	surveys tax tenants thumbnails timelines translations uploads users vouchers warehouse webhooks wishlists`)

var (
	teams      = strings.Fields("team-amber team-birch team-cedar team-delta team-elm team-fjord team-garnet team-harbour team-iris team-juniper")
	regionSets = [][]string{{"eu-west", "us-east"}, {"eu1", "us1", "ap1"}, {"fra", "iad"}, {"north", "south"}}
)

// world is one incident being built: services, who calls whom, and when what happened.
type world struct {
	f     fact
	style measuring

	path    []string // services, root first
	root    string
	symptom string
	on      string   // the service the change was rolled out to
	others  []string // bystanders
	busy    []string // services that change often
	mute    map[string]bool

	onset, report, mitigated time.Time
	declared                 bool // by people: there is no rule behind the alert

	sc    scenario.Scenario
	truth *triage.Change
	ids   map[string]int
}

// rand is a stream of random numbers for one purpose, so that a change in one part moves nothing in another.
func (w *world) rand(purpose string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(w.f.ID + "\x00" + purpose)) // never returns an error
	return rand.New(rand.NewPCG(h.Sum64(), 3))
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// seconds between lo and hi.
func seconds(rng *rand.Rand, lo, hi float64) time.Duration {
	return time.Duration(lo+(hi-lo)*rng.Float64()) * time.Second
}

func within(rng *rand.Rand, lo, hi float64) float64 { return lo + (hi-lo)*rng.Float64() }

// logWithin is between lo and hi, evenly by ratio.
func logWithin(rng *rand.Rand, lo, hi float64) float64 {
	return lo * math.Exp(rng.Float64()*math.Log(hi/lo))
}

// settle names the services and draws the graph around them.
func (w *world) settle() {
	rng := w.rand("world")
	w.style = pick(rng, styles)
	for _, name := range slices.Concat(w.f.Services, w.f.MoreServices) {
		w.path = append(w.path, strings.TrimPrefix(name, "vendor:"))
	}
	n := len(w.f.Services)
	w.root, w.symptom, w.on = w.path[0], w.path[n-1], w.path[0]
	if w.f.ActsOn != "" {
		w.on = w.f.ActsOn
	}
	w.mute = make(map[string]bool)
	for _, name := range w.path[1:n] {
		w.edge(name, w.path[slices.Index(w.path, name)-1])
	}
	for _, name := range w.path[n:] {
		w.edge(name, w.symptom) // what serves pages calls what breaks
	}
	pool := slices.DeleteFunc(slices.Clone(bystanders), func(s string) bool { return slices.Contains(w.path, s) })
	rng.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
	w.others = pool[:7+rng.IntN(9)]
	// The first half of the bystanders calls what is on the path, the rest is called or stands apart; nothing calls in a circle.
	up := len(w.others) / 2
	for i, name := range w.others {
		switch {
		case i == 0: // somebody always calls the symptom
			w.edge(name, w.symptom)
		case i < up && rng.Float64() < 0.6:
			w.edge(name, pick(rng, w.path))
		case i >= up && rng.Float64() < 0.4:
			w.edge(pick(rng, w.path[:n]), name)
		}
		for range rng.IntN(3) {
			if j := i + 1 + rng.IntN(len(w.others)); j < len(w.others) {
				w.edge(name, w.others[j])
			}
		}
	}
	w.busy = []string{pick(rng, w.others), pick(rng, w.others)}
	w.describe(rng)
	for _, name := range w.others {
		w.mute[name] = rng.Float64() < 0.25
	}
	if n > 1 && w.f.SourceURL != "" && rng.Float64() < 0.2 { // hand-described scenarios have their own difficulty
		w.mute[w.root] = true
	}
}

func (w *world) edge(from, to string) {
	if from != to {
		w.sc.Edges = append(w.sc.Edges, [2]string{from, to})
	}
}

// calls reports whether from calls to directly.
func (w *world) calls(from, to string) bool { return slices.Contains(w.sc.Edges, [2]string{from, to}) }

// describe gives every service an owner, a tier and so on, as a catalogue would.
func (w *world) describe(rng *rand.Rand) {
	w.sc.Services = make(map[string]triage.Service)
	yes, no := true, false
	for i, name := range slices.Concat(w.path, w.others) {
		s := triage.Service{Owner: pick(rng, teams), Tier: 1 + rng.IntN(3)}
		s.Channel = "#" + strings.TrimPrefix(s.Owner, "team-") + "-oncall"
		switch rng.IntN(4) {
		case 0:
			s.AutoSync = &yes
		case 1, 2:
			s.AutoSync = &no
		}
		if rng.Float64() < 0.3 {
			s.Aliases = []string{name + "-svc"}
		}
		if name == w.symptom {
			s.Tier, s.UserFacing = 1, true
		}
		if i < len(w.f.Services) && strings.HasPrefix(w.f.Services[i], "vendor:") {
			s = triage.Service{External: true, Runbook: "https://runbooks.example/" + name}
		}
		if rng.Float64() < 0.15 && name != w.root {
			continue // the catalogue does not know everything
		}
		w.sc.Services[name] = s
	}
}

// healthy gives every measured service its quiet day.
func (w *world) healthy() {
	rng := w.rand("healthy")
	split := w.split()
	slow := 60 * time.Second
	for _, name := range slices.Concat(w.path, w.others) {
		h := scenario.Healthy{
			Service: name, Requests: logWithin(rng, 8, 2500), Errors: logWithin(rng, 0.0003, 0.006),
			Latency: logWithin(rng, 0.015, 0.6), CPU: within(rng, 0.2, 0.6),
		}
		onPath := slices.Contains(w.path, name)
		drop := rng.Float64()
		switch {
		case onPath: // what the fault shows on must be there to see
		case drop < 0.15:
			h.CPU = 0
		case drop < 0.3:
			h.Latency, h.CPU = 0, 0
		case drop < 0.4:
			h.Errors = 0
		}
		if rng.Float64() < 0.15 && w.sc.Step < slow {
			h.Step = slow
		}
		if onPath && name != w.on || name == w.symptom {
			h.Splits = split
		}
		if name == w.on && w.f.Play.Versions {
			h.Splits = []map[string]string{{"version": w.truth.PreviousVersion}, {"version": w.truth.Version}}
		} else if name == w.on {
			h.Splits = split
		}
		if !w.mute[name] {
			w.sc.Healthy = append(w.sc.Healthy, h)
		}
		if rng.Float64() < 0.12 { // a scrape that failed
			at := w.sc.From.Add(time.Duration(rng.Float64() * float64(w.report.Sub(w.sc.From)-8*time.Minute)))
			w.sc.Gaps = append(w.sc.Gaps, scenario.Gap{Service: name, From: at, To: at.Add(seconds(rng, 60, 420))})
		}
	}
}

// split is how the services on the path are measured apart, nil where they are not.
func (w *world) split() []map[string]string {
	rng := w.rand("split")
	if w.f.Play.Region != "" {
		return []map[string]string{{"region": w.f.Play.Region}, {"region": "elsewhere"}}
	}
	p := 0.2
	if w.f.Global {
		p = 0.6
	}
	if rng.Float64() >= p {
		return nil
	}
	var out []map[string]string
	for _, r := range pick(rng, regionSets) {
		out = append(out, map[string]string{"region": r})
	}
	return out
}
