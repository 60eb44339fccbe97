package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

//go:embed facts.jsonl
var factsFile []byte

// fact is what is known of one incident, one line of facts.jsonl. Everything but Play, AlertSource "" and the service names was
// published at SourceURL; the words are ours.
type fact struct {
	ID             string    `json:"id"`
	SourceURL      string    `json:"source_url"`
	Published      published `json:"published"`
	ZoneUnknown    bool      `json:"zone_unknown,omitempty"` // clock times without a zone; read as UTC
	AlertSource    string    `json:"alert_source,omitempty"` // automated, human_report, staff, declared; empty: not said
	Trigger        string    `json:"trigger"`
	ChangeCaused   bool      `json:"change_caused"`
	Kind           string    `json:"kind,omitempty"`   // of the change, in our words
	Change         string    `json:"change,omitempty"` // what it was, as a title
	DependencyPath []string  `json:"dependency_path"`  // root first, as published
	Hops           int       `json:"hops"`
	Root           string    `json:"root"`
	Symptom        string    `json:"symptom"`
	Services       []string  `json:"services"`                // the path with services only, root first; "vendor:" marks a vendor
	MoreServices   []string  `json:"more_services,omitempty"` // called by the last of them
	ActsOn         string    `json:"acts_on,omitempty"`       // the service the change was rolled out to; default the first
	Global         bool      `json:"global,omitempty"`        // pushed to everything at once
	OtherChanges   []other   `json:"other_changes,omitempty"` // in flight at the time
	LaterChanges   []other   `json:"later_changes,omitempty"` // after the alert
	Latent         []other   `json:"latent,omitempty"`        // earlier changes that made it possible
	Reverts        *other    `json:"reverts,omitempty"`       // the earlier change that the trigger took back
	Steps          []step    `json:"steps,omitempty"`         // times published; percentages ours
	Finished       time.Time `json:"finished,omitzero"`
	StillRunning   bool      `json:"still_running,omitempty"` // when the alert fired
	Recommended    string    `json:"recommended"`
	RollbackResult string    `json:"rollback_outcome"`
	NoneReason     string    `json:"none_reason,omitempty"`
	Unsafe         string    `json:"unsafe,omitempty"` // why it must not be reversed
	Undo           *other    `json:"undo,omitempty"`   // what was done in the end, where it was a change
	Types          []string  `json:"types,omitempty"`
	Play           play      `json:"play"`
}

// published times are UTC, to the minute. A change known to the day only has no time here.
type published struct {
	ChangeStart     string    `json:"change_start,omitempty"`
	ChangeEffective string    `json:"change_effective,omitempty"`
	Onset           time.Time `json:"onset,omitzero"`
	FirstAlert      time.Time `json:"first_alert,omitzero"`
	Mitigated       time.Time `json:"mitigated,omitzero"`
}

type other struct {
	Kind         string  `json:"kind"`
	Service      string  `json:"service,omitempty"`
	Title        string  `json:"title"`
	MinFromOnset float64 `json:"min_from_onset,omitempty"`
	HoursBefore  float64 `json:"hours_before,omitempty"`
}

type step struct {
	At      time.Time `json:"at"`
	Percent float64   `json:"percent"`
}

// play is how the metrics of an incident are made up: ours, not the report's.
type play struct {
	Signals        string  `json:"signals"`         // e errors, l latency, s saturation, t traffic falls; at the root, and along the path
	Shape          string  `json:"shape,omitempty"` // step (default) or ramp
	Region         string  `json:"region,omitempty"`
	Small          bool    `json:"small,omitempty"`   // a small share of the requests
	WaveS          float64 `json:"wave_s,omitempty"`  // comes and goes
	PulseS         float64 `json:"pulse_s,omitempty"` // over after this long
	OnsetAfter     float64 `json:"onset_after_min,omitempty"`
	OnsetBefore    float64 `json:"onset_before_alert_min,omitempty"`
	LagMin         float64 `json:"lag_min,omitempty"`    // change to onset, where only that is known
	SpreadMin      float64 `json:"spread_min,omitempty"` // until the symptom follows the root
	Surge          *surge  `json:"surge,omitempty"`
	FlapMin        float64 `json:"flap_min,omitempty"`         // the alert comes and goes by itself
	FinishOnly     bool    `json:"finish_only,omitempty"`      // the change is only known by its end
	LateS          float64 `json:"late_s,omitempty"`           // the change is heard of this long after it began
	UnseenAtReport bool    `json:"unseen_at_report,omitempty"` // …and only after the report
	Blind          bool    `json:"blind,omitempty"`            // its source is down: nobody hears of it
	Versions       bool    `json:"versions,omitempty"`         // old and new version are measured apart
	NotUndone      bool    `json:"not_undone,omitempty"`       // the undo does not end it
	Reaction       bool    `json:"reaction,omitempty"`         // an autoscaler reacts after the onset
	Decoys         int     `json:"decoys,omitempty"`           // 0: by lot
}

type surge struct {
	Service      string  `json:"service"`
	Factor       float64 `json:"factor"`
	MinFromOnset float64 `json:"min_from_onset,omitempty"`
}

// facts reads the published incidents.
func facts() ([]fact, error) {
	var out []fact
	sc := bufio.NewScanner(bytes.NewReader(factsFile))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var f fact
		dec := json.NewDecoder(bytes.NewReader(sc.Bytes()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&f); err != nil {
			return nil, fmt.Errorf("read facts.jsonl line %d: %w", len(out)+1, err)
		}
		out = append(out, f)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read facts.jsonl: %w", err)
	}
	return out, nil
}

// heldOut reports whether an incident belongs to the half that is only looked at at the end.
func heldOut(id string) bool {
	h := fnv.New64a()
	h.Write([]byte("held out:" + id)) // never returns an error
	return h.Sum64()>>17&1 == 1
}

// accepted are the actions that are right, from what was recommended: a revert of a configuration is what people call a
// rollback too, and a way back by flag or by taking the change back are equally good where either would have worked.
func (f fact) accepted() []triage.Action {
	own := map[triage.Kind]triage.Action{
		triage.KindConfig: triage.ActionConfigRevert, triage.KindFlag: triage.ActionFlagOff, triage.KindDeploy: triage.ActionRollback,
	}[triage.Kind(f.Kind)]
	var out []triage.Action
	switch f.Recommended {
	case "rollback":
		out = []triage.Action{triage.ActionRollback}
	case "config_revert":
		out = []triage.Action{triage.ActionConfigRevert}
	case "flag_off":
		out = []triage.Action{triage.ActionFlagOff}
	case "halt_change":
		return []triage.Action{triage.ActionPauseRollout}
	case "investigate":
		return []triage.Action{triage.ActionInvestigate}
	default:
		return []triage.Action{triage.ActionDoNotRollBack, triage.ActionFixForward}
	}
	if own != "" && own != out[0] {
		out = append(out, own)
	} else if own == "" && out[0] == triage.ActionConfigRevert { // infrastructure and commands have no verb of their own
		out = append(out, triage.ActionRollback)
	}
	return out
}
