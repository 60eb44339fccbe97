package api

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/time/rate"

	"github.com/triaged-dev/triaged/api/signin"
	"github.com/triaged-dev/triaged/triage"
)

// Group is an entry of auth.groups: what people of a group may do. Who is in several has what they give together; who is in none may
// do nothing.
type Group struct {
	Group  string  `yaml:"group"` // as the provider calls it; * stands for any letters but /
	Scopes []Scope `yaml:"scopes"`
	// Teams are the owners whose incidents, and whose changes, they may give feedback on; none: all. {{group}} is the group itself.
	Teams []string `yaml:"teams,omitempty"`
}

// groupSelf stands for the name of the matched group in Group.Teams, so that one entry serves every team.
const groupSelf = "{{group}}"

func (c Config) groupProblems() []error {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf("auth."+format, args...)) }
	signs := c.OIDC != nil || c.Proxy != nil
	switch {
	case signs && len(c.Groups) == 0:
		add("groups: must not be empty: without it nobody who signs in may do anything; - {group: '*', scopes: [read]} is everybody")
	case !signs && len(c.Groups) > 0:
		add("groups: has no effect without oidc or proxy, which say who is in them")
	}
	for i, g := range c.Groups {
		if _, err := path.Match(g.Group, ""); g.Group == "" || err != nil {
			add("groups[%d].group: %q is not the name of a group, nor a pattern of one", i, g.Group)
		}
		if len(g.Scopes) == 0 {
			add("groups[%d].scopes: must not be empty; use some of %s", i, joinScopes())
		}
		for j, s := range g.Scopes {
			if !slices.Contains(Scopes(), s) {
				add("groups[%d].scopes[%d]: %q is not a scope; use some of %s", i, j, s, joinScopes())
			}
		}
		if len(g.Teams) > 0 && !slices.Contains(g.Scopes, ScopeFeedback) {
			add("groups[%d].teams: limits feedback, which is not among the scopes", i)
		}
	}
	return problems
}

// people knows who signs in and what they may do.
type people struct {
	desk   *signin.Desk
	groups []Group
	limits Limits

	mu       sync.Mutex
	limiters map[string]*rate.Limiter // by name
}

// maxLimiters bounds the people whose rate is remembered; beyond it all begin anew.
const maxLimiters = 4096

func newPeople(c Config, o Options) (*people, error) {
	if c.OIDC == nil && c.Proxy == nil {
		return nil, nil //nolint:nilnil // nobody signs in, and every method of nobody says so
	}
	p := &people{groups: c.Groups, limits: c.Limits, limiters: make(map[string]*rate.Limiter)}
	var err error
	p.desk, err = signin.New(signin.Options{
		OIDC: c.OIDC, Proxy: c.Proxy, ExternalURL: o.ExternalURL, Key: o.SignInKey, SignedOut: o.SignedOut, Relevant: p.relevant, Logger: o.Logger, Now: o.Now,
	})
	return p, err
}

func (p *people) signsIn() bool { return p != nil && p.desk.SignsIn() }

// who is the person a request comes from, as a caller; nil for none.
func (p *people) who(r *http.Request) *caller {
	if p == nil {
		return nil
	}
	who, ok := p.desk.Who(r)
	if !ok {
		return nil
	}
	return p.caller(who)
}

// caller gives a person what their groups give together. Feedback on everything wins over feedback on some teams'.
func (p *people) caller(who signin.Person) *caller {
	// A name with a colon and a space in it is no token's: the shares of tokens stay theirs.
	c := &caller{name: "person: " + who.Name, ambient: true, sources: []string{pushSource}}
	var teams []string
	everywhere := false
	for _, g := range p.groups {
		for _, name := range matching(g.Group, who.Groups) {
			for _, s := range g.Scopes {
				if !slices.Contains(c.scopes, s) {
					c.scopes = append(c.scopes, s)
				}
			}
			if slices.Contains(g.Scopes, ScopeAdmin) || len(g.Teams) == 0 && slices.Contains(g.Scopes, ScopeFeedback) {
				everywhere = true
			}
			for _, t := range g.Teams {
				teams = append(teams, strings.ReplaceAll(t, groupSelf, name))
			}
		}
	}
	if everywhere {
		teams = nil
	} else if teams == nil {
		teams = []string{}
	}
	c.actor = triage.Actor{Name: who.Name, Via: who.Via, Subject: who.Subject, Teams: teams}
	c.limit = p.limiter(who.Subject)
	return c
}

// matching are the groups a pattern means. The pattern * means everybody, in a group or not.
func matching(pattern string, groups []string) []string {
	if pattern == "*" {
		return []string{"*"}
	}
	var out []string
	for _, g := range groups {
		if ok, err := path.Match(pattern, g); err == nil && ok {
			out = append(out, g)
		}
	}
	return out
}

func (p *people) relevant(group string) bool {
	return slices.ContainsFunc(p.groups, func(g Group) bool { return len(matching(g.Group, []string{group})) > 0 && g.Group != "*" })
}

// limiter is the person's own.
func (p *people) limiter(subject string) *rate.Limiter {
	if p.limits.RequestsPerSecond <= 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.limiters[subject]
	if !ok {
		if len(p.limiters) >= maxLimiters {
			clear(p.limiters)
		}
		l = rate.NewLimiter(rate.Limit(p.limits.RequestsPerSecond), p.limits.Burst)
		p.limiters[subject] = l
	}
	return l
}

// remedy says to a person who may not do something what they are taken for.
func (p *people) remedy(c *caller) string {
	if p == nil || !c.ambient {
		return ""
	}
	return fmt.Sprintf(" You are signed in as %s; what your groups may do stands under auth.groups.", c.actor.Name)
}

// sameOrigin wants proof from the browser that a page of ours asks, where the browser alone says who it is: it sends a cookie, and
// passes a proxy's sign-in, for any page. What Origin and Sec-Fetch-Site say has been checked before; here one must be there.
func sameOrigin(r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" {
		return problem(kindCrossOrigin, "The browser does not say which page this comes from, so a session is not enough; programs use a token.").
			because(errors.New("neither Origin nor Sec-Fetch-Site"))
	}
	return nil
}
