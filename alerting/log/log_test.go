package log

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/alerting/notifytest"
	"github.com/triaged-dev/triaged/alerting/outbox"
)

func TestLineAndCard(t *testing.T) {
	var lines, cards bytes.Buffer
	n, err := New(DefaultConfig(), slog.New(slog.NewJSONHandler(&lines, nil)), &cards)
	if err != nil {
		t.Fatal(err)
	}
	nt := notifytest.Notification()
	if _, err := n.Notify(t.Context(), nt); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
		t.Fatalf("want exactly one line of JSON, got %s: %v", lines.String(), err)
	}
	for k, want := range map[string]any{"delivery": nt.Delivery.ID, "incident": nt.Incident.ID, "verdict": "act", "suspect": "ld#1", "service": "checkout"} {
		if got[k] != want {
			t.Errorf("%s: want %v, got %v", k, want, got[k])
		}
	}
	if !strings.Contains(cards.String(), nt.Card.Text()) {
		t.Errorf("want the card, got %q", cards.String())
	}
}

func TestErrors(t *testing.T) {
	n, err := New(DefaultConfig(), slog.New(slog.DiscardHandler), full{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.Notify(t.Context(), notifytest.Notification())
	if de, ok := errors.AsType[*outbox.DeliveryError](err); !ok || !de.Retryable {
		t.Errorf("want a retryable error when the card cannot be written, got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = n.Notify(ctx, notifytest.Notification()); err == nil {
		t.Error("want an error when the context has ended")
	}
	if _, err := New(DefaultConfig(), nil, nil); err == nil {
		t.Error("want an error without a logger")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }
