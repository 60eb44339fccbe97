package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/time/rate"

	"github.com/triaged-dev/triaged/triage"
)

// caller is who a request comes from, as far as we can prove it.
type caller struct {
	name   string // of the token; "anonymous", "local"
	scopes []Scope
	limit  *rate.Limiter // nil: no limit
	// sources are the names under which it may report; nil: any.
	sources []string
	// actor is the caller as what it does is put down to.
	actor triage.Actor
	// ambient: the browser says by itself who this is, whoever has it ask.
	ambient bool
}

func (c *caller) may(s Scope) bool {
	return slices.Contains(c.scopes, s) || slices.Contains(c.scopes, ScopeAdmin)
}

// gate knows the callers. It is immutable.
type gate struct {
	tokens    []keyedCaller
	anonymous *caller // nil: not let in
	local     *caller // nil: callers on this machine need a token too
	people    *people // nil: nobody signs in
	warnings  []string
}

type keyedCaller struct {
	digest [sha256.Size]byte
	caller *caller
}

// newGate reads the token files. Callers on this machine need no token only where that is asked for, with trust_loopback, and every
// listen address is a loopback address: a proxy on the same machine looks like one of them, and passes everybody on.
func newGate(c Config, listen []string) (*gate, error) {
	limiter := func() *rate.Limiter {
		if c.Limits.RequestsPerSecond <= 0 {
			return nil
		}
		return rate.NewLimiter(rate.Limit(c.Limits.RequestsPerSecond), c.Limits.Burst)
	}
	g := &gate{}
	for _, t := range c.Tokens {
		s, err := t.secret()
		if err != nil {
			return nil, err
		}
		g.tokens = append(g.tokens, keyedCaller{sha256.Sum256([]byte(s)), t.caller(limiter())})
	}
	if len(c.Anonymous) > 0 {
		g.anonymous = &caller{
			name: "anonymous", scopes: slices.Clone(c.Anonymous), limit: limiter(), sources: []string{pushSource},
			actor: triage.Actor{Name: "anonymous", Via: "anonymous"},
		}
		g.warnings = append(g.warnings, fmt.Sprintf("auth.anonymous lets anybody who reaches the port do this without a token: %v", c.Anonymous))
	}
	switch trusts := c.Trusts(listen); {
	case trusts:
		g.local = &caller{name: "local", scopes: Scopes(), limit: limiter(), actor: triage.Actor{Name: "local", Via: "local"}}
		g.warnings = append(g.warnings, "whoever is on this machine may do everything without a token (auth.trust_loopback), and so may everybody whom a proxy on it passes on")
	case c.TrustLoopback:
		g.warnings = append(g.warnings, "auth.trust_loopback has no effect: a listen address is not on loopback; configure auth.tokens")
	}
	if len(g.tokens) == 0 && g.anonymous == nil && g.local == nil && len(c.Groups) == 0 {
		g.warnings = append(g.warnings, "no auth.tokens are configured: every request that needs a scope is refused; configure auth.tokens, as triaged init does")
	}
	return g, nil
}

// Trusts reports whether callers on this machine need no token where the daemon listens on these addresses.
func (c Config) Trusts(listen []string) bool {
	return c.TrustLoopback && len(listen) > 0 && !slices.ContainsFunc(listen, func(a string) bool { return !isLoopback(a) })
}

// Closed reports whether nobody at all may do anything: what a first start must not end with.
func (c Config) Closed(listen []string) bool {
	return len(c.Tokens) == 0 && len(c.Anonymous) == 0 && len(c.Groups) == 0 && !c.Trusts(listen)
}

// identify returns the caller, nil if there is none. badToken tells a wrong token from a missing one: a wrong token is
// never taken for no token. Every digest is compared, in constant time.
//
// A browser cannot send a bearer token by itself, so a token may also be the password of basic authentication, with any
// user name. Basic authentication that holds none of our tokens is no attempt at all: it may be for a proxy in front, or
// for the listener's own.
func (g *gate) identify(r *http.Request) (c *caller, badToken bool) {
	if token, ok := bearer(r); ok {
		c = g.holder(token)
		return c, c == nil
	}
	if _, password, ok := r.BasicAuth(); ok {
		if c = g.holder(password); c != nil {
			return c, false
		}
	}
	if c = g.people.who(r); c != nil {
		return c, false
	}
	if g.local != nil && fromThisMachine(r) {
		return g.local, false
	}
	return g.anonymous, false
}

// caller is the holder of a token. Its own name is the first of its sources.
func (t Token) caller(limit *rate.Limiter) *caller {
	c := &caller{name: t.Name, scopes: slices.Clone(t.Scopes), limit: limit, actor: triage.Actor{Name: t.Name, Via: "token"}}
	if !slices.Contains(t.Scopes, ScopeAdmin) {
		c.sources = append([]string{t.Name}, t.Sources...)
	}
	return c
}

// holder returns whom a token belongs to, or nil.
func (g *gate) holder(token string) (c *caller) {
	digest := sha256.Sum256([]byte(token))
	for _, t := range g.tokens {
		if subtle.ConstantTimeCompare(digest[:], t.digest[:]) == 1 {
			c = t.caller
		}
	}
	return c
}

func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// proxyHeaders are set by something that forwards for others. They are never believed; their presence shows that the
// caller is not whoever holds the connection.
var proxyHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"}

// fromThisMachine needs the connection and the Host header to be on loopback: the latter keeps out a page in a local
// browser whose name was rebound to 127.0.0.1.
func fromThisMachine(r *http.Request) bool {
	if slices.ContainsFunc(proxyHeaders, func(h string) bool { return len(r.Header.Values(h)) > 0 }) {
		return false
	}
	return isLoopback(r.RemoteAddr) && isLoopback(r.Host)
}

// isLoopback reads host, host:port and [host]:port. An empty host means every address, which is not loopback.
func isLoopback(addr string) bool {
	host := addr
	if h, _, err := net.SplitHostPort(addr); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
