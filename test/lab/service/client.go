package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// client calls one other service: over a pool of kept connections, with a timeout and retries that are configuration.
type client struct {
	p      *process
	callee string
	scheme string
	http   *http.Client
	turn   atomic.Uint64
}

// newClient makes the client of a callee. trust is nil for plain HTTP.
func (p *process) newClient(callee string, trust *tls.Config) *client {
	scheme := "http"
	if trust != nil {
		scheme = "https"
	}
	transport := &http.Transport{
		DialContext: (&net.Dialer{Timeout: time.Second}).DialContext, TLSClientConfig: trust,
		MaxIdleConnsPerHost: 16, MaxConnsPerHost: 32, IdleConnTimeout: 3 * time.Second, TLSHandshakeTimeout: time.Second,
	}
	return &client{p: p, callee: callee, scheme: scheme, http: &http.Client{Transport: transport}}
}

// do calls until it is answered below 500 or its retries are used up, and returns the last answer. Each attempt is measured.
func (c *client) do(ctx context.Context, method, path string) (code int, body []byte, err error) {
	s := c.p.settings()
	timeout, retries := s.millis("timeout_ms."+c.callee, 1500), int(s.value("retries."+c.callee, 0))
	for attempt := 0; ; attempt++ {
		code, body, err = c.once(ctx, method, path, timeout)
		if err == nil && code < 500 || attempt >= retries || ctx.Err() != nil {
			return code, body, err
		}
	}
}

func (c *client) once(ctx context.Context, method, path string, timeout time.Duration) (code int, body []byte, err error) {
	began, failure := time.Now(), ""
	defer func() { c.p.meter.call(c.callee, method, code, failure, time.Since(began)) }()
	addresses := c.p.registry.now.Load().addresses(c.p.name, c.callee)
	if len(addresses) == 0 {
		failure = "no_instance"
		return 0, nil, fmt.Errorf("no instance of %s", c.callee)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.scheme+"://"+addresses[c.turn.Add(1)%uint64(len(addresses))]+path, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		failure = failureOf(err)
		return 0, nil, err
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20)); err != nil {
		failure = failureOf(err)
		return 0, nil, err
	}
	return resp.StatusCode, body, nil
}

// failureOf is the short word metrics have for an error.
func failureOf(err error) string {
	var certificate *tls.CertificateVerificationError
	var network net.Error
	switch {
	case errors.As(err, &certificate):
		return "certificate"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "timeout"
	}
	return "connection"
}

// ok makes an error of an answer that is none.
func ok(code int, err error) error {
	if err == nil && code >= 500 {
		err = fmt.Errorf("status %d", code)
	}
	return err
}
