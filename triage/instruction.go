package triage

import (
	"bytes"
	"encoding/json"
	"strings"
)

// InstructionKind says what a reader does with an Instruction.
type InstructionKind string

// The kinds of Instruction. Do is the ranking's own; the others come from a playbook.
const (
	InstructDo        InstructionKind = "do"         // Text says it
	InstructRun       InstructionKind = "run"        // Command is pasted into a shell, whole
	InstructNote      InstructionKind = "note"       // Text goes with the command before it
	InstructNoCommand InstructionKind = "no_command" // Text says why there is none
	InstructOpen      InstructionKind = "open"       // URL is where the same is done by hand
	InstructRunbook   InstructionKind = "runbook"    // URL is read first
)

// Instruction is one thing to do. It carries what it is made of; how it reads is decided where it is shown.
type Instruction struct {
	Kind     InstructionKind `json:"kind"`
	Text     string          `json:"text,omitempty"`
	Command  string          `json:"command,omitempty"` // quoted for a shell
	URL      string          `json:"url,omitempty"`
	Playbook string          `json:"playbook,omitempty"` // what it comes from: a ready-made one's name, or "own"
	Does     Action          `json:"does,omitempty"`     // Text is this action in words: who says the action leaves it out
	Target   ChangeID        `json:"target,omitempty"`   // the change it is about, where it is one of Recommendation.Either
}

// UnmarshalJSON also reads the sentence that 0.1.0 wrote in place of an object.
func (i *Instruction) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] == '"' {
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*i = oldInstruction(s)
		return nil
	}
	type plain Instruction
	return json.Unmarshal(data, (*plain)(i))
}

// oldInstruction takes apart a step of 0.1.0, where a first word told a command from a link. Nothing else may read prose.
func oldInstruction(s string) Instruction {
	for _, k := range [...]struct {
		prefix string
		make   func(string) Instruction
	}{
		{"run: ", func(s string) Instruction { return Instruction{Kind: InstructRun, Command: s} }},
		{"with it: ", func(s string) Instruction { return Instruction{Kind: InstructNote, Text: s} }},
		{"no command: ", func(s string) Instruction { return Instruction{Kind: InstructNoCommand, Text: s} }},
		{"open: ", func(s string) Instruction { return Instruction{Kind: InstructOpen, URL: s} }},
		{"runbook: ", func(s string) Instruction { return Instruction{Kind: InstructRunbook, URL: s} }},
		{"set ", func(s string) Instruction {
			return Instruction{Kind: InstructDo, Text: "set " + s, Does: ActionFlagOff}
		}},
		{"restore the configuration of ", func(s string) Instruction {
			return Instruction{Kind: InstructDo, Text: "restore the configuration of " + s, Does: ActionConfigRevert}
		}},
		{"return ", func(s string) Instruction {
			return Instruction{Kind: InstructDo, Text: "return " + s, Does: ActionRollback}
		}},
	} {
		if rest, ok := strings.CutPrefix(s, k.prefix); ok {
			return k.make(rest)
		}
	}
	return Instruction{Kind: InstructDo, Text: s}
}
