package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// getPostmortem drafts what a team would write afterwards, from what was recorded.
func (a *API) getPostmortem(r *request) (any, error) {
	inc, err := a.incident(r)
	if err != nil {
		return nil, err
	}
	reports, err := a.opts.Store.Reports(r.Context(), inc.ID)
	if err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	feedback, err := a.opts.Store.Feedback(r.Context(), inc.ID)
	if err != nil {
		return nil, fmt.Errorf("list feedback: %w", err)
	}
	deliveries, err := a.allDeliveries(r, inc.ID)
	if err != nil {
		return nil, err
	}
	d := draft{inc: inc, reports: reports, feedback: feedback, deliveries: deliveries, dir: a.directory(), now: a.now().UTC()}
	if d.changes, err = a.opts.Store.Changes(r.Context(), d.mentioned()); err != nil {
		return nil, fmt.Errorf("read the changes of the incident: %w", err)
	}
	return reply{raw: []byte(d.markdown()), header: http.Header{"Content-Type": {"text/markdown; charset=utf-8"}}}, nil
}

// draft is a post-mortem in the making. It is blameless by construction: no field that names a person is read, and addresses
// and handles in titles are taken out.
type draft struct {
	inc        triage.Incident
	reports    []triage.Report
	feedback   []triage.Feedback
	deliveries []triage.Delivery
	dir        *triage.Directory
	changes    []triage.Change // that people or undos name; a report may not list them
	now        time.Time

	first, last triage.Report // zero without reports
	b           strings.Builder
}

func (d *draft) line(format string, args ...any) {
	if len(args) == 0 {
		d.b.WriteString(format + "\n")
		return
	}
	fmt.Fprintf(&d.b, format+"\n", args...)
}

// markdown writes the draft. What is not known is said to be, so that nobody takes a gap for a fact.
func (d *draft) markdown() string {
	if n := len(d.reports); n > 0 {
		d.first, d.last = d.reports[0], d.reports[n-1]
	}
	began, _ := d.began()
	d.line("# %s, %s", plainText(d.inc.Title), began.UTC().Format("2 January 2006"))
	d.line("")
	d.line("Draft made by triaged from what it recorded, %s. Times are UTC. It names changes and systems, not people.", d.now.Format("2006-01-02 15:04"))
	d.line("")
	d.impact()
	d.timeline()
	d.trigger()
	d.tried()
	d.detection()
	d.blind()
	d.followUps()
	return d.b.String()
}

// began is the onset as believed last, else when the first alert fired; measured says which.
func (d *draft) began() (at time.Time, measured bool) {
	if !d.last.Onset.Best.IsZero() {
		return d.last.Onset.Best, true
	}
	return d.paged(), false
}

func (d *draft) paged() time.Time {
	at := d.inc.OpenedAt
	for _, al := range d.inc.Alerts {
		if al.StartsAt.Before(at) {
			at = al.StartsAt
		}
	}
	return at
}

// ended is when the symptom turned for good, else when the last alert resolved.
func (d *draft) ended() (at time.Time, measured bool) {
	for _, c := range d.last.Checked {
		if c.Outcome.Recovered() && !c.Turned.IsZero() {
			return c.Turned, true
		}
	}
	return d.inc.RecoveredAt, false
}

