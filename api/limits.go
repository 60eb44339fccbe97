package api

import (
	"time"

	"golang.org/x/sync/semaphore"
)

// Bounds that are not configurable.
const (
	maxBatchBytes    = 24 << 20         // of one body of changes
	maxAlertBytes    = 16 << 20         // of one body of alerts
	maxSmallBytes    = 4 << 20          // of one body of anything else
	maxAnswers       = 96 << 20         // bytes of answers that wait for their clients to read them
	answerTime       = 20 * time.Second // for a client to read its answer
	maxListLimit     = 1000             // items on a page; the journal ends a page after 2 MiB
	defaultListLimit = 100
	eventBuffer      = 64 // events waiting for one client of /api/v1/events
)

// budgets are how many bytes of bodies may be held at once, by sort: 138 MiB with those of hooks, and decoded about three times that.
// Alerts have their own, which nothing else can touch. One caller has half of each at most.
var budgets = map[laneName]struct{ most, share int64 }{
	laneAlerts: {2 * maxAlertBytes, maxAlertBytes},
	laneIntake: {2 * maxBatchBytes, maxBatchBytes},
	laneSmall:  {2 * maxSmallBytes, maxSmallBytes},
}

// HookBytes is what the bodies of all hooks may take together, of which half may be one hook's: the largest that GitHub sends.
const HookBytes = 2 * 25 << 20

// lane bounds the requests of one sort that are worked on at once, so that none starves the others.
type lane struct {
	name    string
	slots   *semaphore.Weighted // held while a request is worked on: not while its body arrives, nor while its answer leaves
	body    int64               // bytes of body that are read; 0: none is wanted
	timeout time.Duration       // for the answer; 0: the route is a stream
}

// settings are everything a reload may change. They are immutable but for the counters inside the semaphores.
type settings struct {
	limits Limits
	auth   *gate
	lanes  map[laneName]*lane
}

type laneName string

const (
	laneAlerts laneName = "alerts" // apart from everything else: they come when everything else is busy
	laneIntake laneName = "intake"
	laneRead   laneName = "read"
	laneSmall  laneName = "small" // POSTs with a small body: feedback
	laneAdmin  laneName = "admin" // reload, resend, retry
	laneLink   laneName = "link"  // links in messages, and what else asks for no token
	laneTriage laneName = "triage"
	laneStream laneName = "stream"
	laneOpen   laneName = "open" // health and metrics: never refused for load
)

// triageTimeout is above the evidence deadline of the correlator, which answers in time by itself.
const triageTimeout = 30 * time.Second

func newSettings(c Config, o Options) (*settings, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	g, err := newGate(c, o.ListenAddresses)
	if err != nil {
		return nil, err
	}
	if g.people, err = newPeople(c, o); err != nil {
		return nil, err
	}
	if g.people != nil && g.people.desk.Insecure() {
		g.warnings = append(g.warnings, "global.external_url is http: the sessions of those who sign in travel in the clear, and whoever sees one has it")
	}
	l, timeout := c.Limits, time.Duration(c.Limits.Timeout)
	s := &settings{limits: l, auth: g, lanes: make(map[laneName]*lane)}
	for _, d := range [...]struct {
		name    laneName
		slots   int
		body    int64
		timeout time.Duration
	}{
		{laneAlerts, l.InFlight, min(l.BatchBytes, maxAlertBytes), timeout},
		{laneIntake, l.InFlight, l.BatchBytes, timeout},
		{laneRead, l.InFlight, 0, timeout},
		{laneSmall, l.InFlight, min(l.RecordBytes, maxSmallBytes), timeout},
		{laneAdmin, l.InFlight, min(l.RecordBytes, maxSmallBytes), timeout},
		{laneLink, l.InFlight, 0, timeout},
		{laneTriage, l.Triages, min(l.RecordBytes, maxSmallBytes), triageTimeout},
		{laneStream, l.Streams, 0, 0},
	} {
		s.lanes[d.name] = &lane{string(d.name), semaphore.NewWeighted(int64(d.slots)), d.body, d.timeout}
	}
	s.lanes[laneOpen] = &lane{name: string(laneOpen), timeout: timeout}
	return s, nil
}
