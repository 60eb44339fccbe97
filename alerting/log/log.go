// Package log is the notifier that needs no service: it writes each report to the log as one structured line, followed by
// the card as people read it. It keeps nothing and sends nothing anywhere.
package log

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/triaged-dev/triaged/alerting/digest"
	"github.com/triaged-dev/triaged/alerting/outbox"
)

// Config is one entry of a receiver's `log_configs` list.
type Config struct {
	Card bool `yaml:"card"` // write the card below the line
}

// DefaultConfig writes the card.
func DefaultConfig() Config { return Config{Card: true} }

// UnmarshalYAML starts from the defaults.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// Notifier writes reports.
type Notifier struct {
	cfg    Config
	logger *slog.Logger

	mu    sync.Mutex // one card at a time
	cards io.Writer
}

// New makes a Notifier that logs to logger and writes cards to cards; both are needed.
func New(cfg Config, logger *slog.Logger, cards io.Writer) (*Notifier, error) {
	if logger == nil || cards == nil {
		return nil, errors.New("the log notifier needs a logger and a place for its cards")
	}
	return &Notifier{cfg: cfg, logger: logger, cards: cards}, nil
}

// Rechecks is true: a line written twice does no harm, and carries its delivery id.
func (n *Notifier) Rechecks() bool { return true }

// Notify writes one report.
func (n *Notifier) Notify(ctx context.Context, nt outbox.Notification) (outbox.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return outbox.Receipt{}, outbox.TransportError("write card", err)
	}
	r := nt.Report
	suspect, kind := "", ""
	if s := r.Leader(); s != nil {
		suspect = s.ID()
		if s.Change != nil {
			kind = string(s.Change.Kind)
		}
	}
	n.logger.InfoContext(ctx, "report", "delivery", nt.Delivery.ID, "incident", nt.Incident.ID, "report", r.Number, "cause", r.Cause,
		"service", nt.Incident.Service, "state", string(nt.Incident.State), "verdict", string(r.Recommendation.Verdict),
		"action", string(r.Recommendation.Action), "suspect", suspect, "kind", kind, "page", nt.Links.Page)
	if !n.cfg.Card {
		return outbox.Receipt{RemoteID: nt.Delivery.ID}, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := fmt.Fprintf(n.cards, "\n%s\n", nt.Card.Text()); err != nil {
		return outbox.Receipt{}, &outbox.DeliveryError{Reason: outbox.ReasonOther, Retryable: true, Err: fmt.Errorf("write card: %w", err)}
	}
	return outbox.Receipt{RemoteID: nt.Delivery.ID}, nil
}

// Digest writes a digest.
func (n *Notifier) Digest(ctx context.Context, d digest.Digest) (outbox.Receipt, error) {
	n.logger.InfoContext(ctx, "digest", "from", d.From, "to", d.To, "posts", d.Posts, "incidents", len(d.Incidents)+d.More)
	if !n.cfg.Card {
		return outbox.Receipt{}, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := fmt.Fprintf(n.cards, "\n%s\n", d.Text()); err != nil {
		return outbox.Receipt{}, &outbox.DeliveryError{Reason: outbox.ReasonOther, Retryable: true, Err: fmt.Errorf("write digest: %w", err)}
	}
	return outbox.Receipt{}, nil
}
