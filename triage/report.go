package triage

import "time"

// MilliNats is a log-odds contribution in thousandths of a nat. Integers sum exactly and compare alike on every platform.
type MilliNats int64

// Evidence is one Factor's outcome on one candidate.
type Evidence struct {
	Factor       string    `json:"factor"` // name in the weights table
	Contribution MilliNats `json:"contribution"`
	Sentence     string    `json:"sentence"`          // with numbers, for a tired reader
	Direct       bool      `json:"direct,omitempty"`  // own-service shift or split: a reversal needs at least one
	Veto         bool      `json:"veto,omitempty"`    // rules the candidate out: after onset, shifted long before
	Service      string    `json:"service,omitempty"` // whose measurement it speaks of, where it speaks of one
	Signal       Signal    `json:"signal,omitempty"`
	Metric       string    `json:"metric,omitempty"` // as in Series.Metric; empty where it sums up several
	Unit         Unit      `json:"unit,omitempty"`
	Before       *float64  `json:"before,omitempty"` // typical value before, or of the rest; in Unit
	After        *float64  `json:"after,omitempty"`  // since, or of what has the change
}

// Suspect is a candidate with its rank. Exactly one of Change and Anomaly is set.
type Suspect struct {
	Rank        int        `json:"rank"` // from 1
	Change      *Change    `json:"change,omitempty"`
	Anomaly     *Anomaly   `json:"anomaly,omitempty"`
	Probability float64    `json:"probability"`    // calibrated, rounded to 1e-6; with the others and none it sums to 1
	LogOdds     MilliNats  `json:"log_odds"`       // sum of the contributions
	Hops        *int       `json:"hops,omitempty"` // calls between symptom and suspect; absent if there is no path
	Path        []string   `json:"path,omitempty"` // services from symptom to suspect
	For         []Evidence `json:"for"`            // sorted by contribution, strongest first
	Against     []Evidence `json:"against"`        // sorted by contribution, strongest first
}

// ID is the id of the Change or Anomaly.
func (s Suspect) ID() string {
	if s.Change != nil {
		return string(s.Change.ID)
	}
	if s.Anomaly != nil {
		return string(s.Anomaly.ID)
	}
	return ""
}

// None is the hypothesis that no change we saw explains the symptom.
type None struct {
	Probability float64    `json:"probability"`
	LogOdds     MilliNats  `json:"log_odds"`
	Evidence    []Evidence `json:"evidence"`
}

// Verdict is what we say about undoing.
type Verdict string

// The verdicts. The three refusals are kept apart: a reversal would do harm, will not help, or we cannot tell.
const (
	VerdictAct         Verdict = "act"
	VerdictHarmful     Verdict = "harmful"
	VerdictWillNotHelp Verdict = "will_not_help"
	VerdictCannotTell  Verdict = "cannot_tell"
)

// Action is the next step we recommend.
type Action string

// The actions, safest reversal first. FlagOff restores the flag's previous value, which is usually off.
const (
	ActionFlagOff       Action = "flag_off"
	ActionConfigRevert  Action = "config_revert"
	ActionRollback      Action = "rollback"
	ActionPauseRollout  Action = "pause_rollout"
	ActionFixForward    Action = "fix_forward"
	ActionDoNotRollBack Action = "do_not_roll_back"
	ActionInvestigate   Action = "investigate"
)

// Reversal reports whether the action undoes a Change. Pausing does not.
func (a Action) Reversal() bool {
	return a == ActionFlagOff || a == ActionConfigRevert || a == ActionRollback
}

// Recommendation is the safest next step, or the reason why there is none.
type Recommendation struct {
	Verdict    Verdict       `json:"verdict"`
	Action     Action        `json:"action"`
	Target     *Target       `json:"target,omitempty"`
	Either     []Target      `json:"either,omitempty"`      // two that fit alike and are cheap and safe to undo, the likelier first
	Steps      []Instruction `json:"steps,omitempty"`       // what to do, in order
	AlsoUndoes []Undone      `json:"also_undoes,omitempty"` // what the reversal takes along
	Check      string        `json:"check,omitempty"`       // how to see that it worked, or what would separate two suspects
	Experiment *Experiment   `json:"experiment,omitempty"`  // where several explanations stand: what would tell them apart for the least
	Reason     string        `json:"reason"`                // one sentence
	Doubt      Doubt         `json:"doubt,omitempty"`       // what keeps a reversal from being advised, where one was weighed
	Avoid      []Avoid       `json:"avoid,omitempty"`
	Owner      string        `json:"owner,omitempty"` // team, schedule, channel; never a person
}

// Doubt is what keeps a reversal of the leader from being advised; Reason says it in a sentence.
type Doubt string

