package triage

import (
	"fmt"
	"strings"
	"testing"
)

// What is said about a record with very many unknown fields is bounded, and says that there is more.
func TestComplaintsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"kind":"deploy"`)
	for i := range 50000 {
		fmt.Fprintf(&b, `,"x%d":1`, i)
	}
	b.WriteString("}")
	_, err := DecodeChange([]byte(b.String()), "change")
	if err == nil || len(err.Error()) > 64<<10 || !strings.Contains(err.Error(), "further fields") {
		t.Errorf("want a short error that says there is more, got %d bytes", len(fmt.Sprint(err)))
	}
}
