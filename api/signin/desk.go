package signin

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Paths at which people sign in and out.
const (
	LoginPath    = "/auth/login"
	CallbackPath = "/auth/callback"
	LogoutPath   = "/auth/logout"
)

const (
	flowLife  = 10 * time.Minute // to type a password and find the phone
	maxFlows  = 5                // sign-ins begun in one browser; more are forgotten
	maxCookie = 4000             // browsers keep 4096 bytes
	maxNext   = 1000             // bytes of the address to come back to
)

// Options are what a Desk is built from. With neither OIDC nor Proxy nobody is known.
type Options struct {
	OIDC        *OIDC
	Proxy       *Proxy
	ExternalURL string // where browsers reach us; OIDC needs it
	Key         []byte // of cookies, see Key
	SignedOut   *SignedOut
	Relevant    func(group string) bool // groups that matter, for who is in very many; nil: all
	Logger      *slog.Logger
	Now         func() time.Time
}

// Desk knows people. It is immutable but for what it has learned of the provider.
type Desk struct {
	opts          Options
	provider      *provider // nil: nobody can sign in here
	flows, people *sealer
	base          string // path of the external URL
	secure        bool
	log           *slog.Logger
	now           func() time.Time
}

// New checks the options. It asks nobody anything.
func New(o Options) (*Desk, error) {
	d := &Desk{opts: o, log: o.Logger, now: o.Now}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.now == nil {
		d.now = time.Now
	}
	if o.Proxy != nil {
		if err := o.Proxy.validate(); err != nil {
			return nil, err
		}
	}
	if o.OIDC == nil {
		return d, nil
	}
	if err := o.OIDC.validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(o.ExternalURL)
	if err != nil || u.Host == "" {
		return nil, errors.New("auth.oidc: needs global.external_url: the provider sends people back to it")
	}
	if len(o.Key) == 0 || o.SignedOut == nil {
		return nil, errors.New("build sign-in: Options.Key and Options.SignedOut are required")
	}
	d.base, d.secure = strings.TrimRight(u.EscapedPath(), "/"), u.Scheme == "https"
	// A session that another provider opened, or for another client, is void.
	about := fmt.Sprintf("session of %q at %q", o.OIDC.ClientID, o.OIDC.Issuer)
	if d.people, err = newSealer(o.Key, about); err != nil {
		return nil, err
	}
	if d.flows, err = newSealer(o.Key, "sign-in, "+about); err != nil {
		return nil, err
	}
	d.provider, err = newProvider(*o.OIDC, strings.TrimRight(o.ExternalURL, "/")+CallbackPath, d.now)
	return d, err
}

// SignsIn reports whether people can sign in here.
func (d *Desk) SignsIn() bool { return d.provider != nil }

// Insecure reports whether sessions travel in the clear.
func (d *Desk) Insecure() bool {
	u, err := url.Parse(d.opts.ExternalURL)
	return d.SignsIn() && err == nil && !d.secure && !loopback(u.Hostname())
}

// Who is the person a request comes from: by the session, else by what a trusted proxy says.
func (d *Desk) Who(r *http.Request) (Person, bool) {
	if d.SignsIn() {
		if s, ok := d.session(r); ok {
			return s.person(), true
		}
	}
	if d.opts.Proxy != nil {
		return d.opts.Proxy.person(r)
	}
	return Person{}, false
}

// flow is one sign-in under way, in a cookie of the browser that began it.
type flow struct {
	State, Nonce, Verifier string
	Next                   string // path to come back to, without our base
	Until                  time.Time
}

// Answer is what a browser is sent.
type Answer struct {
	Status int
	Header http.Header
	Page   Page // where Status is no redirect
}

// Page is a few words for the visitor.
type Page struct{ Title, Text, Again string }

// Begin sends a browser to the provider. next is the path to come back to.
func (d *Desk) Begin(r *http.Request, next string) (Answer, error) {
	f := flow{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: local(next), Until: d.now().Add(flowLife)}
	to, err := d.provider.address(r.Context(), f)
	if err != nil {
		return d.page(http.StatusServiceUnavailable, "The sign-in cannot begin", "The provider of identities does not answer. Tokens work meanwhile."), err
	}
	sealed, err := d.flows.seal(f)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Status: http.StatusFound, Header: http.Header{"Location": {to}}}
	begun := 0
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, d.name("flow_")) {
			if begun++; begun >= maxFlows {
				d.drop(a.Header, c.Name)
			}
		}
	}
	d.set(a.Header, d.flowName(f.State), sealed, flowLife)
	return a, nil
}

