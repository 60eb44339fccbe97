package journal

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/triaged-dev/triaged/triage"
)

func TestQuarantine(t *testing.T) {
	j := newJournal(t, func(o *Options) { o.Config.QuarantineMax = 10 })
	ctx := t.Context()
	list := func(source string) []triage.Quarantined {
		t.Helper()
		return pages(t, 3, func(after string) ([]triage.Quarantined, string, error) { return j.Quarantined(ctx, source, after, 3) })
	}
	q := triage.Quarantined{ID: "x", Source: "kafka", Origin: "topic=deploys partition=3 offset=42", Reason: "not JSON", Body: []byte("\xff{"), At: at(0)}
	if err := j.Quarantine(ctx, q); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]triage.Quarantined{q}, list("")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if one, err := j.QuarantinedRecord(ctx, "x"); err != nil || cmp.Diff(q, one) != "" {
		t.Errorf("one record: %v\n%s", err, cmp.Diff(q, one))
	}
	_, err := j.QuarantinedRecord(ctx, "unknown")
	wantErr(t, err, ErrNotFound)
	// The same record refused again is kept once; another one is another one.
	for _, body := range []string{"a", "a", "b"} {
		if err := j.Quarantine(ctx, triage.Quarantined{Source: "push", Origin: "o", Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	got := list("push")
	if len(got) != 2 || string(got[0].Body) != "b" || got[0].At.IsZero() || got[0].ID == got[1].ID {
		t.Errorf("without ids: %+v", got)
	}
	// Large bodies are cut and say so.
	big := triage.Quarantined{ID: "big", Source: "big", Reason: strings.Repeat("r", 1<<20), Origin: strings.Repeat("o", 1<<20), Body: bytes.Repeat([]byte("b"), 1<<20)}
	if err := j.Quarantine(ctx, big); err != nil {
		t.Fatal(err)
	}
	got = list("big")
	if len(got) != 1 || len(got[0].Body) != triage.MaxQuarantineBody || !got[0].Cut || len(got[0].Reason) > 2*maxQuarantineText || len(got[0].Origin) > 2*maxQuarantineText {
		t.Fatalf("big: %d", len(got))
	}
	// The newest stay when there are too many, bodies too.
	for i := range 25 {
		if err := j.Quarantine(ctx, triage.Quarantined{ID: fmt.Sprint(i), Source: "kafka", Body: []byte{byte(i)}, At: at(time.Duration(i))}); err != nil {
			t.Fatal(err)
		}
	}
	got = list("")
	if len(got) != 10 || got[0].ID != "24" || got[9].ID != "15" {
		t.Errorf("bounded: %d", len(got))
	}
	var bodies int
	if err := j.rdb.QueryRowContext(t.Context(), "SELECT count(*) FROM quarantine_bodies").Scan(&bodies); err != nil || bodies != 10 {
		t.Errorf("bodies: %d, %v", bodies, err)
	}
}

// A released record is gone with its body; the others stay; a second release does no harm.
func TestRelease(t *testing.T) {
	j := newJournal(t)
	ctx := t.Context()
	for _, id := range []string{"a", "b"} {
		q := triage.Quarantined{ID: id, Source: "kafka", Body: []byte(id), RecordTime: at(5), Headers: map[string]string{"x-event": "push"}, Scope: triage.Scope{Service: "checkout"}}
		if err := j.Quarantine(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := j.Release(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		_, err := j.QuarantinedRecord(ctx, "a")
		wantErr(t, err, ErrNotFound)
	}
	q, err := j.QuarantinedRecord(ctx, "b")
	if err != nil || string(q.Body) != "b" || !q.RecordTime.Equal(at(5)) || q.Headers["x-event"] != "push" || q.Scope.Service != "checkout" {
		t.Errorf("the other: %+v, %v", q, err)
	}
	var bodies int
	if err := j.rdb.QueryRowContext(ctx, "SELECT count(*) FROM quarantine_bodies").Scan(&bodies); err != nil || bodies != 1 {
		t.Errorf("bodies: %d, %v", bodies, err)
	}
}

func TestState(t *testing.T) {
	j := newJournal(t)
	ctx := t.Context()
	_, err := j.State(ctx, "github/cursor")
	wantErr(t, err, ErrNotFound)
	for _, want := range [][]byte{[]byte("one"), {0, 1, 2}, {}} {
		if err := j.SetState(ctx, "github/cursor", want); err != nil {
			t.Fatal(err)
		}
		if got, err := j.State(ctx, "github/cursor"); err != nil || !bytes.Equal(want, got) {
			t.Errorf("state: want %q, got %q, %v", want, got, err)
		}
	}
	if err := j.SetState(ctx, "nil", nil); err != nil {
		t.Errorf("nil value: %v", err)
	}
	if err := j.SetState(ctx, "big", make([]byte, MaxState+1)); err == nil || !strings.Contains(err.Error(), "at most 1048576") {
		t.Errorf("too big: %v", err)
	}
}
