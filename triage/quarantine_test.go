package triage

import (
	"fmt"
	"strings"
	"testing"
)

// What proves who sends is not kept with a record; what it takes to read it is, within bounds.
func TestKeepHeader(t *testing.T) {
	var q Quarantined
	for _, name := range []string{"Authorization", "Cookie", "X-Gitlab-Token", "X-Hub-Signature-256", "X-LD-Signature", "X-Api-Key", "X-Secret", "X-Session-Id"} {
		q.KeepHeader(name, "hush")
	}
	q.KeepHeader("X-Gitlab-Event", "Push Hook")
	q.KeepHeader("Ce-Type", strings.Repeat("x", maxHeaderValue+1))
	if len(q.Headers) != 1 || q.Headers["x-gitlab-event"] != "Push Hook" {
		t.Errorf("kept %v", q.Headers)
	}
	for i := range 2 * maxHeaders {
		q.KeepHeader(fmt.Sprint("X-", i), "v")
	}
	if len(q.Headers) != maxHeaders {
		t.Errorf("kept %d headers, want at most %d", len(q.Headers), maxHeaders)
	}
	q.SetBody(make([]byte, MaxQuarantineBody))
	if q.Cut || len(q.Body) != MaxQuarantineBody {
		t.Errorf("a body that fits: %t, %d", q.Cut, len(q.Body))
	}
	q.SetBody(make([]byte, MaxQuarantineBody+1))
	if !q.Cut || len(q.Body) != MaxQuarantineBody {
		t.Errorf("a body that does not: %t, %d", q.Cut, len(q.Body))
	}
}
