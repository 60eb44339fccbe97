package try

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/config"
)

// Cost is what a run asked of the server.
type Cost struct {
	Queries     int     `json:"queries"`
	Failed      int     `json:"failed,omitempty"`
	MaxInFlight int     `json:"max_in_flight"`
	QueryS      float64 `json:"query_s"` // seconds the server took, of all queries together
	SlowestS    float64 `json:"slowest_s"`
	Bytes       int64   `json:"bytes"`
	ElapsedS    float64 `json:"elapsed_s"`
}

// meter counts requests on their way to the server.
type meter struct {
	next http.RoundTripper

	mu     sync.Mutex
	flying int
	c      Cost
}

// RoundTrip counts from the request to the end of the answer's body.
func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	m.mu.Lock()
	m.flying++
	m.c.Queries++
	m.c.MaxInFlight = max(m.c.MaxInFlight, m.flying)
	m.mu.Unlock()
	landed := func(n int64, failed bool) {
		took := time.Since(began).Seconds()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.flying--
		m.c.Bytes += n
		m.c.QueryS += took
		m.c.SlowestS = max(m.c.SlowestS, took)
		if failed {
			m.c.Failed++
		}
	}
	resp, err := m.next.RoundTrip(r)
	if err != nil {
		landed(0, true)
		return nil, err
	}
	resp.Body = &meteredBody{ReadCloser: resp.Body, landed: func(n int64) { landed(n, resp.StatusCode/100 != 2) }}
	return resp, nil
}

func (m *meter) cost(elapsed time.Duration) Cost {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.c
	c.ElapsedS = elapsed.Seconds()
	return c
}

type meteredBody struct {
	io.ReadCloser
	n      int64
	once   sync.Once
	landed func(int64)
}

func (b *meteredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	return n, err
}

// Close ends the count; the client always closes.
func (b *meteredBody) Close() error {
	b.once.Do(func() { b.landed(b.n) })
	return b.ReadCloser.Close()
}

// splitCredentials takes user and password out of the URL, so that no error can show them.
func splitCredentials(raw string) (string, *config.BasicAuth, error) {
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "", nil, errors.New("--prometheus: must be a URL, like http://prometheus:9090")
	}
	if u.User == nil {
		return raw, nil, nil
	}
	password, _ := u.User.Password()
	auth := &config.BasicAuth{Username: u.User.Username(), Password: config.Secret(password)}
	u.User = nil
	return u.String(), auth, nil
}

// bar tells somebody at a terminal how far it is. Elsewhere it says nothing.
type bar struct {
	w     io.Writer
	drawn bool
}

func newBar(w io.Writer, terminal bool) *bar {
	if !terminal {
		w = nil
	}
	return &bar{w: w}
}

func (b *bar) show(what string, done float64) {
	if b.w == nil {
		return
	}
	const width = 24
	n := int(min(max(done, 0), 1) * width)
	fmt.Fprintf(b.w, "\r\x1b[K%s%s %s", strings.Repeat("█", n), strings.Repeat("░", width-n), what)
	b.drawn = true
}

func (b *bar) done() {
	if b.w != nil && b.drawn {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
