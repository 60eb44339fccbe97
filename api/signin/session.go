package signin

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// session is what the cookie of a person holds, sealed.
type session struct {
	ID      string    `json:"i"`
	Name    string    `json:"n"`
	Subject string    `json:"s"`
	Groups  []string  `json:"g,omitempty"`
	Until   time.Time `json:"u"`
}

func (s session) person() Person {
	return Person{Name: s.Name, Subject: s.Subject, Via: ViaOIDC, Groups: s.Groups}
}

// open begins a session.
func (d *Desk) open(h http.Header, p Person) error {
	life := time.Duration(d.opts.OIDC.Session)
	s := session{ID: rand.Text(), Name: p.Name, Subject: p.Subject, Groups: p.Groups, Until: d.now().Add(life).UTC().Truncate(time.Second)}
	sealed, err := d.people.seal(s)
	if err == nil && len(sealed) > maxCookie {
		s.Groups = d.keep(p.Groups)
		sealed, err = d.people.seal(s)
	}
	if err == nil && len(sealed) > maxCookie {
		err = fmt.Errorf("%d of the person's groups are named under auth.groups: too many for a cookie", len(s.Groups))
	}
	if err != nil {
		return fmt.Errorf("open a session: %w", err)
	}
	d.set(h, d.name("session"), sealed, life)
	return nil
}

// session reads the session of a request. One that is over, was signed out of, or was not sealed here is none.
func (d *Desk) session(r *http.Request) (s session, ok bool) {
	c, err := r.Cookie(d.name("session"))
	if err != nil || d.people.open(c.Value, &s) != nil {
		return session{}, false
	}
	if !d.now().Before(s.Until) || d.opts.SignedOut.has(s.ID) {
		return session{}, false
	}
	return s, true
}

// SignedOut remembers the sessions that were signed out of before they were over, over restarts too.
type SignedOut struct {
	store State
	mu    sync.Mutex
	until map[string]time.Time
	write sync.Mutex // one writer at a time, so that none overwrites another's
}

const (
	signedOutState = "signed-out"
	maxSignedOut   = 10000 // about 60 bytes each; beyond it those that end first are forgotten
)

// OpenSignedOut reads what is remembered.
func OpenSignedOut(ctx context.Context, store State, notFound func(error) bool) (*SignedOut, error) {
	s := &SignedOut{store: store, until: make(map[string]time.Time)}
	b, err := store.State(ctx, signedOutState)
	if err != nil {
		if notFound(err) {
			return s, nil
		}
		return nil, fmt.Errorf("read which sessions were signed out of: %w", err)
	}
	if err := json.Unmarshal(b, &s.until); err != nil {
		return nil, errors.New("read which sessions were signed out of: what is stored is no JSON")
	}
	return s, nil
}

func (s *SignedOut) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, out := s.until[id]
	return out
}

// add remembers a session until it would have ended. It counts at once, and is stored when add returns nil.
func (s *SignedOut) add(ctx context.Context, id string, until, now time.Time) error {
	s.write.Lock()
	defer s.write.Unlock()
	b, err := s.note(id, until, now)
	if err == nil {
		err = s.store.SetState(ctx, signedOutState, b)
	}
	if err != nil {
		return fmt.Errorf("store that a session was signed out of: %w", err)
	}
	return nil
}

func (s *SignedOut) note(id string, until, now time.Time) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.until, func(_ string, u time.Time) bool { return u.Before(now) })
	s.until[id] = until
	if len(s.until) > maxSignedOut {
		first := slices.SortedFunc(maps.Keys(s.until), func(a, b string) int { return cmp.Or(s.until[a].Compare(s.until[b]), cmp.Compare(a, b)) })
		delete(s.until, first[0])
	}
	return json.Marshal(s.until)
}
