// Package grafana writes reports and changes as annotations by Grafana's HTTP API, so that every graph shows what changed. It reads and
// writes no dashboards, and neither retries nor queues.
package grafana

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// Tag marks every annotation of ours: dashboards query by it, and hooks do not take one back in as news.
const Tag = "triaged"

// Notifier writes to one Grafana.
type Notifier struct {
	cfg    Config
	client *http.Client
	now    func() time.Time

	mu    sync.Mutex
	known map[triage.ChangeID]written // changes already written; begun anew when full
}

type written struct {
	id       int64
	finished bool
}

const (
	maxKnown  = 4096             // changes remembered, about 150 B each
	maxReply  = 64 << 10         // bytes of an answer that are read
	maxText   = 4096             // bytes of an annotation's text
	maxTag    = 100              // bytes of one tag
	askTime   = 10 * time.Second // for one change
	oldChange = 24 * time.Hour   // what a backfill brings in from before that is not written
)

// Options are what a Notifier is made from.
type Options struct {
	Config    Config
	Transport http.RoundTripper // nil: made from Config.HTTP
	Now       func() time.Time  // nil: time.Now
}

// New checks the configuration and makes a Notifier. It contacts nobody.
func New(o Options) (*Notifier, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	client, err := outbox.Client("grafana", o.Config.HTTP, o.Transport)
	if err != nil {
		return nil, err
	}
	return &Notifier{cfg: o.Config, client: client, now: o.Now, known: make(map[triage.ChangeID]written)}, nil
}

// EditsInPlace is true: a further report renews the incident's annotation.
func (n *Notifier) EditsInPlace() bool { return true }

// Rechecks is true: an earlier attempt is looked for by its delivery's tag.
func (n *Notifier) Rechecks() bool { return true }

// WantsChanges reports whether changes are to be written as well.
func (n *Notifier) WantsChanges() bool { return n.cfg.Changes }

// annotation is what Grafana's API takes. Without a dashboard it is the organisation's, shown by tag.
type annotation struct {
	Time    int64    `json:"time"`
	TimeEnd int64    `json:"timeEnd,omitempty"`
	Tags    []string `json:"tags"`
	Text    string   `json:"text"`
}

// Notify writes one report at its onset.
func (n *Notifier) Notify(ctx context.Context, nt outbox.Notification) (outbox.Receipt, error) {
	at := nt.Report.Onset.Best
	if at.IsZero() {
		at = nt.Incident.OpenedAt
	}
	delivery := "delivery:" + nt.Delivery.ID
	a := annotation{
		Time: at.UnixMilli(), Text: text(nt.Card.Text(), nt.Card.Links.Page),
		Tags: n.tags("report", nt.Incident.Scope, "incident:"+nt.Incident.ID, delivery),
	}
	id := ""
	if len(nt.Earlier) > 0 {
		id = nt.Earlier[len(nt.Earlier)-1].RemoteID
	}
	if id == "" && nt.Uncertain {
		found, err := n.find(ctx, delivery)
		if err != nil {
			return outbox.Receipt{}, err
		}
		id = found
	}
	id, err := n.write(ctx, id, a)
	return outbox.Receipt{RemoteID: id}, err
}

// Change writes one change, or the end of one that is written already. It is called from one goroutine.
func (n *Notifier) Change(ctx context.Context, c triage.Change) error {
	if c.LastActivity().Before(n.now().Add(-oldChange)) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	n.mu.Lock()
	before, seen := n.known[c.ID]
	n.mu.Unlock()
	if seen && (before.finished || c.FinishedAt.IsZero()) {
		return nil
	}
	title := c.Title
	if title == "" {
		title = strings.TrimSpace(string(c.Kind) + " " + c.Service + " " + c.Version)
	}
	a := annotation{Time: c.OccurredAt().UnixMilli(), Text: text(title, c.URL), Tags: n.tags(string(c.Kind), c.Scope, "change:"+string(c.ID))}
	if c.Version != "" {
		a.Tags = append(a.Tags, clip("version:"+c.Version, maxTag))
	}
	if c.FinishedAt.After(c.OccurredAt()) {
		a.TimeEnd = c.FinishedAt.UnixMilli()
	}
	id := ""
	if seen {
		id = strconv.FormatInt(before.id, 10)
	}
	id, err := n.write(ctx, id, a)
	if err != nil {
		return err
	}
	number, _ := strconv.ParseInt(id, 10, 64) // 0: Grafana gave none, and the end is then not written
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.known) >= maxKnown {
		clear(n.known)
	}
	n.known[c.ID] = written{id: number, finished: !c.FinishedAt.IsZero() || number == 0}
	return nil
}

