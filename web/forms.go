package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// handSource is the source of changes that somebody wrote down on the page.
const handSource = "by-hand"

// changeForm is what was written into the form, so that a mistake does not cost the rest.
type changeForm struct {
	Kind, Service, Environment, Title, Version, StartedAt, URL string
}

// postChange adds a change by hand. It goes the way of every event: folded, journalled, weighed.
func (w *Web) postChange(r *http.Request) (page, error) {
	if err := r.ParseForm(); err != nil {
		return page{}, fail(http.StatusBadRequest, "The form could not be read.", err)
	}
	field := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	form := changeForm{field("kind"), field("service"), field("environment"), field("title"), field("version"), field("started_at"), field("url")}
	c, problems := form.change(w.now().UTC())
	if len(problems) == 0 {
		if w.opts.Directory != nil {
			d := w.opts.Directory()
			c.Service, _ = d.Resolve(c.Service)
			c.Environment = d.Environment(c.Environment)
		}
		c.ID = c.DeriveID()
		if err := w.opts.Collector.Emit(r.Context(), []triage.Event{{Change: &c}}); err != nil {
			if field := (*triage.FieldError)(nil); !errors.As(err, &field) {
				return page{}, fail(http.StatusServiceUnavailable, "The change is not stored; send it again.", err)
			}
			problems = append(problems, err.Error())
		}
	}
	if len(problems) == 0 {
		return page{redirect: address("/changes", "added", string(c.ID))}, nil
	}
	// The form alone: who may add changes may not be one who may read them.
	v := changesView{Form: form, Problems: problems, Kinds: kindOptions("")}
	return page{template: "changeform.html", frame: frame{Title: "Add a change by hand", Section: "changes", Data: v}}, nil
}

// change reads the form; problems are sentences for whoever filled it in.
func (f changeForm) change(now time.Time) (triage.Change, []string) {
	c := triage.Change{Source: handSource, Title: f.Title, Version: f.Version, URL: f.URL, StartedAt: now, ObservedAt: now, Status: triage.StatusSucceeded}
	c.Service, c.Environment = f.Service, f.Environment
	var problems []string
	var err error
	if c.Kind, err = triage.ParseKind(f.Kind); err != nil {
		problems = append(problems, err.Error())
	}
	if f.Title == "" {
		problems = append(problems, "What happened? One line is enough.")
	}
	if f.StartedAt != "" {
		if c.StartedAt, err = parseField(f.StartedAt); err != nil {
			problems = append(problems, "When: "+err.Error())
		} else if c.StartedAt.After(now.Add(5 * time.Minute)) {
			problems = append(problems, "When: it lies in the future; the clock here says "+now.Format("15:04")+" UTC")
		}
	}
	if f.URL != "" && say.URL(f.URL) == "" {
		problems = append(problems, "Link: use an address that begins with https://")
	}
	for name, s := range map[string]string{"service": f.Service, "environment": f.Environment, "title": f.Title, "version": f.Version} {
		if len(s) > triage.MaxText {
			problems = append(problems, fmt.Sprintf("%s: is too long; at most %d bytes are taken", name, triage.MaxText))
		}
	}
	return c, problems
}

// postFeedback takes what somebody says about an incident, from the buttons on its page.
func (w *Web) postFeedback(r *http.Request) (page, error) {
	if err := r.ParseForm(); err != nil {
		return page{}, fail(http.StatusBadRequest, "The form could not be read.", err)
	}
	inc, err := w.opts.Store.Incident(r.Context(), r.PathValue("id"))
	if err != nil {
		return page{}, fmt.Errorf("read incident: %w", err)
	}
	f := triage.Feedback{
		IncidentID: inc.ID, Verdict: r.PostForm.Get("verdict"), ChangeID: triage.ChangeID(r.PostForm.Get("change_id")),
		Comment: strings.TrimSpace(r.PostForm.Get("comment")), At: w.now().UTC(), By: triage.ActorOf(r.Context()),
	}
	switch {
	case len(f.Comment) > triage.MaxText:
		return page{}, fail(http.StatusUnprocessableEntity, fmt.Sprintf("The comment is %d bytes; at most %d are taken.", len(f.Comment), triage.MaxText), nil)
	case f.Verdict == triage.FeedbackNone:
		f.ChangeID = ""
	case f.Verdict != triage.FeedbackConfirm && f.Verdict != triage.FeedbackReject, f.ChangeID == "":
		return page{}, fail(http.StatusUnprocessableEntity, "Say whether it was this change, was not, or was no change.", nil)
	default:
		if f.ChangeID, err = w.opts.Store.ResolveChange(r.Context(), f.ChangeID); err != nil {
			return page{}, fmt.Errorf("resolve change: %w", err)
		}
	}
	if err := w.maySpeak(r, inc, f.ChangeID); err != nil {
		return page{}, err
	}
	if err := w.opts.Store.SaveFeedback(r.Context(), f); err != nil {
		return page{}, fail(http.StatusServiceUnavailable, "The feedback is not stored; send it again.", err)
	}
	return page{redirect: "/incidents/" + url.PathEscape(inc.ID) + "?thanks=1#feedback"}, nil
}

// maySpeak keeps people whose say is limited to some teams' incidents to them.
func (w *Web) maySpeak(r *http.Request, inc triage.Incident, id triage.ChangeID) error {
	actor := triage.ActorOf(r.Context())
	if actor.Teams == nil {
		return nil
	}
	service := ""
	if id != "" {
		found, err := w.opts.Store.Changes(r.Context(), []triage.ChangeID{id})
		if err != nil {
			return fmt.Errorf("read the change spoken of: %w", err)
		}
		if len(found) == 1 {
			service = found[0].Service
		}
	}
	var dir *triage.Directory
	if w.opts.Directory != nil {
		dir = w.opts.Directory()
	}
	if actor.MaySpeakOf(dir.Owners(inc, service)...) {
		return nil
	}
	return fail(http.StatusForbidden, "Neither what hurts nor this change belongs to your team, so your word on it is not taken; ask the team that owns it.", nil)
}

// postResend puts a delivery back into the outbox.
func (w *Web) postResend(r *http.Request) (page, error) {
	if err := w.opts.Resender.Resend(r.Context(), r.PathValue("id")); err != nil {
		if field := (*triage.FieldError)(nil); errors.As(err, &field) {
			return page{}, fail(http.StatusConflict, "It cannot be sent again: "+field.Error(), err)
		}
		return page{}, fmt.Errorf("resend delivery: %w", err)
	}
	return page{redirect: "/deliveries?resent=1"}, nil
}

// postRetry reads a quarantined record again.
func (w *Web) postRetry(r *http.Request) (page, error) {
	n, err := w.opts.Collector.Retry(r.Context(), r.PathValue("id"))
	if err != nil {
		if field := (*triage.FieldError)(nil); errors.As(err, &field) {
			return page{}, fail(http.StatusConflict, "The record stays in the quarantine: it "+field.Remedy+".", err)
		}
		return page{}, fmt.Errorf("retry quarantined record: %w", err)
	}
	return page{redirect: address("/sources/quarantine", "taken", strconv.Itoa(n))}, nil
}
