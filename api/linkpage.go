package api

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/http"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// linkPage is the page behind a link in a message. It works without JavaScript and without anything from elsewhere; a
// program that only looks at the link, as chat servers do, changes nothing.
var linkPage = template.Must(template.New("link").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"><title>{{.Title}}</title>
<h1>{{.Title}}</h1>
{{with .Text}}<p>{{.}}</p>{{end}}
{{if .Ask}}<form method="post"><button type="submit">{{.Ask}}</button></form>{{end}}
</html>
`))

type linkView struct{ Title, Text, Ask string }

func (a *API) getFeedbackLink(r *request) (any, error)  { return a.feedbackLink(r, false) }
func (a *API) postFeedbackLink(r *request) (any, error) { return a.feedbackLink(r, true) }

func (a *API) feedbackLink(r *request, act bool) (any, error) {
	if a.opts.FeedbackLinks == nil {
		return nil, problem(kindNotFound, "Links in messages are not switched on here.")
	}
	token := r.PathValue("token")
	f, err := a.opts.FeedbackLinks.Resolve(r.Context(), token)
	if errors.Is(err, ErrLink) || err != nil && a.opts.NotFound(err) {
		return linkAnswer(http.StatusNotFound, linkView{Title: "This link does not work", Text: "It is not one of ours, or too old. The incident's page takes feedback, too."})
	}
	if err != nil {
		return nil, fmt.Errorf("resolve feedback link: %w", err)
	}
	name := string(f.ChangeID)
	if found, err := a.opts.Store.Changes(r.Context(), []triage.ChangeID{f.ChangeID}); err == nil && len(found) == 1 {
		name = say.Change(found[0])
	}
	v := linkView{Title: "It was not this?", Ask: "Yes, it was not this"}
	if f.Verdict == triage.FeedbackConfirm {
		v = linkView{Title: "It was this?", Ask: "Yes, it was this"}
	}
	v.Text = fmt.Sprintf("Incident %s: %s.", f.IncidentID, name)
	if act {
		ctx := triage.WithActor(r.Context(), a.linkActor(r))
		if err := a.opts.FeedbackLinks.Use(ctx, token); err != nil {
			return nil, unstored("The feedback is not stored; press the button again.", err)
		}
		v.Title, v.Ask = "Thank you", ""
		v.Text += " It is noted; saying it twice changes nothing, and a later word replaces it."
	}
	return linkAnswer(http.StatusOK, v)
}

func linkAnswer(status int, v linkView) (any, error) {
	var b bytes.Buffer
	if err := linkPage.Execute(&b, v); err != nil {
		return nil, fmt.Errorf("write the page of a feedback link: %w", err)
	}
	return reply{status: status, raw: b.Bytes(), header: http.Header{
		"Content-Type":            {"text/html; charset=utf-8"},
		"Content-Security-Policy": {"default-src 'none'; form-action 'self'; frame-ancestors 'none'"},
	}}, nil
}
