package alerting

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// DigestConfig is `incidents.digest`: what shadow routes kept back, told to one receiver on a schedule.
type DigestConfig struct {
	Receiver string         `yaml:"receiver,omitempty"` // empty: no digest
	Every    model.Duration `yaml:"every"`
	At       string         `yaml:"at"` // time of day in UTC at which the periods end
}

// DefaultDigestConfig is a digest every morning, to nobody yet.
func DefaultDigestConfig() DigestConfig {
	return DigestConfig{Every: model.Duration(24 * time.Hour), At: "08:00"}
}

// UnmarshalYAML starts from the defaults.
func (c *DigestConfig) UnmarshalYAML(unmarshal func(any) error) error {
	type plain DigestConfig
	*c = DefaultDigestConfig()
	return unmarshal((*plain)(c))
}

// offset is At as the time since midnight.
func (c DigestConfig) offset() (time.Duration, error) {
	t, err := time.Parse("15:04", c.At)
	if err != nil {
		return 0, errors.New("write a time of day in UTC, like 08:00")
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// after is the end of the period that begins with, or holds, t.
func (c DigestConfig) after(t time.Time) time.Time {
	offset, err := c.offset()
	if err != nil {
		offset = 0 // Validate has refused it
	}
	every := time.Duration(c.Every)
	end := t.UTC().Add(-offset).Truncate(every).Add(offset)
	for !end.After(t) {
		end = end.Add(every)
	}
	return end
}

// Digest is what shadow routes kept back between two times.
type Digest struct {
	From      time.Time    `json:"from"`
	To        time.Time    `json:"to"`
	Posts     int          `json:"posts"`
	Incidents []DigestItem `json:"incidents"`         // by the time they were opened
	More      int          `json:"more,omitempty"`    // incidents left out of the list
	Promote   string       `json:"promote,omitempty"` // what to do to be told at once

	Truth *triage.Ledger `json:"truth,omitempty"` // set in the digest of what was said against what became of it; then nothing else is
}

// DigestItem is one incident of a Digest.
type DigestItem struct {
	IncidentID string    `json:"incident_id"`
	OpenedAt   time.Time `json:"opened_at"`
	Receivers  []string  `json:"receivers"` // that would have been told
	Posts      int       `json:"posts"`     // to each of them, at most
	Mark       string    `json:"mark"`
	Headline   string    `json:"headline"` // of the first report kept back
	Statement  string    `json:"statement,omitempty"`
	Outcome    string    `json:"outcome,omitempty"`
	Page       string    `json:"page,omitempty"`
}

// Text is the digest for people, a few lines per incident.
func (d Digest) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", d.Title())
	for _, l := range d.TruthLines() {
		fmt.Fprintf(&b, "\n%s\n", l)
	}
	for _, i := range d.Incidents {
		fmt.Fprintf(&b, "\n%s\n", i.Text())
	}
	if d.More > 0 {
		fmt.Fprintf(&b, "\nand %d more incidents\n", d.More)
	}
	if d.Promote != "" {
		fmt.Fprintf(&b, "\n%s\n", d.Promote)
	}
	return b.String()
}

// Title is the first line.
func (d Digest) Title() string {
	if d.Truth != nil {
		return fmt.Sprintf("What was said against what became of it, since %s: %s, %d of which ended in a way that tells",
			d.From.UTC().Format("Mon 2 Jan"), say.Count(d.Truth.Incidents, "incident"), d.Truth.Known)
	}
	n := len(d.Incidents) + d.More
	return fmt.Sprintf("In shadow since %s: %s about %s kept back", d.From.UTC().Format("Mon 2 Jan 15:04 UTC"), say.Count(d.Posts, "post"), say.Count(n, "incident"))
}

// TruthLines are the lines of a digest of what became of what was said; none in one of what was kept back.
func (d Digest) TruthLines() []string {
	if d.Truth == nil {
		return nil
	}
	return TruthLines(d.Truth)
}

// Text is one incident of the digest.
func (i DigestItem) Text() string {
	lines := []string{strings.TrimSpace(i.OpenedAt.UTC().Format("Mon 15:04") + " " + i.Mark + " " + i.Headline)}
	if i.Statement != "" {
		lines = append(lines, "  "+i.Statement)
	}
	told := "  would have told " + strings.Join(i.Receivers, ", ")
	if i.Posts > 1 {
		told += fmt.Sprintf(", with %s", say.Count(i.Posts-1, "update"))
	}
	if i.Outcome != "" {
		told += "; " + i.Outcome
	}
	lines = append(lines, told)
	if i.Page != "" {
		lines = append(lines, "  "+i.Page)
	}
	return strings.Join(lines, "\n")
}

// Digester is a Notifier that can post a Digest too. The rules of Notify hold for it.
type Digester interface {
	Digest(context.Context, Digest) (Receipt, error)
}

// State keeps small values across restarts. A value that was never set is nil.
type State interface {
	State(ctx context.Context, key string) ([]byte, error)
	SetState(ctx context.Context, key string, value []byte) error
}

const (
	digestKey   = "alerting/digest"
	digestItems = 20          // incidents listed; the rest is counted
	digestReads = 20_000      // deliveries looked at
	digestRetry = time.Minute // after a failure; it doubles
	digestLate  = time.Hour   // and is no longer than this
)

// Digest gathers what was kept back in [from, to).
func (a *Alerting) Digest(ctx context.Context, from, to time.Time) (Digest, error) {
	d := Digest{From: from, To: to, Promote: "To be told at once, set mode: live on the route."}
	type kept struct {
		first     int // report number
		posts     map[string]int
		receivers []string
	}
	found := make(map[string]*kept)
	q := triage.DeliveryQuery{States: []triage.DeliveryState{triage.DeliveryShadow}, Limit: 500}
	for read := 0; read < digestReads; {
		ds, next, err := a.store.Deliveries(ctx, q)
		if err != nil {
			return d, fmt.Errorf("gather digest: %w", err)
		}
		for _, del := range ds {
			if del.CreatedAt.Before(from) || !del.CreatedAt.Before(to) {
				continue
			}
			d.Posts++
			k := found[del.IncidentID]
			if k == nil {
				k = &kept{first: del.ReportNumber, posts: make(map[string]int)}
				found[del.IncidentID] = k
			}
			k.first = min(k.first, del.ReportNumber)
			if k.posts[del.Receiver]++; k.posts[del.Receiver] == 1 {
				k.receivers = append(k.receivers, del.Receiver)
			}
		}
		read += len(ds)
		// Newest first: what follows is older still.
		if next == "" || len(ds) == 0 || ds[len(ds)-1].CreatedAt.Before(from) {
			break
		}
		q.After = next
	}
	for id, k := range found {
		inc, err := a.incident(ctx, id)
		if err != nil {
			return d, fmt.Errorf("gather digest: incident %s: %w", id, err)
		}
		slices.Sort(k.receivers)
		item := DigestItem{IncidentID: id, OpenedAt: inc.OpenedAt, Receivers: k.receivers, Page: a.opts.Links(inc, k.first).Page}
		for _, n := range k.posts {
			item.Posts = max(item.Posts, n)
		}
		if item, err = a.digestItem(ctx, item, inc, k.first); err != nil {
			return d, err
		}
		d.Incidents = append(d.Incidents, item)
	}
	slices.SortFunc(d.Incidents, func(x, y DigestItem) int {
		return cmp.Or(x.OpenedAt.Compare(y.OpenedAt), cmp.Compare(x.IncidentID, y.IncidentID))
	})
	if n := len(d.Incidents) - digestItems; n > 0 {
		d.Incidents, d.More = d.Incidents[n:], n // the latest are remembered best
	}
	return d, nil
}

// digestItem words the first report kept back, and what came of the incident.
func (a *Alerting) digestItem(ctx context.Context, item DigestItem, inc triage.Incident, number int) (DigestItem, error) {
	r, err := a.store.Report(ctx, inc.ID, number)
	if err != nil {
		return item, fmt.Errorf("gather digest: report %d of incident %s: %w", number, inc.ID, err)
	}
	card := card.New(card.Input{Incident: inc.As(r), Report: r, Percentages: a.opts.Percentages(ctx)})
	item.Mark, item.Headline = card.Mark, card.Headline
	if len(card.Lines) > 0 {
		item.Statement = card.Lines[0].Word + ": " + card.Lines[0].Text
	}
	if !inc.RecoveredAt.IsZero() {
		item.Outcome = "recovered " + say.Minute(inc.RecoveredAt)
	}
	return item, nil
}

// schedule is one digest that is posted again and again.
type schedule struct {
	cfg    DigestConfig
	key    string // in State: up to when the last one told
	gather func(ctx context.Context, from, to time.Time) (Digest, error)
}

func (a *Alerting) schedules() []schedule {
	truth := a.cfg.Truth
	truth.Receiver = cmp.Or(truth.Receiver, a.cfg.Digest.Receiver)
	return []schedule{{a.cfg.Digest, digestKey, a.Digest}, {truth, truthKey, a.truthDigest}}
}

// digests posts a digest at the end of each period until ctx ends. What fell into a time when nobody ran is told at the next
// start. A digest that could not be posted is tried again; killed between the post and the note of it, one is posted twice.
func (a *Alerting) digests(ctx context.Context, s schedule) {
	if s.cfg.Receiver == "" || a.opts.State == nil {
		return
	}
	from, err := a.lastDigest(ctx, s.key)
	wait := digestRetry
	for ; ctx.Err() == nil; from, err = a.lastDigest(ctx, s.key) {
		next := a.now().Add(wait)
		if err == nil {
			next = s.cfg.after(from)
			if !a.now().Before(next) {
				if err = a.postDigest(ctx, s, from, a.now()); err == nil {
					wait = digestRetry
					continue
				}
				next = a.now().Add(wait)
			}
		}
		if err != nil && ctx.Err() == nil {
			a.log.Error("digest not posted; it is tried again", "in", wait, "err", err)
			wait = min(2*wait, digestLate)
		}
		timer := time.NewTimer(next.Sub(a.now()))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// lastDigest is up to when the last digest told. The first time it is now, and remembered.
func (a *Alerting) lastDigest(ctx context.Context, key string) (time.Time, error) {
	b, err := a.opts.State.State(ctx, key)
	if err != nil {
		return time.Time{}, fmt.Errorf("read when the last digest was: %w", err)
	}
	if t, err := time.Parse(time.RFC3339Nano, string(b)); err == nil {
		return t, nil
	}
	return a.now(), a.setDigest(ctx, key, a.now())
}

func (a *Alerting) setDigest(ctx context.Context, key string, t time.Time) error {
	if err := a.opts.State.SetState(ctx, key, []byte(t.UTC().Format(time.RFC3339Nano))); err != nil {
		return fmt.Errorf("remember when the last digest was: %w", err)
	}
	return nil
}

// postDigest posts one digest to every integration that can. Where there is nothing to tell nothing is said.
func (a *Alerting) postDigest(ctx context.Context, s schedule, from, to time.Time) error {
	d, err := s.gather(ctx, from, to)
	if err != nil {
		return err
	}
	if d.Posts > 0 || d.Truth != nil {
		var errs []error
		posted := 0
		for _, i := range a.out.receiver(s.cfg.Receiver) {
			digester, ok := i.Notifier.(Digester)
			if !ok {
				continue
			}
			ctx, cancel := context.WithTimeout(ctx, time.Duration(a.cfg.Delivery.Timeout))
			_, err := digester.Digest(ctx, d)
			cancel()
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", integrationKey(s.cfg.Receiver, i.Name), asDeliveryError(err)))
				continue
			}
			posted++
		}
		if posted == 0 { // one of several channels is enough: told twice is worse than told once
			return errors.Join(append(errs, errors.New("no integration of the receiver took the digest"))...)
		}
		if err := errors.Join(errs...); err != nil {
			a.log.Warn("digest not posted everywhere", "err", err)
		}
	}
	return a.setDigest(ctx, s.key, to)
}

// receiver lists the integrations of a receiver.
func (d *dispatcher) receiver(name string) []Integration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.receivers[name])
}

// checkDigest makes sure that somebody can post the digest.
func checkDigest(field string, c DigestConfig, r Receivers) error {
	if c.Receiver == "" {
		return nil
	}
	list, known := r[c.Receiver]
	if !known {
		return &triage.FieldError{Field: "incidents." + field + ".receiver", Value: c.Receiver, Remedy: "is not defined under receivers"}
	}
	if !slices.ContainsFunc(list, func(i Integration) bool { _, ok := i.Notifier.(Digester); return ok }) {
		return &triage.FieldError{Field: "incidents." + field + ".receiver", Value: c.Receiver, Remedy: "can post no digest; name one with Slack, Teams, e-mail, webhook or log"}
	}
	return nil
}
