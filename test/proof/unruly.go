package main

import (
	"net"
	"sync"
	"time"
)

// fault is how a listener misbehaves below the protocol.
type fault string

const (
	wellBehaved fault = ""
	slow        fault = "slow"  // every read waits 300 ms
	hung        fault = "hung"  // connections are taken and nothing moves
	resets      fault = "reset" // connections are torn with RST at the first read
	flaps       fault = "flap"  // 200 ms well behaved, 200 ms resets
)

// unruly is a listener whose connections misbehave as told, also those that are open already.
type unruly struct {
	net.Listener
	mu      sync.Mutex
	fault   fault
	changed chan struct{} // closed when the fault changes
}

func newUnruly(network, address string) (*unruly, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return &unruly{Listener: l, changed: make(chan struct{})}, nil
}

func (u *unruly) set(f fault) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fault = f
	close(u.changed)
	u.changed = make(chan struct{})
}

func (u *unruly) now() (fault, <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.fault, u.changed
}

func (u *unruly) Accept() (net.Conn, error) {
	c, err := u.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &unrulyConn{Conn: c, of: u, closed: make(chan struct{})}, nil
}

type unrulyConn struct {
	net.Conn
	of     *unruly
	once   sync.Once
	closed chan struct{}
}

func (c *unrulyConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *unrulyConn) Read(p []byte) (int, error)  { c.misbehave(); return c.Conn.Read(p) }
func (c *unrulyConn) Write(p []byte) (int, error) { c.misbehave(); return c.Conn.Write(p) }

// misbehave happens before bytes move; a reset connection then fails by itself.
func (c *unrulyConn) misbehave() {
	f, changed := c.of.now()
	if f == flaps && time.Now().UnixMilli()/200%2 == 0 {
		f = resets
	}
	switch f {
	case slow:
		select {
		case <-time.After(300 * time.Millisecond):
		case <-c.closed:
		}
	case hung:
		select {
		case <-changed:
		case <-c.closed:
		}
	case resets:
		if t, ok := c.Conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // so that closing sends RST
		}
		_ = c.Close()
	case wellBehaved, flaps:
	}
}