// The doubts. The last four say no more than the probabilities do.
const (
	DoubtOlder      Doubt = "older"      // the trouble is older than the change
	DoubtFar        Doubt = "far"        // the change is of the longer search
	DoubtNoOnset    Doubt = "no_onset"   // no series says when the trouble began
	DoubtUnmeasured Doubt = "unmeasured" // nothing measures what was changed
	DoubtFaint      Doubt = "faint"      // it moved too little or too briefly
	DoubtStill      Doubt = "still"      // it did not move
	DoubtApart      Doubt = "apart"      // it moved well before the symptom did
	DoubtShared     Doubt = "shared"     // what its service did fits another change of it as well
	DoubtAlone      Doubt = "alone"      // one measurement alone puts it before another
	DoubtUndone     Doubt = "undone"     // it was undone already
	DoubtNoUndo     Doubt = "no_undo"    // no safe way to undo it is known
	DoubtUnlikely   Doubt = "unlikely"
	DoubtTied       Doubt = "tied"
	DoubtUnseen     Doubt = "unseen"
	DoubtNoChange   Doubt = "no_change"
)

// Plain reports whether the doubt says no more than the headline and its probabilities do.
func (d Doubt) Plain() bool {
	return d == DoubtUnlikely || d == DoubtTied || d == DoubtUnseen || d == DoubtNoChange
}

// Experiment is a look, or a reversible act, that is expected to tell explanations apart.
type Experiment struct {
	What         string    `json:"what"`             // with what each outcome would mean
	Separates    []string  `json:"separates"`        // ids of the changes that stand, likeliest first; "none" is something unseen
	ExpectedBits float64   `json:"expected_bits"`    // of uncertainty that it is expected to take away
	CostMinutes  float64   `json:"cost_minutes"`     // roughly, of somebody tired
	Act          bool      `json:"act,omitempty"`    // it changes something, and can be taken back
	Target       ChangeID  `json:"target,omitempty"` // the change it looks at
	URL          string    `json:"url,omitempty"`    // where; never acts on GET
	Readings     []Reading `json:"readings"`
}

// Reading is one outcome of an Experiment.
type Reading struct {
	See         string  `json:"see"`
	Then        string  `json:"then"`        // id of what is then likeliest, or "none"
	Probability float64 `json:"probability"` // of that, then, among those that stand
}

// Target is exactly what to act on.
type Target struct {
	ChangeID ChangeID `json:"change_id"`
	Kind     Kind     `json:"kind"`
	Scope
	Name string `json:"name,omitempty"` // flag key, config name, workload
	From string `json:"from,omitempty"` // where it stands now
	To   string `json:"to,omitempty"`   // what to go back to
	URL  string `json:"url,omitempty"`
}

// Undone is another Change that a Report has to name: one that a reversal would take along, that went live meanwhile, or
// that took a suspect back. It holds what a Change is called by and not the rest of it.
type Undone struct {
	ChangeID ChangeID  `json:"change_id"`
	Kind     Kind      `json:"kind,omitempty"`
	Service  string    `json:"service,omitempty"`
	Name     string    `json:"name,omitempty"` // as Change.Name
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
	Title    string    `json:"title,omitempty"`
	At       time.Time `json:"at"`
	Owner    string    `json:"owner,omitempty"`
}

// UndoneOf is what names c.
func UndoneOf(c Change) Undone {
	from, to := c.Moved()
	return Undone{ChangeID: c.ID, Kind: c.Kind, Service: c.Service, Name: c.Name(), From: from, To: to, Title: c.Title, At: c.OccurredAt().UTC()}
}

// Avoid is a step we advise against. Class is one of the refusing verdicts.
type Avoid struct {
	Action Action   `json:"action"`
	Target ChangeID `json:"target,omitempty"`
	Class  Verdict  `json:"class"`
	Reason string   `json:"reason"`
	Change *Undone  `json:"change,omitempty"` // what the target is called; 0.1.0 did not keep it
}

// SymptomSummary is what the alert's own series say at report time.
type SymptomSummary struct {
	Sentence string   `json:"sentence"` // "checkout 5xx 0.2 % → 14 % since 03:02:10 UTC"
	Service  string   `json:"service,omitempty"`
	Signal   Signal   `json:"signal,omitempty"`
	Metric   string   `json:"metric,omitempty"`
	Unit     Unit     `json:"unit,omitempty"`
	Before   *float64 `json:"before,omitempty"`
	Now      *float64 `json:"now,omitempty"`
	Peak     *float64 `json:"peak,omitempty"`   // the worst since the onset
	Better   Better   `json:"better,omitempty"` // higher: Before and Now count what works, and falling is worse
	Trend    string   `json:"trend,omitempty"`  // of the values, whichever side is bad: rising, falling, steady
}

