package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// row is what one daemon said about one incident, and whether it was true.
type row struct {
	At        time.Time       `json:"at"`
	Seed      uint64          `json:"seed"`
	Scenario  string          `json:"scenario"`
	Knows     string          `json:"knowledge"`
	Incident  string          `json:"incident"`
	Alert     string          `json:"alert"`
	Service   string          `json:"service"`
	Truth     triage.ChangeID `json:"truth,omitempty"` // what did it, if it had been told by then
	Untold    bool            `json:"untold,omitempty"`
	None      string          `json:"none,omitempty"` // why no change is to blame
	Rank      int             `json:"rank"`           // of the truth in the first report; 0: it is not listed
	Leader    triage.ChangeID `json:"leader,omitempty"`
	PLeader   float64         `json:"p_leader"`
	PTruth    float64         `json:"p_truth"`
	PNone     float64         `json:"p_none"`
	Verdict   triage.Verdict  `json:"verdict"`
	Action    triage.Action   `json:"action"`
	Target    triage.ChangeID `json:"target,omitempty"`
	Judged    string          `json:"judged"` // right, wrong or abstained
	Blamed    bool            `json:"falsely_blamed,omitempty"`
	LaterNo   int             `json:"later_report,omitempty"` // the last report before somebody acted
	LaterRank int             `json:"later_rank,omitempty"`
	Later     string          `json:"later_judged,omitempty"`
	LaterUndo bool            `json:"later_undo,omitempty"` // it advises to undo something
	Paged     float64         `json:"page_s"`               // from the fault to the alert
	Reported  float64         `json:"report_s"`             // from the alert to the first report
	WrongUndo triage.ChangeID `json:"wrong_undo,omitempty"`
	WrongSaid string          `json:"wrong_undo_outcome,omitempty"` // what was said of it at last
	Undo      triage.ChangeID `json:"undo,omitempty"`
	Seen      bool            `json:"undo_recognised"`
	Said      string          `json:"outcome,omitempty"` // what was said of the right undo at last
	SaidIn    float64         `json:"outcome_s,omitempty"`
	Reports   int             `json:"reports"`
	State     string          `json:"state"`
	Case      string          `json:"case,omitempty"`
	Cards     []string        `json:"cards,omitempty"`
}

// rows asks every daemon what it said, and keeps the cases.
func (a *act) rows(ctx context.Context, out string) ([]row, error) {
	var rows []row
	for _, d := range a.town.daemons {
		incidents, err := d.incidents(ctx, a.broken.Add(-time.Second))
		if err != nil {
			return rows, err
		}
		slices.SortFunc(incidents, func(x, y triage.Incident) int { return x.OpenedAt.Compare(y.OpenedAt) })
		for _, i := range incidents {
			reports, err := d.reports(ctx, i.ID)
			if err != nil || len(reports) == 0 {
				continue // it was opened in this moment
			}
			slices.SortFunc(reports, func(x, y triage.Report) int { return x.Number - y.Number })
			r := a.row(d, i, reports)
			if r.Case, err = a.export(ctx, d, r, i, out); err != nil {
				return rows, err
			}
			rows = append(rows, r)
		}
		if len(incidents) == 0 {
			rows = append(rows, row{At: time.Now().UTC(), Seed: a.seed, Scenario: a.scenario.name, Knows: d.knows, None: a.scenario.none, Judged: "no page"})
		}
	}
	return rows, nil
}

// truth is what did it, as far as an incident of this service is concerned.
func (a *act) truth(service string) []triage.Change {
	if i, ok := a.fault.of[service]; ok {
		return a.fault.truth[i : i+1]
	}
	return a.fault.truth
}

func (a *act) row(d *daemon, i triage.Incident, reports []triage.Report) row {
	first := reports[0]
	truth, known := a.truth(i.Service), a.town.deployer.toldBy(first.CreatedAt)
	r := row{
		At: first.CreatedAt, Seed: a.seed, Scenario: a.scenario.name, Knows: d.knows, Incident: i.ID, Service: i.Service, None: a.scenario.none,
		PNone: first.None.Probability, Verdict: first.Recommendation.Verdict, Action: first.Recommendation.Action,
		Reports: len(reports), State: string(i.State), Undo: a.by, Cards: a.town.room.of(d.knows, i.ID),
	}
	if len(i.Alerts) > 0 {
		r.Alert, r.Paged, r.Reported = i.Alerts[0].Labels["alertname"], i.Alerts[0].StartsAt.Sub(a.broken).Seconds(), first.CreatedAt.Sub(i.Alerts[0].StartsAt).Seconds()
	}
	guilty := func(id triage.ChangeID, c *triage.Change) bool {
		return slices.ContainsFunc(truth, func(t triage.Change) bool { return t.ID == id || c != nil && sameChange(*c, t) })
	}
	for _, t := range truth {
		if r.Untold = !known[t.ID]; !r.Untold {
			r.Truth = t.ID
			break
		}
	}
	for _, s := range first.Suspects {
		if s.Change != nil && guilty(s.Change.ID, s.Change) && r.Rank == 0 {
			r.Rank, r.PTruth, r.Truth, r.Untold = s.Rank, s.Probability, s.Change.ID, false
		}
	}
	if lead := first.Leader(); lead != nil {
		r.Leader, r.PLeader = triage.ChangeID(lead.ID()), lead.Probability
		r.Blamed = lead.Change != nil && lead.Probability >= .5 && !guilty(lead.Change.ID, lead.Change)
	}
	if t := first.Recommendation.Target; t != nil {
		r.Target = t.ChangeID
	}
	r.Judged = a.judge(first.Recommendation, r, guilty)
	a.later(&r, reports, guilty)
	a.after(&r, reports, guilty)
	return r
}