// tags are what dashboards filter by.
func (n *Notifier) tags(kind string, s triage.Scope, more ...string) []string {
	out := []string{Tag, kind}
	for _, p := range [...][2]string{{"service:", s.Service}, {"env:", s.Environment}, {"region:", s.Region}, {"cluster:", s.Cluster}, {"namespace:", s.Namespace}} {
		if p[1] != "" {
			out = append(out, clip(p[0]+p[1], maxTag))
		}
	}
	for _, m := range more {
		out = append(out, clip(m, maxTag))
	}
	return append(out, n.cfg.Tags...)
}

// write makes an annotation, or renews the one of that id; one that somebody has deleted is made again.
func (n *Notifier) write(ctx context.Context, id string, a annotation) (string, error) {
	if id != "" {
		_, err := n.ask(ctx, http.MethodPatch, "/api/annotations/"+url.PathEscape(id), a, nil)
		if de, ok := errors.AsType[*outbox.DeliveryError](err); !ok || !strings.Contains(de.Error(), "status 404") {
			return id, err
		}
	}
	var made struct {
		ID int64 `json:"id"`
	}
	if _, err := n.ask(ctx, http.MethodPost, "/api/annotations", a, &made); err != nil {
		return "", err
	}
	return strconv.FormatInt(made.ID, 10), nil
}

// find looks for an annotation by a tag of its own.
func (n *Notifier) find(ctx context.Context, tag string) (string, error) {
	var found []struct {
		ID int64 `json:"id"`
	}
	query := url.Values{"tags": {Tag, clip(tag, maxTag)}, "limit": {"1"}, "type": {"annotation"}}
	if _, err := n.ask(ctx, http.MethodGet, "/api/annotations?"+query.Encode(), nil, &found); err != nil || len(found) == 0 {
		return "", err
	}
	return strconv.FormatInt(found[0].ID, 10), nil
}

func (n *Notifier) ask(ctx context.Context, method, path string, body, into any) (int, error) {
	token, err := outbox.Secret(n.cfg.Token, n.cfg.TokenFile, "token_file")
	if err != nil { // worth a retry: a secret may be mounted late
		return 0, &outbox.DeliveryError{Reason: outbox.ReasonOther, Retryable: true, Err: err}
	}
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, &outbox.DeliveryError{Reason: outbox.ReasonOther, Err: fmt.Errorf("encode annotation: %w", err)}
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(n.cfg.URL, "/")+path, payload)
	if err != nil {
		return 0, &outbox.DeliveryError{Reason: outbox.ReasonOther, Err: errors.New("the address cannot be used for a request")}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "triaged")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := n.client.Do(req)
	if err != nil {
		return 0, outbox.TransportError("write annotation", err)
	}
	defer outbox.Drain(resp.Body)
	if e := outbox.StatusError("write annotation", resp, n.now()); e != nil {
		return resp.StatusCode, e
	}
	if into == nil {
		return resp.StatusCode, nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReply)).Decode(into); err != nil {
		return resp.StatusCode, &outbox.DeliveryError{Reason: outbox.ReasonOther, Uncertain: true, Err: errors.New("write annotation: the answer is not Grafana's; is the address right?")}
	}
	return resp.StatusCode, nil
}

// text is an annotation's text, with where to look further. Grafana shows it as HTML of its own choosing: nothing in it may be markup.
func text(s, link string) string {
	s = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
	if link != "" && len(link) <= maxText/2 {
		return clip(s, maxText-len(link)-1) + "\n" + link
	}
	return clip(s, maxText)
}

func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}