// Course is how a symptom goes on, whichever way its values go.
type Course string

// The courses. Empty: not known.
const (
	CourseWorse  Course = "worse"
	CourseSteady Course = "steady"
	CourseBetter Course = "better"
)

// Course reads how the symptom goes on: values that count what works get worse by falling.
func (s SymptomSummary) Course() Course {
	good := s.Better == BetterHigher
	switch {
	case s.Trend == "rising" && good, s.Trend == "falling" && !good:
		return CourseBetter
	case s.Trend == "rising", s.Trend == "falling":
		return CourseWorse
	case s.Trend == "":
		return ""
	}
	return CourseSteady
}

// ReportKind says what a Report is: only a ranked one has weighed anything anew.
type ReportKind string

// The kinds of Report; empty reads as ranked. One of a kind that ranks nothing repeats the suspects of the report before it.
const (
	ReportRanked    ReportKind = "ranked"    // changes were weighed
	ReportUnranked  ReportKind = "unranked"  // they should have been, and it did not finish
	ReportChecked   ReportKind = "checked"   // says what an undo did
	ReportRecovered ReportKind = "recovered" // says that it is over
)

// ReportKinds lists every ReportKind.
func ReportKinds() []ReportKind {
	return []ReportKind{ReportRanked, ReportUnranked, ReportChecked, ReportRecovered}
}

// Report is one immutable, numbered answer about an Incident.
type Report struct {
	IncidentID     string         `json:"incident_id,omitempty"`
	Number         int            `json:"number,omitempty"` // from 1 within the Incident
	Kind           ReportKind     `json:"kind,omitempty"`
	CreatedAt      time.Time      `json:"created_at"`      // report time: no later sample was used
	Cause          string         `json:"cause,omitempty"` // why it was made: alert, more alerts, late change, second look, ad hoc
	ModelVersion   string         `json:"model_version"`   // of the weights table
	Symptom        SymptomSummary `json:"symptom"`
	Onset          Onset          `json:"onset"`
	LookbackS      float64        `json:"lookback_s"`
	Widened        bool           `json:"widened,omitempty"` // nothing fitted in the lookback, so the longer store was searched
	Candidates     int            `json:"candidates"`        // how many changes were weighed; Suspects may be fewer
	Unlisted       Unlisted       `json:"unlisted,omitzero"` // those that were weighed and are not among Suspects
	Suspects       []Suspect      `json:"suspects"`
	None           None           `json:"none"`
	Recommendation Recommendation `json:"recommendation"`
	Coverage       []Coverage     `json:"coverage"`
	Notes          []string       `json:"notes,omitempty"`    // what a reader must know: deadline hit, candidates cut, name joined by rule
	Deadline       bool           `json:"deadline,omitempty"` // evidence was cut short by the triage deadline
	Unknown        bool           `json:"unknown,omitempty"`  // nothing here names the service asked about

	// What follows is not the ranking's: it is added to its answer from what was seen since, and a replay does not have it.
	State    IncidentState `json:"state,omitempty"` // of the Incident as this report tells it; empty for an ad hoc question
	Severity *Severity     `json:"severity,omitempty"`
	Checked  []Checked     `json:"checked,omitempty"` // per undo, oldest first
	Hold     []Undone      `json:"hold,omitempty"`    // changes that went live in the blast radius since the onset: hold others

	OtherAlerts []ActiveAlert `json:"other_alerts,omitempty"` // pending or firing beside the incident's own, the earliest first, at most MaxOtherAlerts
}

// Unlisted are the changes that a report weighed and does not list. Their share is theirs: it belongs to no other hypothesis, least of
// all to none, and nothing in a report depends on how long its list is.
type Unlisted struct {
	Changes     int     `json:"changes"`
	Probability float64 `json:"probability"` // of all of them together
}

// MaxOtherAlerts bounds Report.OtherAlerts.
const MaxOtherAlerts = 50

// ActiveAlert is an alert as Prometheus has it: its expression holds since a time.
type ActiveAlert struct {
	Name     string            `json:"name"`
	Service  string            `json:"service,omitempty"` // the victim, canonical; "" where its labels name none
	Severity string            `json:"severity,omitempty"`
	State    string            `json:"state"` // pending or firing
	ActiveAt time.Time         `json:"active_at"`
	Labels   map[string]string `json:"labels"` // as the rule made them, with the server's external ones
}

// Leader is the first suspect, or nil.
func (r Report) Leader() *Suspect {
	if len(r.Suspects) == 0 {
		return nil
	}
	return &r.Suspects[0]
}
