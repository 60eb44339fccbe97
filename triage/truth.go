package triage

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Basis is what stands behind a Truth.
type Basis string

// The bases, the surest first.
const (
	BasisLabel     Basis = "label"     // a person said it
	BasisVerified  Basis = "verified"  // undoing it was seen to end it, and nothing else explains that
	BasisNotHelped Basis = "no_help"   // undoing it was measured past every limit, and did nothing
	BasisFollowed  Basis = "followed"  // it ended after the undo, and something else may have done it
	BasisByItself  Basis = "by_itself" // it ended while everything that was suspected stayed in place
)

// Bases lists every Basis.
func Bases() []Basis {
	return []Basis{BasisLabel, BasisVerified, BasisNotHelped, BasisFollowed, BasisByItself}
}

// Weight is what a Basis is worth, in labels of a person. None of them is proof: a verified undo may have met a system that
// healed in the same minutes; of 54 right reversals in published incidents 15 were slow or not enough, so 1 − 15/54 = .72 is the
// most that "it did not help" can say; a symptom that ends by itself clears what stayed in place, unless that did harm only
// while it began, as restarts and cold caches do.
func (b Basis) Weight() float64 {
	switch b {
	case BasisLabel:
		return 1
	case BasisVerified:
		return 0.8
	case BasisNotHelped:
		return 0.7
	case BasisFollowed:
		return 0.4
	case BasisByItself:
		return 0.3
	}
	return 0
}

// Truth is what set an incident off, as far as its end tells without anybody labelling it.
type Truth struct {
	Basis   Basis
	Change  ChangeID          // what did it; "" where it was no change, or is not known
	None    bool              // no change that was seen did it
	Cleared map[ChangeID]bool // what did not do it
}

// Known reports whether it says what it was.
func (t Truth) Known() bool { return t.Change != "" || t.None }

// TruthOf reads what an incident turned out to be from what people said, from what undoing did and from how it ended; the
// surest basis decides. last is its latest report. ok is false while nothing can be said.
func TruthOf(inc Incident, last Report, said []Feedback) (t Truth, ok bool) {
	t.Cleared = make(map[ChangeID]bool)
	label := LabelOf(said)
	for id := range label.Rejected {
		t.Cleared[id] = true
	}
	if label.Known() || len(label.Rejected) > 0 {
		t.Basis, t.Change, t.None = BasisLabel, label.Truth, label.None
		return t, true
	}
	find := func(o CheckOutcome) ChangeID {
		for _, k := range last.Checked {
			if k.Outcome == o {
				return k.Undid
			}
		}
		return ""
	}
	for _, k := range last.Checked {
		if k.Outcome == CheckNotHelped {
			t.Cleared[k.Undid] = true
		}
	}
	over := inc.State == IncidentRecovered || inc.State == IncidentClosed
	heard := !slices.ContainsFunc(last.Coverage, func(c Coverage) bool { return c.State != SourceOK && c.State != "" }) // or an undo was missed
	switch {
	case find(CheckVerified) != "":
		t.Basis, t.Change = BasisVerified, find(CheckVerified)
	case len(t.Cleared) > 0:
		t.Basis = BasisNotHelped
	case find(CheckConsistent) != "":
		t.Basis, t.Change = BasisFollowed, find(CheckConsistent)
	case over && heard && (len(last.Checked) == 0 || find(CheckElsewhere) != ""):
		t.Basis, t.None = BasisByItself, true
	default:
		return t, false
	}
	return t, true
}

// Share is a weighted share: Hits of N, both in labels of a person.
type Share struct {
	Hits float64 `json:"hits"`
	N    float64 `json:"n"`
}

func (s *Share) add(hit bool, weight float64) {
	s.N += weight
	if hit {
		s.Hits += weight
	}
}

// Interval is the 95 % interval of the share (Wilson). The weights count as so many labels, so what is known by half makes the
// interval as wide as half as many labels would.
func (s Share) Interval() (low, high float64) { return wilson(s.Hits, s.N) }

