package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The store is a shared cache: a TCP server with a line protocol and, like many of its kind, no metrics about requests.
//
//	get KEY        → "hit LENGTH" and the value, or "miss"
//	set KEY MS LENGTH and the value → "ok"
type store struct {
	p  *process
	mu sync.Mutex
	m  map[string]cached
	in limiter
}

func (p *process) serveStore(ctx context.Context, l net.Listener) error {
	s := &store{p: p, m: make(map[string]cached)}
	p.meter.gauge("store_keys", nil, func() float64 { s.mu.Lock(); defer s.mu.Unlock(); return float64(len(s.m)) })
	connected := prometheus.NewGauge(prometheus.GaugeOpts{Name: "store_connections", Help: "Connections."})
	p.meter.reg.MustRegister(connected)
	go func() { <-ctx.Done(); l.Close() }()
	for {
		conn, err := l.Accept()
		if err != nil {
			return nil // closed
		}
		go func() {
			defer conn.Close()
			connected.Inc()
			defer connected.Dec()
			_ = s.talk(ctx, conn) // an end of a connection is no event
		}()
	}
}

func (s *store) talk(ctx context.Context, conn net.Conn) error {
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		cfg := s.p.settings()
		if !s.in.enter(ctx, int(cfg.value("threads", 8)), 256) {
			return errors.New("busy")
		}
		time.Sleep(cfg.millis("op_ms", 0.4) + time.Duration(cfg.Build.DelayMS*float64(time.Millisecond)))
		err = s.answer(line, r, conn, cfg)
		s.in.leave()
		if err != nil {
			return err
		}
	}
}

func (s *store) answer(line string, r io.Reader, w io.Writer, cfg *Settings) error {
	var verb, key string
	var ms, n int
	_, _ = fmt.Sscan(line, &verb, &key, &ms, &n) // get has two words only
	switch {
	case verb == "get":
		s.mu.Lock()
		e, ok := s.m[key]
		s.mu.Unlock()
		if !ok || time.Now().After(e.expires) {
			_, err := io.WriteString(w, "miss\n")
			return err
		}
		_, err := fmt.Fprintf(w, "hit %d\n%s", len(e.value), e.value)
		return err
	case verb == "set" && n >= 0 && n < 1<<16:
		value := make([]byte, n)
		if _, err := io.ReadFull(r, value); err != nil {
			return err
		}
		s.mu.Lock()
		for k := range s.m { // evicts anything, as many as are too many
			if len(s.m) < int(cfg.value("max_keys", 4000)) {
				break
			}
			delete(s.m, k)
		}
		s.m[key] = cached{value, time.Now().Add(time.Duration(ms) * time.Millisecond)}
		s.mu.Unlock()
		_, err := io.WriteString(w, "ok\n")
		return err
	}
	return fmt.Errorf("cannot read %q", line)
}

// storeClient is a process's pool of connections to the store.
type storeClient struct {
	p    *process
	in   limiter
	idle chan net.Conn
}

func (p *process) newStoreClient() *storeClient {
	return &storeClient{p: p, idle: make(chan net.Conn, 8)}
}

// get asks for a key. A store that does not answer is an error and, for the caller, a miss.
func (c *storeClient) get(ctx context.Context, key string) (value []byte, hit bool, err error) {
	err = c.talk(ctx, "get", "get "+key+"\n", func(r *bufio.Reader) error {
		line, err := r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "hit ") {
			return err
		}
		var n int
		if _, err := fmt.Sscan(line[4:], &n); err != nil {
			return err
		}
		value, hit = make([]byte, n), true
		_, err = io.ReadFull(r, value)
		return err
	})
	c.p.meter.cache("store", hit && err == nil)
	return value, hit && err == nil, err
}

func (c *storeClient) set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return c.talk(ctx, "set", fmt.Sprintf("set %s %d %d\n%s", key, ttl.Milliseconds(), len(value), value), func(r *bufio.Reader) error {
		_, err := r.ReadString('\n')
		return err
	})
}

// talk takes a connection from the pool, or dials one, and gives it back if all went well.
func (c *storeClient) talk(ctx context.Context, operation, ask string, answer func(*bufio.Reader) error) (err error) {
	began := time.Now()
	defer func() { c.p.meter.query("redis", "store", operation, err, time.Since(began)) }()
	timeout := c.p.settings().millis("timeout_ms.store", 250)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if !c.in.enter(ctx, int(c.p.settings().value("store_pool", 8)), 64) {
		return context.DeadlineExceeded
	}
	defer c.in.leave()
	var conn net.Conn
	select {
	case conn = <-c.idle:
	default:
		addresses := c.p.registry.now.Load().addresses(c.p.name, "store")
		if len(addresses) == 0 {
			return errors.New("no instance of store")
		}
		if conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", addresses[0]); err != nil {
			return err
		}
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if _, err = io.WriteString(conn, ask); err == nil {
		err = answer(bufio.NewReader(conn))
	}
	if err != nil {
		conn.Close()
		return err
	}
	select {
	case c.idle <- conn:
	default:
		conn.Close()
	}
	return nil
}
