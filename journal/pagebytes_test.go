package journal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// A page ends by its bytes where it does not by its rows, and the cursor goes on from there: nothing is left out.
func TestPagesAreBoundedByBytes(t *testing.T) {
	j := newJournal(t)
	const n, fat = 200, 60 << 10
	for i := range n {
		c := deploy(fmt.Sprintf("c%03d", i), 0)
		c.Size.Paths = []string{strings.Repeat("x", fat)}
		mustAppend(t, j, entry(c))
	}
	seen := make(map[triage.ChangeID]bool)
	for after := ""; ; {
		got, next, err := j.FindChanges(t.Context(), triage.ChangeQuery{Limit: 1000, After: after})
		must(t, err)
		if len(got)*fat > pageBytes || len(got) == 0 {
			t.Fatalf("a page of %d changes of %d bytes", len(got), fat)
		}
		for _, c := range got {
			if seen[c.ID] {
				t.Errorf("%s comes twice", c.ID)
			}
			seen[c.ID] = true
		}
		if after = next; next == "" {
			break
		}
	}
	if len(seen) != n {
		t.Errorf("want %d, got %d", n, len(seen))
	}
}
