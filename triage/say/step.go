package say

import "github.com/triaged-dev/triaged/triage"

// Instruction is one thing to do, whole, on a line. A reader sees by its first word what can be pasted.
func Instruction(i triage.Instruction) string {
	switch i.Kind {
	case triage.InstructRun:
		return "run: " + i.Command
	case triage.InstructNote:
		return "with it: " + i.Text
	case triage.InstructNoCommand:
		return "no command: " + i.Text
	case triage.InstructOpen:
		return "open: " + i.URL
	case triage.InstructRunbook:
		return "runbook: " + i.URL
	case triage.InstructDo:
	}
	return i.Text
}

// Instructions are several, a line each.
func Instructions(is []triage.Instruction) []string {
	out := make([]string, len(is))
	for i, s := range is {
		out[i] = Instruction(s)
	}
	return out
}

// Trouble is what stands in a delivery's way, or stood there last; "" where nothing did.
func Trouble(d triage.Delivery) string {
	s := Clean(d.LastError, MaxSentence)
	switch {
	case d.Begun && s == "":
		return "an attempt was begun; its outcome is not known"
	case d.Begun || d.Uncertain:
		return "may have arrived: " + s
	}
	return s
}
