package replay

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/triaged-dev/triaged/triage"
)

// confusion counts the advice given against what the label asks for.
type confusion struct {
	Label       string `json:"label"` // reversal, pause, no_reversal
	Right       int    `json:"right_reversal"`
	Wrong       int    `json:"wrong_reversal"` // of another change, or of one that is unsafe to undo
	Pause       int    `json:"pause_rollout"`
	FixForward  int    `json:"fix_forward"`
	Harmful     int    `json:"harmful"`
	WillNotHelp int    `json:"will_not_help"`
	CannotTell  int    `json:"cannot_tell"`
	AsLabelled  int    `json:"as_labelled"` // of all, those whose action is one that the label names
}

// confuse fills one row per kind of label; every case is counted in one cell.
func confuse(os []outcome) []confusion {
	rows := []confusion{{Label: "reversal"}, {Label: "pause"}, {Label: "no_reversal"}}
	for _, o := range os {
		row := &rows[2]
		switch {
		case o.allows():
			row = &rows[0]
		case slices.Contains(o.s.expect.Action, triage.ActionPauseRollout):
			row = &rows[1]
		}
		rec := o.report.Recommendation
		if slices.Contains(o.s.expect.Action, rec.Action) {
			row.AsLabelled++
		}
		switch {
		case rec.Action.Reversal() && rec.Target != nil && slices.Contains(o.s.expect.Truth, rec.Target.ChangeID) && !o.unsafe(rec.Target.ChangeID):
			row.Right++
		case rec.Action.Reversal():
			row.Wrong++
		case rec.Action == triage.ActionPauseRollout:
			row.Pause++
		case rec.Action == triage.ActionFixForward:
			row.FixForward++
		case rec.Verdict == triage.VerdictHarmful:
			row.Harmful++
		case rec.Verdict == triage.VerdictWillNotHelp:
			row.WillNotHelp++
		default:
			row.CannotTell++
		}
	}
	return rows
}

// cells are the counts of a row, in the order of the table; each case is in one of them.
func (c confusion) cells() [7]int {
	return [...]int{c.Right, c.Wrong, c.Pause, c.FixForward, c.Harmful, c.WillNotHelp, c.CannotTell}
}

func writeConfusion(w io.Writer, rows []confusion) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nlabel asks for\treversal, right\twrong\tpause\tfix forward\twould harm\twill not help\tcannot tell\tas labelled")
	for _, r := range rows {
		fmt.Fprint(t, map[string]string{"reversal": "a reversal", "pause": "a pause", "no_reversal": "no reversal"}[r.Label])
		for _, n := range r.cells() {
			fmt.Fprintf(t, "\t%d", n)
		}
		fmt.Fprintf(t, "\t%d\n", r.AsLabelled)
	}
	t.Flush()
}
