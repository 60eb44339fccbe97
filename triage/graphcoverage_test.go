package triage

import (
	"fmt"
	"slices"
	"testing"
)

// What is known of the calls is counted by who knows it; services that nothing joins are named, a bounded number of them.
func TestGraphCoverage(t *testing.T) {
	declared := NewTopology([]Edge{{From: "web", To: "checkout"}, {From: "checkout", To: "pricing"}})
	seen := NewTopology([]Edge{{From: "checkout", To: "pricing"}, {From: "checkout", To: "db"}, {From: "pricing", To: "db"}})
	got := GraphCoverageOf(declared, seen, []string{"checkout", "mail", "pricing", "search", "web"})
	if got.Declared != 2 || got.Seen != 3 || got.Both != 1 || got.Services != 5 || got.Alone != 2 || !slices.Equal(got.AloneNames, []string{"mail", "search"}) {
		t.Errorf("got %+v", got)
	}
	var many []string
	for i := range 3 * MaxAloneNames {
		many = append(many, fmt.Sprintf("s-%02d", i))
	}
	if got := GraphCoverageOf(Topology{}, Topology{}, many); got.Alone != len(many) || len(got.AloneNames) != MaxAloneNames {
		t.Errorf("want all counted and %d named, got %d and %d", MaxAloneNames, got.Alone, len(got.AloneNames))
	}
}
