package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// makeChange is an ordinary deploy whose JSON, in its envelope, is about size bytes.
func makeChange(id string, service int, at time.Time, size int) triage.Change {
	c := triage.Change{
		ID: triage.ChangeID(id), Source: "bench", Kind: triage.KindDeploy, Status: triage.StatusSucceeded,
		Scope:     triage.Scope{Service: fmt.Sprintf("service-%04d", service), Environment: "production"},
		StartedAt: at.Add(-time.Minute).UTC(), FinishedAt: at.UTC(), ObservedAt: at.UTC(), Version: "v-" + id,
		Title: "Deploy to production", Labels: map[string]string{"sha": fmt.Sprintf("%040s", id)},
		Refs: []triage.Ref{{System: "bench", ID: id}},
	}
	const bare = 470 // bytes of the above
	for i := 0; bare+i*920 < size; i++ {
		c.Labels[fmt.Sprintf("note%d", i)] = strings.Repeat("x", min(900, size-bare-i*920))
	}
	return c
}

func envelope(c triage.Change) []byte {
	b, err := json.Marshal(triage.Event{Change: &c})
	if err != nil {
		panic(err) // a value of ours that cannot be written is a mistake in this program
	}
	return b
}

// webhook is one group of alerts as Alertmanager posts it. Each name is one alert.
func webhook(group, service string, startsAt time.Time, names ...string) []byte {
	alerts := make([]any, len(names))
	for i, name := range names {
		labels := map[string]string{"alertname": name, "service": service, "severity": "page", "environment": "production"}
		alerts[i] = map[string]any{
			"status": "firing", "labels": labels, "annotations": map[string]string{}, "startsAt": startsAt.UTC().Format(time.RFC3339Nano),
			"endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": triage.Alert{Labels: labels}.LabelFingerprint(),
		}
	}
	common := map[string]string{"service": service}
	b, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}:{group=" + group + "}", "status": "firing", "receiver": "triaged", "groupLabels": common,
		"commonLabels": common, "commonAnnotations": map[string]string{}, "externalURL": "http://alertmanager.example", "alerts": alerts,
	})
	if err != nil {
		panic(err) // as above
	}
	return b
}
