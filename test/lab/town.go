package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/triaged-dev/triaged/test/lab/service"
	"github.com/triaged-dev/triaged/triage"
)

// town is one whole system: the office, its visitors, what watches it, and the daemons.
type town struct {
	dir      string
	postgres *postgres
	ca       *authority
	fleet    *fleet
	load     *load
	watchers *watchers
	room     *room
	daemons  []*daemon
	deployer *deployer
	born     time.Time

	stop context.CancelFunc
	log  io.Writer

	mu      sync.Mutex
	keepOff []string // services whose processes a scenario needs as they are
	release func()   // ends the lock of a running migration
}

// buildTown starts everything and begins to send visitors. Close takes it down again.
func buildTown(ctx context.Context, o options, seed uint64) (t *town, err error) {
	ctx, stop := context.WithCancel(ctx)
	t = &town{stop: stop, log: os.Stderr, born: time.Now()}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	if t.dir, err = os.MkdirTemp("", "triaged-lab-"); err != nil {
		return nil, err
	}
	if err = os.Chmod(t.dir, 0o755); err != nil { // the database's user passes through it
		return nil, err
	}
	if t.postgres, err = startPostgres(ctx, t.dir); err != nil {
		return nil, err
	}
	if t.ca, err = newAuthority(); err != nil {
		return nil, err
	}
	base := service.Settings{Database: t.postgres.dsn, Authority: filepath.Join(t.dir, "authority.pem"), Certificate: filepath.Join(t.dir, "acquirer.pem")}
	if err = replaceFile(base.Authority, t.ca.pem); err != nil {
		return nil, err
	}
	if err = t.certify(24 * time.Hour); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t.fleet = newFleet(t.dir, self, base)
	if err = t.fleet.open(ctx); err != nil {
		return nil, err
	}
	if t.room, err = openRoom(); err != nil {
		return nil, err
	}
	addresses, webhooks := make([]string, len(o.knowledge)), make([]string, len(o.knowledge))
	for i := range o.knowledge {
		if addresses[i], err = freeAddress(); err != nil {
			return nil, err
		}
		webhooks[i] = "http://" + addresses[i] + "/api/v1/alerts"
	}
	if t.watchers, err = startWatchers(ctx, t.dir, webhooks); err != nil {
		return nil, err
	}
	for i, k := range o.knowledge {
		d, err := startDaemon(ctx, o.binary, t.dir, k, t.watchers.prometheus, addresses[i], t.room.url)
		if err != nil {
			return nil, err
		}
		t.daemons = append(t.daemons, d)
	}
	t.deployer = &deployer{fleet: t.fleet, daemons: t.daemons, rand: rand.New(rand.NewPCG(seed, 7)), when: make(map[triage.ChangeID]time.Time), versions: make(map[string]int)}
	t.load = newLoad(func() []string { return t.fleet.addresses("gate") })
	t.load.run(ctx, seed)
	go t.innocents(ctx, o.innocent)
	return t, nil
}

// certify gives the acquirer a certificate that is good for so long.
func (t *town) certify(goodFor time.Duration) error {
	cert, err := t.ca.issue("acquirer", time.Now().Add(goodFor))
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(t.dir, "acquirer.pem"), cert)
}

func (t *town) close() {
	t.stop()
	for _, d := range t.daemons {
		d.close()
	}
	if t.watchers != nil {
		t.watchers.close()
	}
	if t.fleet != nil {
		t.fleet.close()
	}
	if t.room != nil {
		t.room.server.Close()
	}
	if t.postgres != nil {
		t.postgres.close()
	}
	if t.dir != "" {
		os.RemoveAll(t.dir)
	}
}

func (t *town) keep(services ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keepOff = services
}

func (t *town) kept(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Contains(t.keepOff, name)
}

func (t *town) logf(format string, args ...any) {
	fmt.Fprintf(t.log, time.Now().UTC().Format("15:04:05 ")+format+"\n", args...)
}
