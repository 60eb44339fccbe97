package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// settle lets the daemon finish, then compares.
func (k *killing) settle(ctx context.Context) error {
	k.slack.set(func(s *fakeSlack) { s.slow = 0 })
	if _, err := k.d.startReady(ctx, time.Minute); err != nil {
		return err
	}
	// Slack takes one message a second in a channel, and the daemon keeps to that.
	patience := 2*time.Minute + time.Duration(len(k.alerts))*3*time.Second
	err := k.d.await(ctx, patience, func() error { return k.unfinished(ctx) })
	if err != nil { // what is missing now is lost, and is counted below
		k.tally.lost = append(k.tally.lost, err.Error())
	}
	if err := k.d.stop(); err != nil {
		return err
	}
	if err := k.check(ctx); err != nil {
		return err
	}
	return k.compare(ctx)
}

// unfinished says what the daemon has still to do: read the topic, make reports, deliver them.
func (k *killing) unfinished(ctx context.Context) error {
	pause(ctx, 250*time.Millisecond)
	for _, id := range k.last { // one of each partition: those before them have been read, too
		if err := k.d.get(ctx, "/api/v1/changes/"+string(id), nil); err != nil {
			return fmt.Errorf("kafka: %w", err)
		}
	}
	var page struct{ Items []triage.Delivery }
	if err := k.d.get(ctx, "/api/v1/deliveries?state=pending&limit=1", &page); err != nil {
		return err
	}
	if len(page.Items) > 0 {
		return fmt.Errorf("delivery %s of incident %s is still pending: %s", page.Items[0].ID, page.Items[0].IncidentID, page.Items[0].LastError)
	}
	incidents, err := allIncidents(ctx, k.d)
	if err != nil {
		return err
	}
	k.incidents = incidents
	for _, inc := range incidents {
		if inc.Reports == 0 {
			return fmt.Errorf("incident %s has no report", inc.ID)
		}
	}
	return nil
}

// compare looks for every acknowledged thing in the journal, and for second messages in the channel.
func (k *killing) compare(ctx context.Context) error {
	j, err := openJournal(ctx, k.d.journalPath())
	if err != nil {
		return err
	}
	defer j.Close()
	there := make(map[triage.ChangeID]bool)
	if err := j.Index(ctx, time.Time{}, func(e triage.IndexEntry) error { there[e.ID] = true; return nil }); err != nil {
		return err
	}
	if err := j.AliasesSince(ctx, time.Time{}, func(alias, _ triage.ChangeID) error { there[alias] = true; return nil }); err != nil {
		return err
	}
	for _, ids := range []map[triage.ChangeID]bool{k.kafka, k.pushed} {
		for id := range ids {
			if !there[id] {
				k.tally.lost = append(k.tally.lost, "change "+string(id))
			} else if body, err := j.Changes(ctx, []triage.ChangeID{id}); err != nil || len(body) == 0 || body[0].Version == "" {
				k.tally.lost = append(k.tally.lost, fmt.Sprintf("body of %s (%v)", id, err))
			}
		}
	}
	seen := make(map[string]bool)
	doubled, visible, replies := k.slack.doubles()
	for _, inc := range k.incidents {
		for _, a := range inc.Alerts {
			seen[a.Name()] = true
		}
		if visible[inc.ID] == 0 {
			k.tally.lost = append(k.tally.lost, "message about "+inc.ID)
		}
	}
	for name := range k.alerts {
		if !seen[name] {
			k.tally.lost = append(k.tally.lost, "alert "+name)
		}
	}
	for comment, incident := range k.feedback {
		given, err := j.Feedback(ctx, incident)
		if err != nil {
			return err
		}
		found := false
		for _, f := range given {
			found = found || f.Comment == comment
		}
		if !found {
			k.tally.lost = append(k.tally.lost, comment)
		}
	}
	t := &k.tally
	t.kafka, t.pushed, t.alerts, t.feedback = len(k.kafka), len(k.pushed), len(k.alerts), len(k.feedback)
	t.incidents, t.messages, t.replies, t.doubled = len(k.incidents), len(visible), replies, doubled
	return nil
}

// check reads the whole file without the daemon, and looks whether the daemon has ever found it damaged.
func (k *killing) check(ctx context.Context) error {
	k.tally.checks++
	found, err := integrityOf(ctx, k.d.journalPath())
	if err != nil {
		return err
	}
	if found != "ok" {
		k.tally.damage++
	}
	files, err := os.ReadDir(k.d.dataDir())
	if err != nil {
		return err
	}
	for _, f := range files {
		if strings.Contains(f.Name(), ".corrupt-") {
			k.tally.damage++
		}
	}
	return nil
}
