package api

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// LinkStore is what feedback links read and write. State returns an error for which notFound is true where there is none.
type LinkStore interface {
	State(ctx context.Context, key string) ([]byte, error)
	SetState(ctx context.Context, key string, value []byte) error
	Report(ctx context.Context, incidentID string, n int) (triage.Report, error)
	FeedbackStore
}

// ErrLink says that a token is not one of ours, or too old.
var ErrLink = errors.New("the link is not known, or too old")

// FeedbackLinks makes and reads the tokens behind "it was this" and "not it" in messages. A token says one thing about one
// incident, is signed, expires, and lets its holder do nothing else. It names the report; which change that report named is
// looked up, so the token stays short and cannot be bent to another change.
type FeedbackLinks struct {
	store LinkStore
	key   []byte
	now   func() time.Time
}

const (
	linkKey     = "feedback-link-key"
	linkLife    = 14 * 24 * time.Hour // since the incident was opened
	linkVersion = 1
	linkMAC     = 16 // bytes of the HMAC that are kept: 2^-128 to guess
	maxToken    = 512
)

// OpenFeedbackLinks reads the key from the store, or makes one at the first start. A lost key makes older links void.
func OpenFeedbackLinks(ctx context.Context, store LinkStore, notFound func(error) bool, now func() time.Time) (*FeedbackLinks, error) {
	key, err := store.State(ctx, linkKey)
	switch {
	case err != nil && !notFound(err):
		return nil, fmt.Errorf("read the key of feedback links: %w", err)
	case err != nil || len(key) != sha256.Size:
		key = make([]byte, sha256.Size)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("make a key for feedback links: %w", err)
		}
		if err := store.SetState(ctx, linkKey, key); err != nil {
			return nil, fmt.Errorf("keep the key of feedback links: %w", err)
		}
	}
	if now == nil {
		now = time.Now
	}
	return &FeedbackLinks{store: store, key: key, now: now}, nil
}

// Token makes the token by which somebody says that report n of an incident was right (confirm) or wrong (reject). The
// same input makes the same token.
func (l *FeedbackLinks) Token(inc triage.Incident, n int, verdict string) string {
	b := []byte{linkVersion, 0}
	if verdict == triage.FeedbackConfirm {
		b[1] = 1
	}
	b = binary.BigEndian.AppendUint64(b, uint64(inc.OpenedAt.Add(linkLife).Unix()))
	b = binary.AppendUvarint(b, uint64(n))
	b = append(b, inc.ID...)
	return base64.RawURLEncoding.EncodeToString(append(b, l.mac(b)...))
}

func (l *FeedbackLinks) mac(b []byte) []byte {
	h := hmac.New(sha256.New, l.key)
	h.Write([]byte("triaged feedback link\x00"))
	h.Write(b)
	return h.Sum(nil)[:linkMAC]
}

// Resolve says what a token stands for, and changes nothing. The error is ErrLink for a token that is not ours or too old.
func (l *FeedbackLinks) Resolve(ctx context.Context, token string) (triage.Feedback, error) {
	f, n, err := l.read(token)
	if err != nil {
		return f, err
	}
	r, err := l.store.Report(ctx, f.IncidentID, n)
	if err != nil {
		return f, fmt.Errorf("read the report of a feedback link: %w", err)
	}
	named := r.Standing().Named
	if len(named) != 1 || named[0].Change == nil {
		return f, ErrLink
	}
	f.ChangeID = named[0].Change.ID
	f.Comment = fmt.Sprintf("by the link in report %d", n)
	return f, nil
}

// read checks the signature first, in constant time, then the expiry.
func (l *FeedbackLinks) read(token string) (f triage.Feedback, n int, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(token) > maxToken || len(raw) < 2+8+1+linkMAC {
		return f, 0, ErrLink
	}
	b, mac := raw[:len(raw)-linkMAC], raw[len(raw)-linkMAC:]
	if !hmac.Equal(mac, l.mac(b)) || b[0] != linkVersion {
		return f, 0, ErrLink
	}
	if l.now().Unix() > int64(binary.BigEndian.Uint64(b[2:10])) {
		return f, 0, ErrLink
	}
	number, size := binary.Uvarint(b[10:])
	if size <= 0 {
		return f, 0, ErrLink
	}
	f.IncidentID, f.Verdict = string(b[10+size:]), triage.FeedbackReject
	if b[1] == 1 {
		f.Verdict = triage.FeedbackConfirm
	}
	return f, int(number), nil
}

// Use records what a token stands for. Saying again what was said last changes nothing.
func (l *FeedbackLinks) Use(ctx context.Context, token string) error {
	f, err := l.Resolve(ctx, token)
	if err != nil {
		return err
	}
	said, err := l.store.Feedback(ctx, f.IncidentID)
	if err != nil {
		return fmt.Errorf("list feedback: %w", err)
	}
	for _, s := range slices.Backward(said) {
		if s.Verdict == triage.FeedbackNone {
			break
		}
		if s.ChangeID == f.ChangeID && (s.Verdict == triage.FeedbackConfirm || s.Verdict == triage.FeedbackReject) {
			if s.Verdict == f.Verdict {
				return nil
			}
			break
		}
	}
	f.At, f.By = l.now().UTC(), triage.ActorOf(ctx)
	if err := l.store.SaveFeedback(ctx, f); err != nil {
		return fmt.Errorf("store feedback: %w", err)
	}
	return nil
}
