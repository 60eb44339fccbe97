package api

import (
	"time"

	"golang.org/x/sync/semaphore"
)

// Bounds that are not configurable.
const (
	maxBodiesInMemory = 64 << 20 // bytes of request bodies held at once, by all requests; decoded they take about three times that
	maxListLimit      = 1000     // items on a page: at 64 KiB a change, 64 MiB at the very worst
	defaultListLimit  = 100
	eventBuffer       = 64 // events waiting for one client of /api/v1/events
)

// lane bounds the requests of one sort that are worked on at once, so that none starves the others.
type lane struct {
	name    string
	slots   *semaphore.Weighted
	body    int64         // bytes of body that are read; 0: none is wanted
	timeout time.Duration // for the answer; 0: the route is a stream
}

// settings are everything a reload may change. They are immutable but for the counters inside the semaphores.
type settings struct {
	limits Limits
	auth   *gate
	lanes  map[laneName]*lane
	bodies *semaphore.Weighted
}

type laneName string

const (
	laneIntake laneName = "intake"
	laneRead   laneName = "read"
	laneSmall  laneName = "small" // POSTs with a small body: feedback, resend, reload
	laneTriage laneName = "triage"
	laneStream laneName = "stream"
	laneOpen   laneName = "open" // health and metrics: never refused for load
)

// triageTimeout is above the evidence deadline of the correlator, which answers in time by itself.
const triageTimeout = 30 * time.Second

func newSettings(c Config, listen []string) (*settings, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	g, err := newGate(c, listen)
	if err != nil {
		return nil, err
	}
	l, timeout := c.Limits, time.Duration(c.Limits.Timeout)
	s := &settings{limits: l, auth: g, bodies: semaphore.NewWeighted(maxBodiesInMemory), lanes: make(map[laneName]*lane)}
	for _, d := range [...]struct {
		name    laneName
		slots   int
		body    int64
		timeout time.Duration
	}{
		{laneIntake, l.InFlight, l.BatchBytes, timeout},
		{laneRead, l.InFlight, 0, timeout},
		{laneSmall, l.InFlight, l.RecordBytes, timeout},
		{laneTriage, l.Triages, l.RecordBytes, triageTimeout},
		{laneStream, l.Streams, 0, 0},
	} {
		s.lanes[d.name] = &lane{string(d.name), semaphore.NewWeighted(int64(d.slots)), d.body, d.timeout}
	}
	s.lanes[laneOpen] = &lane{name: string(laneOpen), timeout: timeout}
	return s, nil
}
