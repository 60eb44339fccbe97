package kafka

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/triaged-dev/triaged/triage"
)

// disk is a State that can be put back to how it was when the process ended.
type disk struct {
	mu   sync.Mutex
	keys map[string][]byte
}

func (d *disk) State(_ context.Context, key string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keys[key], nil
}

func (d *disk) SetState(_ context.Context, key string, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys[key] = bytes.Clone(value)
	return nil
}

func (d *disk) copy() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &disk{keys: maps.Clone(d.keys)}
}

// A record over which the process ends is set aside after some restarts, alone: its neighbours are taken, and an end with another
// reason costs no record.
func TestRecordThatEndsTheProcess(t *testing.T) {
	p, _ := fakePeer(t, kfake.SeedTopics(1, "t"))
	w := p.writer(t)
	for n := range 5 {
		if err := w.WriteEvents(t.Context(), "t", change("a", n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Write(t.Context(), Record{Topic: "t", Value: []byte("poison")}); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteEvents(t.Context(), "t", change("a", 6)); err != nil {
		t.Fatal(err)
	}
	cfg := p.config(t, FormatCloudEvents, "t")
	state := &disk{keys: make(map[string][]byte)}
	seen := make(map[string]bool)
	const most = 2*carefulAfter + mostTries
	for lives := 1; ; lives++ {
		if lives > most {
			t.Fatalf("not set aside within %d lives", most)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended, last, asDead := make(chan *disk, 1), make(chan struct{}), state
		decode := func(h []Header, value []byte, at time.Time) ([]triage.Event, error) {
			if string(value) != "poison" {
				return decodeTriaged(h, value, at)
			}
			ended <- asDead.copy() // what a disk holds of a process that ends here
			cancel()
			return []triage.Event{change("dead", 0)}, nil
		}
		src, err := New(Options{Config: cfg, State: state, Decoders: map[string]Decoder{FormatCloudEvents: decode}, Quarantine: func(_ context.Context, q triage.Quarantined) error {
			if !strings.HasSuffix(q.Origin, "offset=5") || !strings.Contains(q.Reason, "set aside") || string(q.Body) != "poison" {
				t.Errorf("want only the poison set aside, got %+v", q)
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			_ = src.Run(ctx, func(ctx context.Context, es []triage.Event) error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				for _, e := range es {
					seen[string(e.Change.ID)] = true
					if e.Change.ID == "test:a/6" {
						close(last)
					}
				}
				return nil
			})
		}()
		select {
		case state = <-ended:
			<-stopped
			continue
		case <-last:
			cancel()
			<-stopped
		case <-time.After(waitLimit):
			t.Fatalf("life %d: neither ended nor went on: %+v", lives, src.Status())
		}
		break
	}
	if len(seen) != 6 {
		t.Errorf("want all six good records, got %v", seen)
	}
}

// Ends that nothing that was read is to blame for set nothing aside, and after a minute of life they are forgotten.
func TestEndsWithOtherReasons(t *testing.T) {
	state := &disk{keys: make(map[string][]byte)}
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	live := func(work func(l *lives)) *lives {
		l := &lives{key: "k", store: state}
		l.begin(t.Context(), now, 10)
		work(l)
		return l
	}
	for range carefulAfter {
		if live(func(*lives) {}).careful() {
			t.Fatal("careful too early")
		}
	}
	// Each life gets a record further: none of them is poison.
	for n := range 2 * mostTries {
		l := live(func(l *lives) {
			l.note(t.Context(), "topic=t partition=0 offset="+string(rune('0'+n)))
		})
		if !l.careful() || l.poison != "" {
			t.Fatalf("life %d: want care and nothing set aside, got %q", n, l.poison)
		}
	}
	l := live(func(l *lives) { l.look(t.Context(), now.Add(2*calmAfter)) })
	if l.careful() {
		t.Error("want calm after a while")
	}
	if live(func(*lives) {}).careful() {
		t.Error("want the ends before the calm forgotten")
	}
	live(func(l *lives) { l.end(t.Context()) })
	if got := string(state.keys["k"]); got != `{"ends":0}` {
		t.Errorf("want nothing left of an end that was asked for, got %s", got)
	}
}

// What goes wrong between kafka-go and a broker is said at a level that people see, once a minute.
func TestClientErrorsAreSaid(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	log := clientLog(slog.New(slog.NewTextHandler(&out, nil)), func() time.Time { return now })
	for range 5 {
		log.Printf("partition %d of %s: %s", 3, "deploys", "connection refused")
	}
	now = now.Add(quietFor)
	log.Printf("again")
	if got := out.String(); strings.Count(got, "level=WARN") != 2 || !strings.Contains(got, "partition 3 of deploys") || !strings.Contains(got, "more_since_last=4") {
		t.Errorf("want one warning a minute with what was left out, got\n%s", got)
	}
}
