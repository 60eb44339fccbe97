package api

import (
	"cmp"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Connections bounds how many connections are open. When there are too many a new one is still taken, and one of the host that
// has most of them is closed: an idle one first, then one that has not asked anything for a second, then the one that has been busy
// longest. So whoever opens very many only harms their own, and the sender of alerts gets in.
type Connections struct {
	most   int
	closed prometheus.Counter

	mu   sync.Mutex
	open map[*conn]struct{}
	by   map[string]int // host → open
}

// conn is an open connection. What follows the net.Conn is guarded by the mutex of its Connections.
type conn struct {
	net.Conn
	of    *Connections
	host  string
	state http.ConnState
	since time.Time // in this state
	once  sync.Once
}

// NewConnections makes a bound of most connections; reg may be nil.
func NewConnections(most int, reg prometheus.Registerer) *Connections {
	c := &Connections{most: most, open: make(map[*conn]struct{}), by: make(map[string]int), closed: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "triaged_http_connections_closed_total",
		Help: "Connections that were closed because there were more than auth.limits.connections.",
	})}
	if reg != nil {
		reg.MustRegister(c.closed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "triaged_http_connections", Help: "Connections that are open.",
		}, func() float64 { return float64(c.count()) }))
	}
	return c
}

func (c *Connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// Listen puts a listener under the bound.
func (c *Connections) Listen(l net.Listener) net.Listener { return &boundListener{l, c} }

type boundListener struct {
	net.Listener
	of *Connections
}

func (l *boundListener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	host := raw.RemoteAddr().String()
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	x := &conn{Conn: raw, of: l.of, host: host, since: time.Now()}
	if victim := l.of.add(x); victim != nil {
		l.of.closed.Inc()
		_ = victim.Close() // nobody is left to tell
	}
	return x, nil
}

// add books a connection and returns the one that has to go for it, or nil.
func (c *Connections) add(x *conn) (victim *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= c.most {
		for other := range c.open {
			if victim == nil || c.worse(other, victim) < 0 {
				victim = other
			}
		}
		c.drop(victim)
	}
	c.open[x] = struct{}{}
	c.by[x.host]++
	return victim
}

// newPatience is how long a connection may take to ask something before it goes for others.
const newPatience = time.Second

// rank is the order in which connections of one host have to go.
func (x *conn) rank() int {
	switch {
	case x.state == http.StateIdle:
		return 0
	case x.state != http.StateNew:
		return 2
	case time.Since(x.since) > newPatience:
		return 1
	}
	return 3
}

// worse orders connections by which has to go first. The mutex is held.
func (c *Connections) worse(a, b *conn) int {
	return cmp.Or(
		cmp.Compare(c.by[b.host], c.by[a.host]),
		cmp.Compare(a.rank(), b.rank()),
		a.since.Compare(b.since),
		cmp.Compare(a.RemoteAddr().String(), b.RemoteAddr().String()),
	)
}

// drop forgets a connection. The mutex is held.
func (c *Connections) drop(x *conn) {
	if _, known := c.open[x]; !known {
		return
	}
	delete(c.open, x)
	if c.by[x.host]--; c.by[x.host] == 0 {
		delete(c.by, x.host)
	}
}

// State is for http.Server.ConnState.
func (c *Connections) State(nc net.Conn, s http.ConnState) {
	if wrapped, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS
		nc = wrapped.NetConn()
	}
	x, ok := nc.(*conn)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x.state, x.since = s, time.Now()
	if s == http.StateClosed {
		c.drop(x)
	}
}

// CloseNew closes the connections that have not asked anything: http.Server.Shutdown would wait for them.
func (c *Connections) CloseNew() {
	c.mu.Lock()
	var found []*conn
	for x := range c.open {
		if x.state == http.StateNew {
			found = append(found, x)
		}
	}
	c.mu.Unlock()
	for _, x := range found {
		_ = x.Close() // nobody is left to tell
	}
}

// Close closes the connection once; the server closes it again when it notices.
func (x *conn) Close() (err error) {
	x.once.Do(func() {
		x.of.mu.Lock()
		x.of.drop(x)
		x.of.mu.Unlock()
		err = x.Conn.Close()
	})
	return err
}