func (d *draft) impact() {
	d.line("## Impact")
	d.line("")
	if s := cmp.Or(d.worst(), d.last.Symptom.Sentence); s != "" {
		d.line("- %s", plainText(s))
	}
	began, measured := d.began()
	basis := "as measured"
	if !measured {
		basis = "when the first alert fired; the beginning is not known"
	}
	ended, turned := d.ended()
	switch {
	case ended.IsZero():
		d.line("- Began %s (%s). Not over at the time of writing.", clockOf(began), basis)
	case turned:
		d.line("- From %s (%s) to %s (as measured): %s.", clockOf(began), basis, clockOf(ended), say.Span(ended.Sub(began)))
	default:
		d.line("- From %s (%s) to %s (when the last alert resolved): %s.", clockOf(began), basis, clockOf(ended), say.Span(ended.Sub(began)))
	}
	if s := d.last.Severity; s != nil {
		worst := *s
		for _, r := range d.reports {
			if r.Severity != nil && r.Severity.Level < worst.Level {
				worst = *r.Severity
			}
		}
		d.line("- Proposed severity: %s (%s).", worst.Level, strings.Join(worst.Reasons, "; "))
	}
	var services []string
	for _, al := range d.inc.Alerts {
		if s := al.Labels["service"]; s != "" && !slices.Contains(services, s) {
			services = append(services, s)
		}
	}
	if len(services) > 1 {
		d.line("- Services with alerts: %s.", strings.Join(services, ", "))
	}
	if d.inc.Reopened > 0 {
		d.line("- It came back %s.", say.Times(d.inc.Reopened))
	}
	d.line("- To be filled in: how many users, what they could not do, what it cost.")
	d.line("")
}

// worst is the symptom of the report with the highest value in its bad direction, as far as the sentences carry numbers.
func (d *draft) worst() string {
	best, sentence := 0.0, ""
	for _, r := range d.reports {
		if now, before := r.Symptom.Now, r.Symptom.Before; now != nil && before != nil {
			if shift := max(*now-*before, *before-*now); shift > best {
				best, sentence = shift, r.Symptom.Sentence
			}
		}
	}
	return sentence
}

// timeline leaves out what is about us rather than about the incident: posts and numbers of reports.
func (d *draft) timeline() {
	d.line("## Timeline")
	d.line("")
	d.line("| time | what |")
	d.line("| --- | --- |")
	for _, m := range timeline(d.inc, d.reports, d.deliveries, nil) {
		text := m.Text
		switch m.Type {
		case momentDelivery, momentOpened, momentClosed:
			continue
		case momentOnset:
			text = "the symptom begins"
		case momentReport:
			text = "triaged: " + m.what
			if m.Report > 1 && headline(d.reports[m.Report-1]) == headline(d.reports[m.Report-2]) {
				continue
			}
		case momentChange:
			if !d.suspected(m.ChangeID) {
				continue
			}
			text = m.what
		default: // told in its own words
		}
		d.line("| %s | %s |", clockOf(m.At), cell(text))
	}
	d.line("")
}

// suspected reports whether a change was ever a serious hypothesis, or was undone.
func (d *draft) suspected(id triage.ChangeID) bool {
	for _, r := range d.reports {
		for _, s := range r.Suspects {
			if s.ID() == string(id) && (s.Rank == 1 || s.Probability >= triage.PossibleFrom) {
				return true
			}
		}
		for _, c := range r.Checked {
			if c.Undid == id {
				return true
			}
		}
	}
	return false
}

// label is the latest word of a person: confirmed, or said to be no change.
func (d *draft) label() (id triage.ChangeID, none bool) {
	for _, f := range d.feedback {
		switch f.Verdict {
		case triage.FeedbackConfirm:
			id, none = f.ChangeID, false
		case triage.FeedbackNone:
			id, none = "", true
		case triage.FeedbackReject:
			if f.ChangeID == id {
				id = ""
			}
		}
	}
	return id, none
}