// Rate is the share itself, NaN of nothing.
func (s Share) Rate() float64 {
	if s.N == 0 {
		return math.NaN()
	}
	return s.Hits / s.N
}

// Record holds what was said at first against what became of it.
type Record struct {
	Incidents  int   `json:"incidents"`   // with a report
	Known      int   `json:"known"`       // of those, whose end says something
	FalseBlame Share `json:"false_blame"` // a change was called likely, and was not it; of those known
	WrongUndo  Share `json:"wrong_undo"`  // of the reversals advised, those of a change that was not it
	Missed     Share `json:"missed"`      // it was a change, and another or none was first; of those that a change set off
}

// Ledger is a Record with its parts.
type Ledger struct {
	Record
	ByBasis     map[Basis]int     `json:"by_basis"`
	ByService   map[string]Record `json:"by_service"`
	ByBlindness map[string]Record `json:"by_blindness"` // what the first report could not see
}

// NewLedger is an empty one.
func NewLedger() *Ledger {
	return &Ledger{ByBasis: make(map[Basis]int), ByService: make(map[string]Record), ByBlindness: make(map[string]Record)}
}

// Add holds an incident's first report, which is what on-call acted on, against what became of it.
func (l *Ledger) Add(inc Incident, first, last Report, said []Feedback) {
	t, ok := TruthOf(inc, last, said)
	j, _ := first.Judge(Label{})
	if ok {
		l.ByBasis[t.Basis]++
	}
	l.Record = l.with(t, ok, j)
	if inc.Service != "" {
		l.ByService[inc.Service] = l.ByService[inc.Service].with(t, ok, j)
	}
	for _, b := range Blindness(first) {
		l.ByBlindness[b] = l.ByBlindness[b].with(t, ok, j)
	}
}

// with adds one incident. What its end does not decide is not counted: a change that was neither confirmed nor cleared, where
// another did it, was wrong; where nothing is known to have done it, only what was cleared was.
func (r Record) with(t Truth, ok bool, j Judgement) Record {
	r.Incidents++
	if !ok {
		return r
	}
	r.Known++
	w := t.Basis.Weight()
	wrong := func(id ChangeID) (is, known bool) {
		switch {
		case t.Known():
			return id != t.Change, true
		case t.Cleared[id]:
			return true, true
		}
		return false, false
	}
	if j.Named == "" {
		r.FalseBlame.add(false, w)
	} else if is, known := wrong(j.Named); known {
		r.FalseBlame.add(is, w)
	}
	if j.Advised != "" {
		if is, known := wrong(j.Advised); known {
			r.WrongUndo.add(is, w)
		}
	}
	if t.Change != "" {
		r.Missed.add(j.Leader != t.Change, w)
	}
	return r
}

// AllSeen is the entry of Ledger.ByBlindness for reports that knew of nothing they could not see.
const AllSeen = "nothing known to be missing"

// Blindness lists what a report could not see: sources by name and state, and what was not measured.
func Blindness(r Report) []string {
	var out []string
	for _, c := range r.Coverage {
		if c.State != SourceOK && c.State != "" {
			out = append(out, c.Source+" "+strings.ReplaceAll(string(c.State), "_", " "))
		}
	}
	if r.Symptom.Now == nil {
		out = append(out, "the symptom's own series")
	}
	if r.Deadline {
		out = append(out, "evidence cut short by the deadline")
	}
	if len(out) == 0 {
		out = append(out, AllSeen)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Part is one entry of a Ledger's parts.
type Part struct {
	Name string `json:"name"`
	Record
}

// Parts lists the entries of a part, those of most incidents first, at most n.
func Parts(m map[string]Record, n int) []Part {
	out := make([]Part, 0, len(m))
	for name, r := range m {
		out = append(out, Part{name, r})
	}
	slices.SortFunc(out, func(a, b Part) int { return cmp.Or(cmp.Compare(b.Incidents, a.Incidents), cmp.Compare(a.Name, b.Name)) })
	return out[:min(len(out), n)]
}
