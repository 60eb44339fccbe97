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
	q := triage.Quarantined{ID: "x", Source: "kafka", Origin: "topic=deploys partition=3 offset=42", Reason: "not JSON", Body: []byte("\xff{"), Size: 2, At: at(0)}
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
	big := triage.Quarantined{ID: "big", Source: "big", Reason: strings.Repeat("r", 1<<20), Origin: strings.Repeat("o", 1<<20), Body: bytes.Repeat([]byte("b"), triage.MaxQuarantineBody+1)}
	if err := j.Quarantine(ctx, big); err != nil {
		t.Fatal(err)
	}
	got = list("big")
	if len(got) != 1 || len(got[0].Body) != quarantineShown || got[0].Size != triage.MaxQuarantineBody || !got[0].Cut || len(got[0].Reason) > 2*maxQuarantineText || len(got[0].Origin) > 2*maxQuarantineText {
		t.Fatalf("big: %d", len(got))
	}
	if whole, err := j.QuarantinedRecord(ctx, "big"); err != nil || len(whole.Body) != triage.MaxQuarantineBody {
		t.Errorf("want all that is kept of one record, got %d bytes, %v", len(whole.Body), err)
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

// The bodies of the quarantine have a bound together; a list of large ones comes in pages bounded by bytes. The oldest bodies go first,
// their records stay.
func TestQuarantineIsBoundedByBytes(t *testing.T) {
	j := newJournal(t)
	body := bytes.Repeat([]byte("b"), triage.MaxQuarantineBody)
	const n = quarantineBytes/triage.MaxQuarantineBody + 5
	for i := range n {
		must(t, j.Quarantine(t.Context(), triage.Quarantined{ID: fmt.Sprint(i), Source: "push", Body: body}))
	}
	seen, kept := 0, 0
	for after := ""; ; {
		got, next, err := j.Quarantined(t.Context(), "", after, 1000)
		must(t, err)
		bytes := 0
		for _, q := range got {
			seen, bytes = seen+1, bytes+len(q.Body)
			kept += q.Size
		}
		if bytes > pageBytes {
			t.Errorf("a page of %d bytes", bytes)
		}
		if after = next; next == "" {
			break
		}
	}
	if slack := quarantineBytes / 16; seen != n || kept > quarantineBytes+slack || kept < quarantineBytes/2 {
		t.Errorf("want %d records and the bytes bounded, got %d and %d", n, seen, kept)
	}
}
