// Package digest tells one receiver on a schedule what shadow routes kept back, and what became of what was said.
//
// It asks nobody anything: it reads what is kept, words it, and posts it once.
package digest

import (
	"fmt"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// Digest is what shadow routes kept back between two times.
type Digest struct {
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Posts     int       `json:"posts"`
	Incidents []Item    `json:"incidents"`         // by the time they were opened
	More      int       `json:"more,omitempty"`    // incidents left out of the list
	Promote   string    `json:"promote,omitempty"` // what to do to be told at once

	Truth *triage.Ledger `json:"truth,omitempty"` // set in the digest of what was said against what became of it; then nothing else is
}

// Item is one incident of a Digest.
type Item struct {
	IncidentID string    `json:"incident_id"`
	OpenedAt   time.Time `json:"opened_at"`
	Receivers  []string  `json:"receivers"` // that would have been told
	Posts      int       `json:"posts"`     // to each of them, at most
	Mark       string    `json:"mark"`
	Headline   string    `json:"headline"` // of the first report kept back
	Statement  string    `json:"statement,omitempty"`
	Outcome    string    `json:"outcome,omitempty"`
	Page       string    `json:"page,omitempty"`
}

// Text is the digest for people, a few lines per incident.
func (d Digest) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", d.Title())
	for _, l := range d.TruthLines() {
		fmt.Fprintf(&b, "\n%s\n", l)
	}
	for _, i := range d.Incidents {
		fmt.Fprintf(&b, "\n%s\n", i.Text())
	}
	if d.More > 0 {
		fmt.Fprintf(&b, "\nand %d more incidents\n", d.More)
	}
	if d.Promote != "" {
		fmt.Fprintf(&b, "\n%s\n", d.Promote)
	}
	return b.String()
}

// Title is the first line.
func (d Digest) Title() string {
	if d.Truth != nil {
		return fmt.Sprintf("What was said against what became of it, since %s: %s, %d of which ended in a way that tells",
			d.From.UTC().Format("Mon 2 Jan"), say.Count(d.Truth.Incidents, "incident"), d.Truth.Known)
	}
	n := len(d.Incidents) + d.More
	return fmt.Sprintf("In shadow since %s: %s about %s kept back", d.From.UTC().Format("Mon 2 Jan 15:04 UTC"), say.Count(d.Posts, "post"), say.Count(n, "incident"))
}

// TruthLines are the lines of a digest of what became of what was said; none in one of what was kept back.
func (d Digest) TruthLines() []string {
	if d.Truth == nil {
		return nil
	}
	return truthLines(d.Truth)
}

// Text is one incident of the digest.
func (i Item) Text() string {
	lines := []string{strings.TrimSpace(i.OpenedAt.UTC().Format("Mon 15:04") + " " + i.Mark + " " + i.Headline)}
	if i.Statement != "" {
		lines = append(lines, "  "+i.Statement)
	}
	told := "  would have told " + strings.Join(i.Receivers, ", ")
	if i.Posts > 1 {
		told += fmt.Sprintf(", with %s", say.Count(i.Posts-1, "update"))
	}
	if i.Outcome != "" {
		told += "; " + i.Outcome
	}
	lines = append(lines, told)
	if i.Page != "" {
		lines = append(lines, "  "+i.Page)
	}
	return strings.Join(lines, "\n")
}
