package main

import (
	"fmt"
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// The incident's own alerts are left out, whichever replica evaluated them, and the rest is bounded.
func TestOtherAlerts(t *testing.T) {
	active := []triage.ActiveAlert{
		{Name: "Errors", Labels: map[string]string{"alertname": "Errors", "service": "cart", "prometheus_replica": "b"}},
		{Name: "Errors", Labels: map[string]string{"alertname": "Errors", "service": "web"}},
	}
	own := []triage.Alert{{Labels: map[string]string{"alertname": "Errors", "service": "cart", "prometheus_replica": "a", "region": "eu1"}}}
	if got := others(active, own); len(got) != 1 || got[0].Labels["service"] != "web" {
		t.Errorf("want the other one, got %+v", got)
	}
	for i := range 2 * triage.MaxOtherAlerts {
		active = append(active, triage.ActiveAlert{Labels: map[string]string{"n": fmt.Sprint(i)}})
	}
	if got := others(active, own); len(got) != triage.MaxOtherAlerts {
		t.Errorf("want %d at most, got %d", triage.MaxOtherAlerts, len(got))
	}
}