// later reads the last report before anything was undone: what somebody who looks again would have read.
func (a *act) later(r *row, reports []triage.Report, guilty func(triage.ChangeID, *triage.Change) bool) {
	for _, rep := range reports {
		if !rep.CreatedAt.Before(a.acted) || len(rep.Suspects) == 0 && rep.None.Probability == 0 {
			continue
		}
		seen := *r
		seen.Leader, seen.Target = "", ""
		if lead := rep.Leader(); lead != nil {
			seen.Leader = triage.ChangeID(lead.ID())
		}
		if t := rep.Recommendation.Target; t != nil {
			seen.Target = t.ChangeID
		}
		r.LaterNo, r.LaterRank, r.LaterUndo = rep.Number, 0, rep.Recommendation.Action.Reversal()
		for _, s := range rep.Suspects {
			if s.Change != nil && guilty(s.Change.ID, s.Change) && r.LaterRank == 0 {
				r.LaterRank, seen.Truth = s.Rank, s.Change.ID
			}
		}
		r.Later = a.judge(rep.Recommendation, seen, guilty)
	}
}

// judge says what the advice was worth. Asking to look further is an abstention; so is a refusal where the cause was not told.
func (a *act) judge(rec triage.Recommendation, r row, guilty func(triage.ChangeID, *triage.Change) bool) string {
	acts := rec.Action.Reversal() || rec.Action == triage.ActionPauseRollout
	switch {
	case acts && rec.Target != nil && guilty(rec.Target.ChangeID, nil), acts && r.Target != "" && r.Target == r.Truth:
		return "right"
	case rec.Action.Reversal():
		return "wrong"
	case slices.Contains(a.scenario.action, rec.Action) && (len(a.fault.truth) == 0 || guilty(r.Leader, nil)):
		return "right"
	case (rec.Verdict == triage.VerdictWillNotHelp || rec.Verdict == triage.VerdictHarmful) && len(a.fault.truth) > 0 && !r.Untold:
		return "wrong refusal"
	}
	return "abstained"
}

// after reads what was said once something had been undone.
func (a *act) after(r *row, reports []triage.Report, guilty func(triage.ChangeID, *triage.Change) bool) {
	for _, rep := range reports {
		for _, c := range rep.Checked {
			switch {
			case guilty(c.Undid, nil) || c.Undid == r.Truth && r.Truth != "":
				r.Seen, r.Said = true, string(c.Outcome)
				if c.Outcome != triage.CheckWatching && r.SaidIn == 0 {
					r.SaidIn = c.Asked.Sub(a.undone).Seconds()
				}
			case a.wrong != nil && c.Undid == a.wrong.ID:
				r.WrongSaid = string(c.Outcome)
			}
		}
	}
	if a.wrong != nil {
		r.WrongUndo = a.wrong.ID
	}
}

// toldBy is which changes had been told by then.
func (d *deployer) toldBy(at time.Time) map[triage.ChangeID]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	told := make(map[triage.ChangeID]bool)
	for id, when := range d.when {
		told[id] = !when.After(at)
	}
	return told
}

// print says a row in one line, and the cards where they are wanted.
func (r row) print(w io.Writer, cards bool) {
	fmt.Fprintf(w, "%-16s %-8s %-14s %-10s rank %d  p %.2f  none %.2f  %-13s %-16s %-30s %-9s undo seen %-5v %s %.0f s  %s\n", r.Scenario, r.Knows, r.Alert, r.Service, r.Rank,
		r.PLeader, r.PNone, r.Verdict, r.Action, r.Target, r.Judged, r.Seen, r.Said, r.SaidIn, r.Case)
	if cards {
		for _, c := range r.Cards {
			fmt.Fprintln(w, "    "+strings.ReplaceAll(strings.TrimSpace(c), "\n", "\n    "))
		}
	}
}
