package triage

import (
	"encoding/json"
	"slices"
	"strings"
)

// What 0.1.0 wrote as prose is read back here and nowhere else: its reports and deliveries stay in journals for months.
const (
	oldUndo      = "undo seen: "
	oldStopped   = "it had stopped before this report was made"
	oldBegun     = "an attempt was begun; its outcome is not known"
	oldUncertain = "may have arrived: "
	oldHarm      = "undoing it would do harm: "
)

// UnmarshalJSON also reads a report of 0.1.0, which kept its state and what undid what in its notes.
func (r *Report) UnmarshalJSON(data []byte) error {
	type plain Report
	if err := json.Unmarshal(data, (*plain)(r)); err != nil {
		return err
	}
	if s := &r.Symptom; s.Unit == "" && s.Metric == "" && s.Before != nil {
		s.Unit = oldUnit(s.Sentence)
	}
	if rec := &r.Recommendation; rec.Verdict == VerdictHarmful {
		rec.Reason = strings.TrimPrefix(rec.Reason, oldHarm)
	}
	if r.Kind == "" && r.old() {
		r.fromOld()
	}
	return nil
}

// oldUnit is the unit of a symptom's values, which 0.1.0 told in its sentence alone.
func oldUnit(sentence string) Unit {
	for _, u := range [...]struct {
		mark string
		unit Unit
	}{{" % →", UnitRatio}, {" ms →", UnitSeconds}, {" s →", UnitSeconds}} {
		if strings.Contains(sentence, u.mark) {
			return u.unit
		}
	}
	return ""
}

// old reports whether anything is to be read back: the other reports of 0.1.0 are ranked ones on an open incident.
func (r *Report) old() bool {
	return r.Cause == "recovered" || len(r.Checked) > 0 || slices.ContainsFunc(r.Notes, func(n string) bool {
		return n == oldStopped || strings.HasPrefix(n, oldUndo)
	})
}

func (r *Report) fromOld() {
	r.Kind = ReportRanked
	switch {
	case r.Cause == "recovered":
		r.Kind = ReportRecovered
	case r.Cause == "undo checked" && slices.ContainsFunc(r.Checked, func(c Checked) bool { return c.Outcome.Recovered() }):
		r.Kind = ReportChecked
	}
	undos := 0
	stopped := false
	r.Notes = slices.DeleteFunc(r.Notes, func(n string) bool {
		s, undo := strings.CutPrefix(n, oldUndo)
		switch {
		case undo && undos < len(r.Checked):
			c := &r.Checked[undos]
			name, _, _ := cutLast(s, " at ")
			c.Undo = Undone{ChangeID: c.By, Title: name, At: c.At}
			undos++
		case n == oldStopped:
			stopped = true
		}
		return undo || n == oldStopped
	})
	r.State = r.told(stopped)
}

// told is the state of the Incident that a report of 0.1.0 speaks of.
func (r *Report) told(stopped bool) IncidentState {
	switch {
	case stopped || r.Kind == ReportRecovered:
		return IncidentRecovered
	case slices.ContainsFunc(r.Checked, func(c Checked) bool { return c.Outcome != CheckNotHelped }):
		return IncidentMitigating
	}
	return IncidentOpen
}

// UnmarshalJSON also reads a delivery of 0.1.0, which kept its state in the text of its last error.
func (d *Delivery) UnmarshalJSON(data []byte) error {
	type plain Delivery
	if err := json.Unmarshal(data, (*plain)(d)); err != nil {
		return err
	}
	if d.LastError == oldBegun {
		d.Begun, d.LastError = true, ""
	}
	if s, ok := strings.CutPrefix(d.LastError, oldUncertain); ok {
		d.Uncertain, d.LastError = true, s
	}
	return nil
}

// cutLast cuts s around the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
