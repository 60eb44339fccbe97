package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

// load are the visitors: they come at random, at a given rate, whether they are served or not.
type load struct {
	client   *http.Client
	gates    func() []string // where the gate's instances listen
	factor   atomic.Int64    // per cent of the usual rate
	inFlight atomic.Int64
	sent     atomic.Int64
	failed   atomic.Int64
}

// maxInFlight bounds the visitors at once; beyond it nobody more comes.
const maxInFlight = 256

var journeys = []struct {
	method, path string
	rate         float64 // a second
}{
	{http.MethodGet, "/find?q=", 9},
	{http.MethodGet, "/map?event=", 6},
	{http.MethodPost, "/buy?event=", 6},
}

func newLoad(gates func() []string) *load {
	l := &load{gates: gates, client: &http.Client{Timeout: 4 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 5 * time.Second}}}
	l.factor.Store(100)
	return l
}

// run sends visitors of every journey until ctx ends.
func (l *load) run(ctx context.Context, seed uint64) {
	for i, j := range journeys {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		words, events := rand.NewZipf(r, 1.15, 4, 400), rand.NewZipf(r, 1.1, 8, 39)
		go func() {
			for n := 0; ctx.Err() == nil; n++ {
				sleep(ctx, time.Duration(r.ExpFloat64()/(j.rate*float64(l.factor.Load())/100)*float64(time.Second)))
				argument := events.Uint64()
				if j.path == "/find?q=" {
					argument = words.Uint64()
				}
				gates := l.gates()
				if len(gates) == 0 || l.inFlight.Load() >= maxInFlight || ctx.Err() != nil {
					continue
				}
				l.inFlight.Add(1)
				go l.visit(ctx, j.method, fmt.Sprintf("http://%s%s%d", gates[n%len(gates)], j.path, argument))
			}
		}()
	}
}

func (l *load) visit(ctx context.Context, method, url string) {
	defer l.inFlight.Add(-1)
	l.sent.Add(1)
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return
	}
	resp, err := l.client.Do(req)
	if err != nil {
		l.failed.Add(1)
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // only so that the connection is kept
	if resp.StatusCode >= 500 {
		l.failed.Add(1)
	}
}
