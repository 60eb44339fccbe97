// Package webhook posts reports as signed JSON to any HTTP endpoint. It neither retries nor queues, and follows no redirect
// to another host.
//
// The body is an Envelope. The header X-Triaged-Delivery carries the delivery id, the same on every attempt, so that a
// receiver can drop what it has already seen. X-Triaged-Signature is "sha256=" and the hex HMAC-SHA256 of the raw body under
// the shared secret; compare it in constant time before reading the body.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/alerting/digest"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// The headers of a post.
const (
	HeaderSignature = "X-Triaged-Signature"
	HeaderDelivery  = "X-Triaged-Delivery"
)

// Schema is the version of Envelope. Fields may be added within a version; none changes its meaning.
const Schema = 1

// Envelope is the body of a post.
type Envelope struct {
	Schema     int             `json:"schema"`
	DeliveryID string          `json:"delivery_id"` // the same on every attempt
	Incident   triage.Incident `json:"incident"`
	Report     triage.Report   `json:"report"`
	Card       string          `json:"card"` // the report as plain text
	Links      card.Links      `json:"links"`
}

// Notifier posts to one endpoint.
type Notifier struct {
	cfg    Config
	client *http.Client
	now    func() time.Time
}

// Options are what a Notifier is made from.
type Options struct {
	Config    Config
	Transport http.RoundTripper // nil: made from Config.HTTPConfig
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
	client, err := outbox.Client("webhook", o.Config.HTTPConfig, o.Transport)
	if err != nil {
		return nil, err
	}
	return &Notifier{cfg: o.Config, client: client, now: o.Now}, nil
}

// Rechecks is true for triaged's own body and for templates: the receiver knows a repeated delivery by its id. A chat does not.
func (n *Notifier) Rechecks() bool { return n.cfg.Format == FormatOwn }

// Notify posts one report.
func (n *Notifier) Notify(ctx context.Context, nt outbox.Notification) (outbox.Receipt, error) {
	m, err := n.cfg.compose(nt)
	if err != nil {
		return outbox.Receipt{}, permanent(err)
	}
	r, err := n.post(ctx, nt.Delivery.ID, m)
	r.Detail = m.detail
	return r, err
}

// DigestEnvelope is the body of a digest of what shadow routes kept back.
type DigestEnvelope struct {
	Schema     int           `json:"schema"`
	DeliveryID string        `json:"delivery_id"` // the same on every attempt at this digest
	Digest     digest.Digest `json:"digest"`
	Text       string        `json:"text"` // the digest as plain text
}

// Digest posts a digest.
func (n *Notifier) Digest(ctx context.Context, d digest.Digest) (outbox.Receipt, error) {
	id := "digest-" + d.From.UTC().Format("20060102T150405Z")
	if n.cfg.Format != FormatOwn {
		return outbox.Receipt{}, permanent(fmt.Errorf("a digest has no place in the format %s", n.cfg.Format))
	}
	body, err := json.Marshal(DigestEnvelope{Schema: Schema, DeliveryID: id, Digest: d, Text: d.Text()})
	if err != nil {
		return outbox.Receipt{}, permanent(fmt.Errorf("encode digest: %w", err))
	}
	return n.post(ctx, id, message{body: body, header: http.Header{"Content-Type": {contentJSON}}})
}

// post sends one signed body.
func (n *Notifier) post(ctx context.Context, id string, m message) (outbox.Receipt, error) {
	address, err := outbox.Secret(n.cfg.URL, n.cfg.URLFile, "url_file")
	if err != nil {
		return outbox.Receipt{}, unreadable(err)
	}
	u, err := outbox.Address(address)
	if err != nil {
		return outbox.Receipt{}, permanent(fmt.Errorf("the address: %w", err))
	}
	if m.path != "" {
		path, query, _ := strings.Cut(m.path, "?")
		u = u.JoinPath(path)
		u.RawQuery = query
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(m.body))
	if err != nil {
		return outbox.Receipt{}, permanent(errors.New("the address cannot be used for a request"))
	}
	maps.Copy(req.Header, m.header)
	req.Header.Set("User-Agent", "triaged")
	req.Header.Set(HeaderDelivery, id)
	key, err := outbox.Secret(n.cfg.Secret, n.cfg.SecretFile, "secret_file")
	if err != nil {
		return outbox.Receipt{}, unreadable(err)
	}
	if key != "" {
		req.Header.Set(HeaderSignature, Sign([]byte(key), m.body))
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return outbox.Receipt{}, outbox.TransportError("post report", err)
	}
	defer outbox.Drain(resp.Body)
	if e := outbox.StatusError("post report", resp, n.now()); e != nil {
		return outbox.Receipt{}, e
	}
	return outbox.Receipt{RemoteID: id}, nil
}

// Sign is the value of X-Triaged-Signature for a body.
func Sign(key, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func permanent(err error) error {
	return &outbox.DeliveryError{Reason: outbox.ReasonOther, Err: err}
}

// unreadable is worth a retry: a secret may be mounted late.
func unreadable(err error) error {
	return &outbox.DeliveryError{Reason: outbox.ReasonOther, Retryable: true, Err: err}
}
