package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// harms are what can happen to a file while the daemon uses it.
var harms = []struct {
	name string
	do   func(path string, r *rand.Rand) error
}{
	{"deleted", func(path string, _ *rand.Rand) error { return os.Remove(path) }},
	{"cut", func(path string, r *rand.Rand) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, r.Int64N(info.Size()+1))
	}},
	{"overwritten", func(path string, r *rand.Rand) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(bytes.Repeat([]byte("not what was written here "), 4000), r.Int64N(info.Size()+1))
		return errors.Join(err, f.Close())
	}},
}

// harmTally is what became of what was acknowledged, over all rounds of one kind of harm.
type harmTally struct{ rounds, before, lostBefore, flight, lostFlight, after, lostAfter int }

// filesHarmed deletes, cuts and overwrites the journal's files at random moments while changes come in. What is acknowledged after the
// daemon has noticed must be there. What was on the disk and has been destroyed by others may be gone; it is counted.
func filesHarmed(ctx context.Context, o options) error {
	r := rand.New(rand.NewPCG(o.seed, 17))
	rounds := 10
	if o.short {
		rounds = 1
	}
	var bad error
	for _, file := range []string{"", "-wal", "-shm"} {
		for _, h := range harms {
			if o.short && (file == "-shm" || h.name == "overwritten") {
				continue
			}
			t := &harmTally{}
			for range rounds {
				err := withDaemon(ctx, o, "", func(d *daemon) error { return harmOnce(ctx, d, d.journalPath()+file, h.do, r, t) })
				if err != nil {
					return fmt.Errorf("triaged.db%s %s: %w", file, h.name, err)
				}
			}
			fmt.Fprintf(o.out, "files triaged.db%s %s, %d times: acknowledged before %d, lost %d; within 1.5 s %d, lost %d; later %d, lost %d\n",
				file, h.name, t.rounds, t.before, t.lostBefore, t.flight, t.lostFlight, t.after, t.lostAfter)
			if t.lostAfter > 0 || h.name == "deleted" && t.lostBefore+t.lostFlight > 0 {
				bad = errors.Join(bad, fmt.Errorf("triaged.db%s %s: %d acknowledged after it are lost, %d before", file, h.name, t.lostAfter+t.lostFlight, t.lostBefore))
			}
		}
	}
	return bad
}

// noticed is when the daemon can know at the latest: it looks before each commit, and once a second for what it has not asked about.
const noticed = 1500 * time.Millisecond

func harmOnce(ctx context.Context, d *daemon, path string, harm func(string, *rand.Rand) error, r *rand.Rand, t *harmTally) error {
	type ack struct {
		id string
		at time.Time // when it was sent
	}
	var mu sync.Mutex
	var acks []ack
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for w := range 4 {
		senders.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id, at := fmt.Sprintf("harm:%d/%d", w, i), time.Now()
				if d.post(ctx, "/api/v1/changes", makeChange(id, i%50, at, 1024)) == nil {
					mu.Lock()
					acks = append(acks, ack{id, at})
					mu.Unlock()
				} else {
					pause(ctx, 5*time.Millisecond)
				}
			}
		})
	}
	pause(ctx, time.Duration(200+r.IntN(600))*time.Millisecond)
	err := harm(path, r)
	at := time.Now()
	if err == nil {
		err = d.await(ctx, patience, func() error { // until enough were taken after it
			mu.Lock()
			defer mu.Unlock()
			n := 0
			for _, a := range acks {
				if a.at.After(at.Add(noticed)) {
					n++
				}
			}
			if n < 20 {
				return fmt.Errorf("only %d were taken after it", n)
			}
			return nil
		})
	}
	close(stop)
	senders.Wait()
	if err != nil {
		return fmt.Errorf("%w; log: %s", err, d.log.String())
	}
	// A second recovery may be under way: what is asked for must be answered, not what is on the disk this moment.
	if err := d.await(ctx, patience, func() error { return d.get(ctx, "/-/ready", nil) }); err != nil {
		return err
	}
	t.rounds++
	for _, a := range acks {
		lost := 0
		if retried(ctx, func() error { return d.get(ctx, "/api/v1/changes/"+a.id, nil) }) != nil {
			lost = 1
		}
		switch {
		case a.at.Before(at):
			t.before, t.lostBefore = t.before+1, t.lostBefore+lost
		case a.at.Before(at.Add(noticed)):
			t.flight, t.lostFlight = t.flight+1, t.lostFlight+lost
		default:
			t.after, t.lostAfter = t.after+1, t.lostAfter+lost
		}
	}
	return nil
}