func (d *draft) trigger() {
	d.line("## Trigger and contributing changes")
	d.line("")
	id, none := d.label()
	basis := "confirmed by the team"
	if id == "" && !none {
		for _, c := range d.last.Checked {
			if c.Outcome == triage.CheckVerified || c.Outcome == triage.CheckConsistent {
				id, basis = c.Undid, "undoing it ended the symptom ("+string(c.Outcome)+"); no person has confirmed it yet"
			}
		}
	}
	s, found := d.suspect(id)
	switch {
	case none:
		d.line("The team says that no change set it off.")
	case found && s.Change != nil:
		d.line("**%s**, at %s: %s.", cell(say.Change(*s.Change)), clockOf(s.Change.OccurredAt()), basis)
		d.evidence(s)
	case d.last.Leader() != nil && d.last.Standing().Word == triage.WordLikely:
		s = *d.last.Leader()
		d.line("Likely, not confirmed: **%s**.", cell(naming(s)))
		d.evidence(s)
	default:
		d.line("Not known. No change that was seen explains it well enough to be named.")
		for _, e := range d.last.None.Evidence {
			d.line("- %s", plainText(e.Sentence))
		}
	}
	d.line("")
	var others []string
	for _, o := range d.last.Suspects {
		if o.ID() != s.ID() && o.Probability >= triage.PossibleFrom {
			others = append(others, "- considered as well: "+cell(naming(o)))
		}
	}
	for _, h := range d.last.Hold {
		others = append(others, fmt.Sprintf("- went live while it was open, %s: %s", clockOf(h.At), cell(say.Undone(h))))
	}
	for _, o := range others {
		d.line("%s", o)
	}
	if len(others) > 0 {
		d.line("")
	}
}

// trifle is the log-odds below which a reason against is not worth a line afterwards.
const trifle triage.MilliNats = 500

func (d *draft) evidence(s triage.Suspect) {
	for i, e := range s.For {
		if i < 3 && e.Sentence != "" {
			d.line("- for: %s", plainText(e.Sentence))
		}
	}
	for i, e := range s.Against {
		if i < 2 && e.Sentence != "" && e.Contribution < -trifle {
			d.line("- against: %s", plainText(e.Sentence))
		}
	}
}

func (d *draft) tried() {
	d.line("## What was tried, and what it did")
	d.line("")
	seen := false
	for _, c := range d.last.Checked {
		seen = true
		name := string(c.Undid)
		if s, ok := d.suspect(c.Undid); ok {
			name = naming(s)
		}
		d.line("- %s, undone: %s. Result (%s): %s.", clockOf(c.At), cell(name), say.Enum(c.Outcome), strings.TrimSuffix(plainText(c.Sentence), "."))
	}
	if !seen {
		d.line("No undo of a suspected change was seen.")
	}
	d.line("")
}

func (d *draft) detection() {
	d.line("## Detection")
	d.line("")
	began, measured := d.began()
	paged := d.paged()
	switch {
	case !measured:
		d.line("When it began is not known, so neither is how long it went unnoticed. The first alert fired at %s.", clockOf(paged))
	default:
		d.line("It began at %s (between %s and %s); the first alert fired at %s, %s later.", clockOf(began),
			clockOf(d.last.Onset.Earliest), clockOf(d.last.Onset.Latest), clockOf(paged), say.Span(paged.Sub(began)))
	}
	if at := d.named(); !at.IsZero() {
		d.line("What is named above as the trigger was first named %s after that.", say.Span(at.Sub(paged)))
	}
	d.line("")
}

// named is when a report first led with what is believed to be the trigger.
func (d *draft) named() time.Time {
	id, none := d.label()
	if none {
		return time.Time{}
	}
	for _, c := range d.last.Checked {
		if id == "" && (c.Outcome == triage.CheckVerified || c.Outcome == triage.CheckConsistent) {
			id = c.Undid
		}
	}
	return namedAt(d.reports, id)
}

// namedAt is when a report first named the change in its headline.
func namedAt(reports []triage.Report, id triage.ChangeID) time.Time {
	for _, r := range reports {
		for _, s := range r.Standing().Named {
			if id != "" && s.ID() == string(id) {
				return r.CreatedAt
			}
		}
	}
	return time.Time{}
}

func (d *draft) blind() {
	d.line("## Blind spots")
	d.line("")
	n := 0
	for _, c := range d.last.Coverage {
		if c.State != triage.SourceOK && c.State != "" {
			n++
			d.line("- %s was %s. %s", plainText(c.Source), say.Enum(c.State), sentence(c.Detail))
		}
	}
	if d.last.Deadline {
		n++
		d.line("- Some evidence did not come in time.")
	}
	if n == 0 {
		d.line("Every source was heard. Changes that no source reports were not seen.")
	}
	d.line("")
}
