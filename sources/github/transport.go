package github

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/dgraph-io/ristretto/v2"
)

// Bounds of the response cache and of one answer.
const (
	cacheBytes   = 32 << 20 // of cached bodies per source; a dropped one costs one request that is not free
	maxCached    = 4 << 20  // bytes of a body worth keeping
	maxBody      = 32 << 20 // bytes of a body that is read at all
	maxErrorBody = 64 << 10
)

// transport makes repeated GETs conditional, so that a quiet poll is a 304, which GitHub does not count; stops sending while
// GitHub wants us to wait; and counts outcomes. A 304 comes back to the caller as the 200 it confirms, with the fresh headers.
//
// It is our own (rather than an HTTP cache) because a poll must always ask the origin: freshness lifetimes, shared-cache rules
// and Vary on a token that changes every hour are exactly what must not happen here.
type transport struct {
	next    http.RoundTripper
	cache   *ristretto.Cache[string, *cached]
	limits  *limits
	metrics *metrics
	source  string
	now     func() time.Time
}

type cached struct {
	etag, modified string
	header         http.Header
	body           []byte
}

func newTransport(next http.RoundTripper, l *limits, m *metrics, source string, now func() time.Time) (*transport, error) {
	cache, err := ristretto.NewCache(&ristretto.Config[string, *cached]{
		NumCounters: 10_000, MaxCost: cacheBytes, BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		return nil, fmt.Errorf("make response cache: %w", err)
	}
	return &transport{next: next, cache: cache, limits: l, metrics: m, source: source, now: now}, nil
}

// RoundTrip implements http.RoundTripper. Its errors include *LimitError, with no request made while a pause lasts.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.limits.err(t.now()); err != nil {
		t.count("held_back")
		return nil, err
	}
	key := req.Header.Get("Accept") + " " + req.URL.String()
	var known *cached
	if req.Method == http.MethodGet {
		if c, ok := t.cache.Get(key); ok {
			known = c
			req = req.Clone(req.Context())
			if c.etag != "" {
				req.Header.Set("If-None-Match", c.etag)
			} else {
				req.Header.Set("If-Modified-Since", c.modified)
			}
		}
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			t.count("network")
		}
		return nil, err
	}
	if left := t.limits.observe(resp.Header, t.now()); left >= 0 {
		t.metrics.remaining.WithLabelValues(t.source).Set(float64(left))
	}
	switch {
	case resp.StatusCode == http.StatusNotModified && known != nil:
		t.count("not_modified")
		t.limits.passed()
		return replay(req, resp, known), nil
	case resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusTooManyRequests:
		return t.refused(resp)
	case resp.StatusCode == http.StatusUnauthorized:
		t.count("auth_error")
	case resp.StatusCode >= 500:
		t.count("server_error")
	case resp.StatusCode >= 400:
		t.count("client_error")
	default:
		t.count("ok")
		t.limits.passed()
	}
	if req.Method == http.MethodGet && resp.StatusCode == http.StatusOK {
		return t.keep(key, resp)
	}
	return resp, nil
}

// CloseIdleConnections lets http.Client close what is below.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *transport) count(outcome string) {
	t.metrics.requests.WithLabelValues(t.source, outcome).Inc()
}

// refused turns a rate limit into a *LimitError and leaves a missing permission as it is.
func (t *transport) refused(resp *http.Response) (*http.Response, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	_ = resp.Body.Close()
	if err != nil {
		t.count("network")
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if limit := t.limits.refuse(resp.StatusCode, resp.Header, body, t.now()); limit != nil {
		t.count("rate_limited")
		return nil, limit
	}
	t.count("auth_error")
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// keep reads the body, within bounds, and remembers it if the server gave a validator.
func (t *transport) keep(key string, resp *http.Response) (*http.Response, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	_ = resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("read answer: longer than %d bytes", maxBody)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	c := &cached{etag: resp.Header.Get("ETag"), modified: resp.Header.Get("Last-Modified"), header: resp.Header.Clone(), body: body}
	if (c.etag != "" || c.modified != "") && len(body) <= maxCached {
		t.cache.Set(key, c, int64(len(body))+1024)
		t.cache.Wait() // so that the next poll finds it
	} else {
		t.cache.Del(key)
	}
	return resp, nil
}

// replay answers with what a 304 confirmed. Headers of the 304 win: they carry the quota and the token's expiry as of now.
func replay(req *http.Request, fresh *http.Response, c *cached) *http.Response {
	_, _ = io.Copy(io.Discard, io.LimitReader(fresh.Body, maxErrorBody))
	_ = fresh.Body.Close()
	h := c.header.Clone()
	for name, values := range fresh.Header {
		switch name {
		case "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Link":
		default:
			h[name] = values
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(c.body)))
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: fresh.Proto, ProtoMajor: fresh.ProtoMajor, ProtoMinor: fresh.ProtoMinor,
		Header: h, Body: io.NopCloser(bytes.NewReader(c.body)), ContentLength: int64(len(c.body)), Request: req,
	}
}
