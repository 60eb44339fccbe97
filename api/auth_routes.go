package api

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/triaged-dev/triaged/api/signin"
	"github.com/triaged-dev/triaged/triage"
)

// signPage is what a visitor sees who was not sent on. It works without JavaScript and without anything from elsewhere.
var signPage = template.Must(template.New("sign").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"><title>{{.Title}}</title>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
{{with .Again}}<p><a href="{{.}}">Sign in</a></p>{{end}}
</html>
`))

// How a sign-in ended, as the metric counts it.
const (
	signBegun   = "begun"
	signIn      = "signed_in"
	signRefused = "refused"
	signOut     = "signed_out"
)

func signResults() []string { return []string{signBegun, signIn, signRefused, signOut} }

// desk is where people sign in; an error where they do not.
func (a *API) desk(r *request) (*signin.Desk, error) {
	if p := r.settings.auth.people; p.signsIn() {
		return p.desk, nil
	}
	return nil, problem(kindNotFound, "Nobody signs in here; auth.oidc is not configured.")
}

func (a *API) getLogin(r *request) (any, error) {
	d, err := a.desk(r)
	if err != nil {
		return nil, err
	}
	return a.begin(r, d, r.URL.Query().Get("next"))
}

// begin sends a browser to the provider, and says so where that cannot be.
func (a *API) begin(r *request, d *signin.Desk, next string) (any, error) {
	answer, err := d.Begin(r.Request, next)
	if err != nil {
		a.log.Error("a sign-in cannot begin", "request_id", r.id, "err", err)
		return a.signAnswer(answer, signRefused)
	}
	return a.signAnswer(answer, signBegun)
}

// toProvider answers a page that nobody may see yet.
func (a *API) toProvider(w *writer, r *request) error {
	rep, err := a.work(r, laneLink, func(r *request) (any, error) {
		return a.begin(r, r.settings.auth.people.desk, r.URL.RequestURI())
	})
	if err != nil {
		return err
	}
	return a.finish(w, r, rep)
}

// navigates tells a person who opens a page from a script that asks for one.
func navigates(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

func (a *API) getCallback(r *request) (any, error) {
	d, err := a.desk(r)
	if err != nil {
		return nil, err
	}
	who, answer, err := d.Finish(r.Request)
	if err != nil {
		a.log.Warn("audit", "action", "sign in", "result", "refused", "remote", r.RemoteAddr, "request_id", r.id, "err", err)
		return a.signAnswer(answer, signRefused)
	}
	a.log.Info("audit", "action", "sign in", "result", "done", "by", who.Name, "subject", who.Subject, "via", who.Via,
		"scopes", r.settings.auth.people.caller(who).scopes, "remote", r.RemoteAddr, "request_id", r.id)
	return a.signAnswer(answer, signIn)
}

func (a *API) postLogout(r *request) (any, error) {
	d, err := a.desk(r)
	if err != nil {
		return nil, err
	}
	if err := sameOrigin(r.Request); err != nil {
		return nil, err
	}
	who, known := d.Who(r.Request)
	answer, err := d.SignOut(r.Request)
	if err != nil {
		return nil, unstored("You are not signed out everywhere yet; press the button again.", err)
	}
	if known {
		a.log.Info("audit", "action", "sign out", "by", who.Name, "subject", who.Subject, "via", who.Via, "remote", r.RemoteAddr, "request_id", r.id)
	}
	return a.signAnswer(answer, signOut)
}

func (a *API) signAnswer(s signin.Answer, result string) (any, error) {
	a.metrics.signins.WithLabelValues(result).Inc()
	rep := reply{status: s.Status, header: s.Header}
	if s.Page.Title == "" {
		return rep, nil
	}
	var b bytes.Buffer
	if err := signPage.Execute(&b, s.Page); err != nil {
		return nil, fmt.Errorf("write the page of a sign-in: %w", err)
	}
	rep.raw = b.Bytes()
	rep.header.Set("Content-Type", "text/html; charset=utf-8")
	return rep, nil
}

// audit notes who did what by hand: everything that needs more than reading or reporting, done or not.
func (a *API) audit(r *request, scope Scope, what string, done bool) {
	if r.caller == nil || r.Method == http.MethodGet || r.Method == http.MethodHead || scope != ScopeFeedback && scope != ScopeAdmin {
		return
	}
	by, result := r.caller.actor, "done"
	if !done {
		result = "refused"
	}
	attrs := []any{"action", what, "result", result, "path", r.URL.Path, "by", by.Name, "via", by.Via, "remote", r.RemoteAddr, "request_id", r.id}
	if by.Subject != "" {
		attrs = append(attrs, "subject", by.Subject)
	}
	a.log.Info("audit", attrs...)
}

// maySpeak keeps people whose say is limited to some teams' incidents to them.
func (a *API) maySpeak(r *request, inc triage.Incident, id triage.ChangeID) error {
	actor := r.caller.actor
	if actor.Teams == nil {
		return nil
	}
	service := ""
	if id != "" {
		found, err := a.opts.Store.Changes(r.Context(), []triage.ChangeID{id})
		if err != nil {
			return fmt.Errorf("read the change spoken of: %w", err)
		}
		if len(found) == 1 {
			service = found[0].Service
		}
	}
	if owners := a.directory().Owners(inc, service); !actor.MaySpeakOf(owners...) {
		return problem(kindForbidden, "Neither what hurts nor this change belongs to your team; it belongs to %s.", orNobody(owners))
	}
	return nil
}

func orNobody(owners []string) string {
	if len(owners) == 0 {
		return "nobody that is known"
	}
	return strings.Join(owners, " and ")
}

// linkActor is who follows a link of a message: whoever has it may speak, and says who they are where they are signed in.
func (a *API) linkActor(r *request) triage.Actor {
	if c := r.settings.auth.people.who(r.Request); c != nil && sameOrigin(r.Request) == nil {
		by := c.actor
		by.Teams = nil
		return by
	}
	return triage.Actor{Name: "whoever had the link", Via: "link"}
}

// getFeedback lists what was said about an incident, and who said it.
func (a *API) getFeedback(r *request) (any, error) {
	inc, err := a.incident(r)
	if err != nil {
		return nil, err
	}
	said, err := a.opts.Store.Feedback(r.Context(), inc.ID)
	if err != nil {
		return nil, fmt.Errorf("list feedback: %w", err)
	}
	return listing(said, ""), nil
}
