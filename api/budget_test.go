package api_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/api"
)

// slowConn is a request's connection whose body sends a first part and then nothing, until its read deadline is in the past.
type slowConn struct {
	*httptest.ResponseRecorder
	first  io.Reader
	once   sync.Once
	closed chan struct{}
}

func stalled(first string) *slowConn {
	return &slowConn{ResponseRecorder: httptest.NewRecorder(), first: strings.NewReader(first), closed: make(chan struct{})}
}

func (s *slowConn) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		s.once.Do(func() { close(s.closed) })
	}
	return nil
}

func (s *slowConn) Read(p []byte) (int, error) {
	if n, err := s.first.Read(p); err == nil {
		return n, nil
	}
	<-s.closed
	return 0, errors.New("i/o timeout")
}

func (s *slowConn) request() *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(s))
	r.ContentLength = -1
	return r
}

func isBusy(err error) bool {
	busy, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && busy.Temporary()
}

// Bytes are charged as they arrive: bodies that announce much and send nothing take nothing from others.
func TestBudgetChargesWhatArrived(t *testing.T) {
	b := api.NewBudget(100, 60)
	for range 50 {
		r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
		r.ContentLength = 60
		defer b.Open(httptest.NewRecorder(), r, "attacker", 60, time.Minute).Close()
	}
	if got := b.Used(); got != 0 {
		t.Fatalf("want nothing charged, got %d", got)
	}
	x := b.Open(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", 60))), "honest", 60, time.Minute)
	if got, err := io.ReadAll(x); err != nil || len(got) != 60 || b.Used() != 60 {
		t.Errorf("want 60 bytes read and charged, got %d, %v, %d", len(got), err, b.Used())
	}
	if x.Close(); b.Used() != 0 {
		t.Errorf("want the bytes back, got %d", b.Used())
	}
}

// One name never holds more than its share, so another always gets in; and who stalls has to make room.
func TestBudgetPushesOutTheSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := api.NewBudget(100, 60)
		results := make(chan error, 8)
		var conns []*slowConn
		read := func(name, first string) {
			c := stalled(first)
			conns = append(conns, c)
			x := b.Open(c, c.request(), name, 60, time.Minute)
			go func() {
				_, err := io.ReadAll(x)
				x.Close()
				results <- err
			}()
			synctest.Wait()
			time.Sleep(time.Millisecond) // so that the order of arrival is known
		}
		read("attacker", strings.Repeat("a", 40))
		read("attacker", strings.Repeat("a", 20)) // the share is full
		read("other", strings.Repeat("o", 40))    // everything is full
		if got := b.Used(); got != 100 {
			t.Fatalf("want everything taken, got %d", got)
		}
		began := time.Now()
		x := b.Open(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("h", 40))), "honest", 60, time.Minute)
		got, err := io.ReadAll(x)
		if err != nil || len(got) != 40 {
			t.Fatalf("want the honest body, got %d bytes, %v", len(got), err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("want room within the patience, took %v", took)
		}
		if err := <-results; !isBusy(err) {
			t.Errorf("want the oldest of who holds most pushed out, got %v", err)
		}
		if len(results) != 0 {
			t.Errorf("want nobody else pushed out, got %d more", len(results))
		}
		// Whoever is over its own share makes room itself: another's body is left alone.
		read("attacker", strings.Repeat("a", 55))
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if err := <-results; !isBusy(err) {
			t.Errorf("want the attacker's other body pushed out, got %v", err)
		}
		if used := b.Used(); used > 100 {
			t.Errorf("want at most 100 bytes, got %d", used)
		}
		x.Close()
		for _, c := range conns {
			_ = c.SetReadDeadline(time.Unix(1, 0))
		}
		synctest.Wait()
		if got := b.Used(); got != 0 {
			t.Errorf("want every byte given back, got %d", got)
		}
	})
}