// Finish takes the browser back from the provider and opens its session. The error is for the log; the answer says what the visitor
// needs to know.
func (d *Desk) Finish(r *http.Request) (Person, Answer, error) {
	q := r.URL.Query()
	state := q.Get("state")
	f, err := d.flow(r, state)
	if err != nil {
		return Person{}, d.page(http.StatusBadRequest, "This sign-in is not known here",
			"It was begun in another browser, or more than ten minutes ago."), err
	}
	refused := func(status int, text string, err error) (Person, Answer, error) {
		a := d.page(status, "Nobody was signed in", text)
		d.drop(a.Header, d.flowName(state))
		return Person{}, a, err
	}
	if iss := q.Get("iss"); iss != "" && iss != d.opts.OIDC.Issuer {
		return refused(http.StatusBadRequest, "The answer came from another provider.", errors.New("the answer names another issuer"))
	}
	if code := q.Get("error"); code != "" {
		return refused(http.StatusForbidden, "The provider said no: "+cmp.Or(clean(code), "without a reason")+".", fmt.Errorf("the provider said %q", clean(code)))
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	who, err := d.provider.redeem(ctx, f, q.Get("code"))
	if err != nil {
		return refused(http.StatusForbidden, "What the provider said could not be believed; the log of triaged says why.", err)
	}
	a := Answer{Status: http.StatusSeeOther, Header: http.Header{"Location": {d.base + local(f.Next)}}}
	d.drop(a.Header, d.flowName(state))
	return who, a, d.open(a.Header, who)
}

// flow reads the sign-in that a state belongs to.
func (d *Desk) flow(r *http.Request, state string) (f flow, err error) {
	if len(state) < 16 {
		return f, errors.New("the answer has no state")
	}
	c, err := r.Cookie(d.flowName(state))
	if err != nil {
		return f, errors.New("this browser has begun no such sign-in")
	}
	switch err := d.flows.open(c.Value, &f); {
	case err != nil:
		return f, fmt.Errorf("the cookie of the sign-in %w", err)
	case subtle.ConstantTimeCompare([]byte(f.State), []byte(state)) != 1:
		return f, errors.New("the state is that of another sign-in")
	case d.now().After(f.Until):
		return f, errors.New("the sign-in took too long")
	}
	return f, nil
}

// SignOut ends the session of a browser, here and for whoever has a copy of its cookie.
func (d *Desk) SignOut(r *http.Request) (Answer, error) {
	a := d.page(http.StatusOK, "You are signed out", "Of triaged; at the provider you may still be signed in.")
	d.drop(a.Header, d.name("session"))
	s, ok := d.session(r)
	if !ok {
		return a, nil
	}
	return a, d.opts.SignedOut.add(r.Context(), s.ID, s.Until, d.now())
}

func (d *Desk) page(status int, title, text string) Answer {
	return Answer{Status: status, Header: http.Header{}, Page: Page{Title: title, Text: text, Again: d.base + LoginPath}}
}

// local keeps a path on this host: anything else is the start page.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || len(next) > maxNext || u.Host != "" || u.Scheme != "" || u.Opaque != "" || !strings.HasPrefix(next, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") || strings.HasPrefix(next, "/auth/") {
		return "/"
	}
	return next
}

// name is a cookie's name. The prefixes bind it to https and, where we have the host to ourselves, to the host.
func (d *Desk) name(what string) string {
	switch {
	case !d.secure:
		return "triaged_" + what
	case d.base == "":
		return "__Host-triaged_" + what
	}
	return "__Secure-triaged_" + what
}

func (d *Desk) flowName(state string) string { return d.name("flow_") + state[:min(len(state), 8)] }

func (d *Desk) set(h http.Header, name, value string, life time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: d.base + "/", MaxAge: int(life / time.Second), HttpOnly: true, Secure: d.secure, SameSite: http.SameSiteLaxMode}
	if life <= 0 {
		c.MaxAge = -1
	}
	h.Add("Set-Cookie", c.String())
}

func (d *Desk) drop(h http.Header, name string) { d.set(h, name, "", 0) }

// keep makes room for the cookie: of very many groups only those that matter are kept.
func (d *Desk) keep(groups []string) []string {
	if d.opts.Relevant == nil {
		return groups
	}
	return slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return !d.opts.Relevant(g) })
}
