package github

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// LimitError says that GitHub asked us to wait, and until when. No request is made before that.
type LimitError struct {
	Kind  string // "primary" (the hourly quota) or "secondary" (too fast)
	Until time.Time
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s rate limit until %s", e.Kind, e.Until.UTC().Format(time.RFC3339))
}

// Waits. GitHub's windows are an hour long; anything longer is not believed.
const (
	secondaryWait = time.Minute // after a refusal that names no time, doubled while refusals go on
	maxWait       = time.Hour
	minWait       = time.Second
)

// limits remembers what GitHub said about how fast we may go. It is safe for concurrent use.
type limits struct {
	mu         sync.Mutex
	until      time.Time
	kind       string
	refusals   int // secondary refusals in a row without a time
	limit      int // requests per hour; 0: unknown
	remaining  int // -1: unknown
	reset      time.Time
	pollEvery  time.Duration // largest X-Poll-Interval seen
	tokenUntil time.Time     // expiry of the token; zero: it does not say
}

func newLimits() *limits { return &limits{remaining: -1} }

// blocked returns when the current pause ends, if there is one.
func (l *limits) blocked(now time.Time) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until, now.Before(l.until)
}

// err is the LimitError of the current pause, or nil.
func (l *limits) err(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.until) {
		return &LimitError{Kind: l.kind, Until: l.until}
	}
	return nil
}

func (l *limits) pollInterval() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pollEvery
}

// scarce reports whether less than a tenth of the hour's requests is left: time to do without the enrichments.
func (l *limits) scarce(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit > 0 && l.remaining >= 0 && l.remaining*10 < l.limit && now.Before(l.reset)
}

// observe reads the headers of an answer and returns how many requests are left, -1 if it does not say.
func (l *limits) observe(h http.Header, now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, err := strconv.Atoi(h.Get("X-Poll-Interval")); err == nil && s > 0 {
		l.pollEvery = min(time.Duration(s)*time.Second, maxWait)
	}
	left, err := strconv.Atoi(h.Get("X-RateLimit-Remaining"))
	if err != nil || h.Get("X-RateLimit-Resource") != "" && h.Get("X-RateLimit-Resource") != "core" {
		return -1
	}
	l.remaining = left
	if n, err := strconv.Atoi(h.Get("X-RateLimit-Limit")); err == nil {
		l.limit = n
	}
	if at, ok := resetTime(h, now); ok {
		l.reset = at
		if until := now.Add(min(at.Add(time.Second).Sub(now), maxWait)); left == 0 && until.After(l.until) {
			l.until, l.kind = until, "primary" // the next request would only be refused
		}
	}
	return left
}

// refuse decides whether a 403 or 429 is a rate limit rather than a missing permission, and if so starts the pause.
// body is the beginning of the answer.
func (l *limits) refuse(status int, h http.Header, body []byte, now time.Time) *LimitError {
	l.mu.Lock()
	defer l.mu.Unlock()
	var until time.Time
	kind := "secondary"
	wait, named := retryAfter(h, now)
	switch {
	case named:
		until = now.Add(wait)
	case h.Get("X-RateLimit-Remaining") == "0":
		kind = "primary"
		if at, ok := resetTime(h, now); ok {
			until = at.Add(time.Second) // the reset is in whole seconds of GitHub's clock
		} else {
			until = now.Add(secondaryWait)
		}
	case status == http.StatusTooManyRequests || saysLimited(body):
		until = now.Add(min(secondaryWait<<min(l.refusals, 6), maxWait))
		l.refusals++
	default:
		return nil
	}
	until = now.Add(min(max(until.Sub(now), minWait), maxWait))
	if until.After(l.until) {
		l.until, l.kind = until, kind
	}
	return &LimitError{Kind: l.kind, Until: l.until}
}

// passed notes an answer that was not refused.
func (l *limits) passed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusals = 0
}

func (l *limits) noteToken(expires time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokenUntil = expires
}

// tokenExpiry is when the token ends; zero when it never said.
func (l *limits) tokenExpiry() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tokenUntil
}

// saysLimited looks for the words of the secondary limit, which older servers send as a bare 403.
func saysLimited(body []byte) bool {
	b := bytes.ToLower(body)
	return bytes.Contains(b, []byte("secondary rate limit")) || bytes.Contains(b, []byte("secondary-rate-limits")) ||
		bytes.Contains(b, []byte("abuse detection")) || bytes.Contains(b, []byte("abuse-rate-limits"))
}

// retryAfter reads Retry-After in either of its forms.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	if s, err := strconv.Atoi(v); err == nil && s >= 0 {
		return time.Duration(min(s, int(maxWait/time.Second))) * time.Second, true
	}
	if at, err := http.ParseTime(v); err == nil {
		return at.Sub(now), true
	}
	return 0, false
}

func resetTime(h http.Header, now time.Time) (time.Time, bool) {
	s, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil || s <= 0 {
		return time.Time{}, false
	}
	at := time.Unix(s, 0)
	return at, at.After(now)
}
