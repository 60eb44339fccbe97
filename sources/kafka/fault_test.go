package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/triaged-dev/triaged/triage"
)

// restartable is a cluster that can be stopped hard and started again with its data, at the same address.
type restartable struct {
	peer        *peer
	stop, start func()
}

func restartables(t *testing.T, test func(t *testing.T, r restartable)) {
	t.Run("kfake", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		dir := t.TempDir()
		var c *kfake.Cluster
		r := restartable{stop: func() { c.Close() }, start: func() {
			var err error
			if c, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir), kfake.SyncWrites()); err != nil {
				t.Fatal(err)
			}
		}}
		r.start()
		t.Cleanup(func() { c.Close() })
		r.peer = newPeer(c.ListenAddrs())
		test(t, r)
	})
	t.Run("kafka", func(t *testing.T) { // a broker of its own, killed with -9
		b, err := newBroker(filepath.Join(t.TempDir(), "broker"))
		if err == nil {
			err = b.start()
		}
		needPeer(t, err)
		t.Cleanup(func() { b.kill() })
		test(t, restartable{peer: newPeer([]string{b.addr(0)}), stop: b.kill, start: func() {
			if err := b.start(); err != nil {
				t.Fatal(err)
			}
		}})
	})
}

// A broker that dies and returns costs time, and the status says so meanwhile; no acknowledged record is lost, and what was
// committed is not read again from the start.
func TestBrokerDiesAndReturns(t *testing.T) {
	restartables(t, func(t *testing.T, c restartable) {
		topic := unique(t, "t")
		c.peer.createTopic(t, topic, 2)
		cfg := c.peer.config(t, FormatTriaged, topic)
		cfg.SessionTimeout = model.Duration(6 * time.Second)
		w := c.peer.writer(t)
		r := start(t, Options{Config: cfg}, nil)
		want := make(map[string]bool)
		write := func(from, to int) {
			for n := from; n < to; n++ {
				if err := w.WriteEvents(t.Context(), topic, change(fmt.Sprint("s", n%4), n)); err != nil {
					t.Fatal(err)
				}
				want[fmt.Sprintf("test:s%d/%d", n%4, n)] = true
			}
		}
		drain := func() (twice int) {
			t.Helper()
			seen := make(map[string]int)
			for len(want) > 0 {
				id := r.take(t, 1)[0]
				if seen[id]++; seen[id] > 1 {
					twice++
				}
				delete(want, id)
			}
			return twice
		}
		write(0, 40)
		drain()
		for round := 1; round <= 2; round++ {
			c.stop()
			waitDown(t, r)
			c.start()
			write(100*round, 100*round+40)
			if twice := drain(); twice > 40 {
				t.Errorf("round %d: %d records came twice", round, twice)
			}
		}
		limit, cancel := context.WithTimeout(t.Context(), waitLimit)
		defer cancel()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for r.src.Status().State != triage.SourceOK {
			select {
			case <-tick.C:
			case <-limit.Done():
				t.Fatalf("the broker is back, but the status is %+v", r.src.Status())
			}
		}
	})
}

// A commit that fails is no reason to stop: the records may come again, and later commits cover them.
func TestCommitThatFails(t *testing.T) {
	p, c := fakePeer(t, kfake.SeedTopics(1, "t"))
	cfg := p.config(t, FormatTriaged, "t")
	var failed atomic.Int32
	c.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r := req.(*kmsg.OffsetCommitRequest)
		if r.Generation < 0 || failed.Load() >= 2 { // start offsets are set
			c.KeepControl()
			return nil, nil, false
		}
		c.KeepControl()
		failed.Add(1)
		return nil, errors.New("the coordinator went away"), true
	})
	w := p.writer(t)
	r := start(t, Options{Config: cfg}, nil)
	for n := range 5 {
		if err := w.WriteEvents(t.Context(), "t", change("a", n)); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[string]bool)
	for len(seen) < 5 {
		seen[r.take(t, 1)[0]] = true
	}
	r.stop()
	if failed.Load() == 0 {
		t.Error("no commit failed, so nothing was tested")
	}
}

// A broker that accepts connections and never answers must not hold up the daemon's stop, and must be seen.
func TestBrokerThatHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	asked := make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			wg.Go(func() { // read and never answer
				b := make([]byte, 4096)
				for {
					if _, err := c.Read(b); err != nil {
						return
					}
					once()
				}
			})
		}
	})
	t.Cleanup(wg.Wait) // runs after the connections are closed
	t.Cleanup(func() { l.Close() })
	p := newPeer([]string{l.Addr().String()})
	r := start(t, Options{Config: p.config(t, FormatTriaged, "t")}, nil)
	if st := r.src.Status(); st.State != triage.SourceDown {
		t.Errorf("want it down from the start, got %+v", st)
	}
	<-asked
	began := time.Now()
	r.stop()
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("stopping took %s", d)
	}
}

// A batch that the store keeps refusing does not hold up the stop either, and is not committed.
func TestStopWhileTheStoreRefuses(t *testing.T) {
	p, _ := fakePeer(t, kfake.SeedTopics(1, "t"))
	if err := p.writer(t).WriteEvents(t.Context(), "t", change("a", 1)); err != nil {
		t.Fatal(err)
	}
	cfg := p.config(t, FormatTriaged, "t")
	refused := make(chan struct{}, 100)
	r := start(t, Options{Config: cfg}, func([]triage.Event) error {
		refused <- struct{}{}
		return errors.New("disk full")
	})
	<-refused
	r.stop()
	if at := p.committed(t, cfg.GroupID, "t"); at > 0 {
		t.Errorf("committed %d although the store never took it", at)
	}
}
