package hooks

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// untouched fails the test when anything of it is read.
type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("a body was read before its sender was known")
	return 0, io.EOF
}

func (u untouched) Close() error { return nil }

// Nothing is read of a body whose header already says that its sender cannot prove anything.
func TestUnsignedBodiesAreNotRead(t *testing.T) {
	sender := flagSender()
	sender.Announces = func(_, _ string, h http.Header) error {
		if h.Get("X-Sig") == "" {
			return errors.New("want header X-Sig")
		}
		return nil
	}
	s, err := New(Options{
		Hooks: []Config{{Name: "ld", Type: "flags", Secret: testSecret, MaxBytes: 5 << 20}}, Senders: func(Config) (Sender, error) { return sender, nil },
		Bodies: func(_ http.ResponseWriter, _ *http.Request, _ string, _ int64, _ time.Duration) io.ReadCloser {
			return untouched{t}
		},
		Emit: (&store{}).emit, Quarantine: (&store{}).quarantine,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/hooks/ld", http.NoBody))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("want 401, got %d: %s", w.Code, w.Body)
	}
}

// crowded is what a body is when others hold the room.
type crowded struct{ untouched }

func (crowded) Read([]byte) (int, error) { return 0, crowdedError{} }

type crowdedError struct{}

func (crowdedError) Error() string   { return "no room" }
func (crowdedError) Temporary() bool { return true }

// A body for which there is no room is to be sent again, and is charged to its own hook.
func TestNoRoomForABody(t *testing.T) {
	var charged string
	s, err := New(Options{
		Hooks: []Config{{Name: "ld", Type: "flags", Secret: testSecret, MaxBytes: 4096}}, Senders: func(Config) (Sender, error) { return flagSender(), nil },
		Bodies: func(_ http.ResponseWriter, _ *http.Request, name string, limit int64, _ time.Duration) io.ReadCloser {
			charged = name
			if limit != 4096 {
				t.Errorf("want the hook's own bound, got %d", limit)
			}
			return crowded{}
		},
		Emit: (&store{}).emit, Quarantine: (&store{}).quarantine,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/hooks/ld", http.NoBody))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || charged != "ld" {
		t.Errorf("want 503 with Retry-After, charged to the hook, got %d, %v, %q", w.Code, w.Header(), charged)
	}
}
