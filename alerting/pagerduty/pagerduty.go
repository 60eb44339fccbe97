// Package pagerduty writes each report as a note on the incident that PagerDuty already has; it never opens a second page.
// Where no incident is found in time it sends a change event instead, and says so. It neither retries nor queues.
//
// Alertmanager's dedup key in PagerDuty is the hex SHA-256 of the group key of the receiver that pages. That is our group key
// only if triaged's webhook stands in the same receiver; otherwise a DedupKeys must work it out.
package pagerduty

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	pd "github.com/PagerDuty/go-pagerduty"

	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// DedupKeys works out under which keys the pager knows these alerts. It may ask another system; it honours ctx; its errors hold
// no address and no secret.
type DedupKeys interface {
	DedupKeys(context.Context, []triage.Alert) ([]string, error)
}

// GroupKeys is the DedupKeys for a webhook in the receiver that pages: the hash of the group key that came with each alert.
type GroupKeys struct{}

// DedupKeys implements the interface of that name.
func (GroupKeys) DedupKeys(_ context.Context, alerts []triage.Alert) ([]string, error) {
	var out []string
	for _, a := range alerts {
		if a.GroupKey == "" {
			continue
		}
		if k := DedupKey(a.GroupKey); !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out, nil
}

// Keys asks several DedupKeys and unites what they say, in order. Keys come back beside an error: what one does not know another may.
type Keys []DedupKeys

// DedupKeys implements the interface of that name.
func (k Keys) DedupKeys(ctx context.Context, alerts []triage.Alert) ([]string, error) {
	var out []string
	var problems []error
	for _, one := range k {
		keys, err := one.DedupKeys(ctx, alerts)
		if err != nil {
			problems = append(problems, err)
		}
		for _, key := range keys {
			if !slices.Contains(out, key) {
				out = append(out, key)
			}
		}
	}
	return out, errors.Join(problems...)
}

// DedupKey is what Alertmanager makes of a group key for PagerDuty.
func DedupKey(groupKey string) string {
	h := sha256.Sum256([]byte(groupKey))
	return hex.EncodeToString(h[:])
}

const (
	maxKeys    = 10    // looked up per report
	maxNote    = 20000 // bytes of a note
	maxSummary = 1024  // characters of a change event's summary
)

// Notifier writes to one account.
type Notifier struct {
	cfg    Config
	keys   DedupKeys
	client *http.Client
	now    func() time.Time
}

// Options are what a Notifier is made from.
type Options struct {
	Config    Config
	Keys      DedupKeys         // nil: GroupKeys
	Transport http.RoundTripper // nil: made from Config.HTTPConfig
	Now       func() time.Time  // nil: time.Now
}

// New checks the configuration and makes a Notifier. It contacts nobody.
func New(o Options) (*Notifier, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Keys == nil {
		o.Keys = GroupKeys{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	client, err := outbox.Client("pagerduty", o.Config.HTTPConfig, o.Transport)
	if err != nil {
		return nil, err
	}
	client.Transport = outbox.StrictTransport(client.Transport, "post to PagerDuty", o.Now)
	return &Notifier{cfg: o.Config, keys: o.Keys, client: client, now: o.Now}, nil
}

// Rechecks is true: notes are read back before one is written again. A change event sent twice is a line on a list.
func (n *Notifier) Rechecks() bool { return true }

// Notify writes one report. RemoteID is "incident/<id>" for a note, "change-event" for the fallback.
func (n *Notifier) Notify(ctx context.Context, nt outbox.Notification) (outbox.Receipt, error) {
	api, err := n.api()
	if err != nil {
		return outbox.Receipt{}, &outbox.DeliveryError{Reason: outbox.ReasonOther, Retryable: true, Err: err}
	}
	if !n.cfg.notes() {
		return n.changeEvent(ctx, api, nt, "no API token is configured for notes")
	}
	ids, why, err := n.incidents(ctx, api, nt)
	if err != nil {
		return outbox.Receipt{}, api.classify("find incident", err)
	}
	if len(ids) > 0 {
		return n.note(ctx, api, nt, ids)
	}
	if age := n.now().Sub(nt.Delivery.CreatedAt); age < time.Duration(n.cfg.Wait) {
		// The pager may be told later than we are.
		return outbox.Receipt{}, &outbox.DeliveryError{Reason: outbox.ReasonOther, Retryable: true, Err: errors.New("no incident yet: " + why)}
	}
	if !n.cfg.events() {
		return outbox.Receipt{}, &outbox.DeliveryError{Reason: outbox.ReasonClientError, Err: errors.New("no incident to write on (" + why + "), and no routing_key to send a change event instead")}
	}
	return n.changeEvent(ctx, api, nt, why)
}

func (n *Notifier) api() (*account, error) {
	token, err := outbox.Secret(n.cfg.Token, n.cfg.TokenFile, "token_file")
	if err != nil {
		return nil, err
	}
	a := &account{Client: pd.NewClient(token, pd.WithAPIEndpoint(n.cfg.APIURL), pd.WithV2EventsAPIEndpoint(n.cfg.EventsURL)), doer: doer{client: n.client}}
	a.HTTPClient = &a.doer
	return a, nil
}

// incidents finds what to write on: what was written on before, else the open incidents under the pager's keys. why says
// what was tried when there are none.
func (n *Notifier) incidents(ctx context.Context, api *account, nt outbox.Notification) (ids []string, why string, err error) {
	for _, d := range nt.Earlier {
		for id := range strings.SplitSeq(d.RemoteID, ",") {
			if id, ok := strings.CutPrefix(id, "incident/"); ok && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	if len(ids) > 0 {
		return ids, "", nil
	}
	// Not knowing all keys is no failure to deliver: what is known is tried, and in the end the fallback says why.
	keys, err := n.keys.DedupKeys(ctx, nt.Incident.Alerts)
	why = "no open incident has the alert group's key"
	if err != nil {
		why = "the pager's keys could not all be worked out: " + err.Error()
	}
	if len(keys) == 0 {
		if err == nil {
			why = "no pager is known to get these alerts"
		}
		return nil, why, nil
	}
	for _, key := range keys[:min(len(keys), maxKeys)] {
		found, err := api.ListIncidentsWithContext(ctx, pd.ListIncidentsOptions{IncidentKey: key, Statuses: []string{"triggered", "acknowledged"}, Limit: 5})
		if err != nil {
			return nil, "", err
		}
		for _, i := range found.Incidents {
			if i.ID != "" && !slices.Contains(ids, i.ID) {
				ids = append(ids, i.ID)
			}
		}
	}
	return ids, why, nil
}

// note writes on every incident found, skipping those an earlier attempt reached.
func (n *Notifier) note(ctx context.Context, api *account, nt outbox.Notification, ids []string) (outbox.Receipt, error) {
	mark := "[triaged " + nt.Delivery.ID + "]"
	content := clip(nt.Card.Text(), maxNote) + mark
	var written []string
	for i, id := range ids {
		if nt.Uncertain {
			notes, err := api.ListIncidentNotesWithContext(ctx, id)
			if err != nil {
				return outbox.Receipt{}, uncertainAfter(api.classify("read notes", err), i)
			}
			if slices.ContainsFunc(notes, func(x pd.IncidentNote) bool { return strings.Contains(x.Content, mark) }) {
				written = append(written, "incident/"+id)
				continue
			}
		}
		_, err := api.CreateIncidentNoteWithContext(ctx, id, pd.IncidentNote{Content: content, User: pd.APIObject{Summary: n.cfg.From}})
		if err != nil {
			return outbox.Receipt{}, uncertainAfter(api.classify("write note", err), i)
		}
		written = append(written, "incident/"+id)
	}
	return outbox.Receipt{RemoteID: strings.Join(written, ",")}, nil
}

// uncertainAfter marks an error as one after which notes must be read back, when some were written before it.
func uncertainAfter(e *outbox.DeliveryError, written int) *outbox.DeliveryError {
	e.Uncertain = e.Uncertain || written > 0
	return e
}

// changeEvent is the fallback: it shows up beside the service's incidents, but pages nobody.
func (n *Notifier) changeEvent(ctx context.Context, api *account, nt outbox.Notification, why string) (outbox.Receipt, error) {
	key, err := outbox.Secret(n.cfg.RoutingKey, n.cfg.RoutingKeyFile, "routing_key_file")
	if err != nil {
		return outbox.Receipt{}, &outbox.DeliveryError{Reason: outbox.ReasonOther, Retryable: true, Err: err}
	}
	summary := nt.Card.Headline
	if len(nt.Card.Lines) > 0 {
		summary += " · " + nt.Card.Lines[0].Word + ": " + nt.Card.Lines[0].Text
	}
	ev := pd.ChangeEvent{RoutingKey: key, Payload: pd.ChangeEventPayload{
		Summary: clip(summary, maxSummary), Source: "triaged", Timestamp: nt.Report.CreatedAt.UTC().Format(time.RFC3339),
		CustomDetails: map[string]any{"card": nt.Card.Text(), "incident": nt.Incident.ID, "delivery_id": nt.Delivery.ID, "why_a_change_event": why},
	}}
	if nt.Card.Links.Page != "" {
		ev.Links = []pd.ChangeEventLink{{Href: nt.Card.Links.Page, Text: "triaged: " + nt.Card.Stamp}}
	}
	if _, err := api.CreateChangeEventWithContext(ctx, ev); err != nil {
		return outbox.Receipt{}, api.classify("send change event", err)
	}
	return outbox.Receipt{RemoteID: "change-event", Detail: "sent as a change event: " + why}, nil
}

// clip cuts at n characters.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
