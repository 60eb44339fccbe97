package triage

import "time"

// CheckOutcome is what became of the symptom after something was undone.
type CheckOutcome string

// The outcomes. Watching may become any other; verified, consistent, elsewhere and redone are final.
const (
	CheckWatching   CheckOutcome = "watching"   // too early to say
	CheckVerified   CheckOutcome = "verified"   // recovered, and every condition for blaming what was undone holds
	CheckConsistent CheckOutcome = "consistent" // recovered, but something else may have done it
	CheckElsewhere  CheckOutcome = "elsewhere"  // recovered before the undo could have acted
	CheckStuck      CheckOutcome = "stuck"      // the trigger is removed, the symptom stays: the system may hold itself down
	CheckNotHelped  CheckOutcome = "not_helped" // the symptom stays, and stuck explains it no longer: look at the next suspect
	CheckUnmeasured CheckOutcome = "unmeasured" // nothing can be read about the symptom
	CheckRedone     CheckOutcome = "redone"     // the undo was itself taken back: what was undone acts again
)

// CheckOutcomes lists every CheckOutcome.
func CheckOutcomes() []CheckOutcome {
	return []CheckOutcome{CheckWatching, CheckVerified, CheckConsistent, CheckElsewhere, CheckStuck, CheckNotHelped, CheckUnmeasured, CheckRedone}
}

// Recovered reports whether the symptom is gone.
func (o CheckOutcome) Recovered() bool {
	return o == CheckVerified || o == CheckConsistent || o == CheckElsewhere
}

// Active reports whether what was undone is still undone, and may yet turn out to have helped.
func (o CheckOutcome) Active() bool { return o != CheckNotHelped && o != CheckRedone }

// Checked is what was seen after one Change was undone. It convicts nobody: only a person's label confirms.
type Checked struct {
	Undid    ChangeID     `json:"undid"`             // the suspect that was taken back
	By       ChangeID     `json:"by"`                // the Change that took it back
	Undo     Undone       `json:"undo,omitzero"`     // what By is called
	At       time.Time    `json:"at"`                // when it was taken back
	Outcome  CheckOutcome `json:"outcome"`           //
	Turned   time.Time    `json:"turned,omitzero"`   // when the symptom turned
	Asked    time.Time    `json:"asked"`             // when this was found
	Sentence string       `json:"sentence"`          // "recovered 4 min after the flag went back"
	Missing  []string     `json:"missing,omitempty"` // what keeps it from being verified, one clause each
	Steps    []string     `json:"steps,omitempty"`   // what to do now
}

// Severity is how bad an Incident is proposed to be, for page and API; people decide.
type Severity struct {
	Level   string   `json:"level"`   // P0, the worst, to P3
	Reasons []string `json:"reasons"` // one clause each, strongest first
}
