package triage

import (
	"cmp"
	"strings"
)

// Seen says how a Change became known that nobody reported: it showed in a series. It is zero where somebody told of it.
type Seen struct {
	In     string  `json:"in,omitempty"`     // the metric
	Surely Surely  `json:"surely,omitempty"` // how sure it is that anything changed
	LateS  float64 `json:"late_s,omitempty"` // seconds after it by which it could be known, at most
}

// Surely is how surely a series says that something changed.
type Surely string

// How surely a series says it.
const (
	SurelyCertain  Surely = "certain"  // the series holds what changed: a version, a limit, an expiry
	SurelyLikely   Surely = "likely"   // the object was written, perhaps with the same contents
	SurelyPossible Surely = "possible" // something was read or applied again, perhaps as it was
)

// Sureties lists every Surely, the surest first.
func Sureties() []Surely { return []Surely{SurelyCertain, SurelyLikely, SurelyPossible} }

// ParseSurely reads a Surely; the error lists what there is.
func ParseSurely(s string) (Surely, error) { return parseEnum("seen.surely", s, Sureties()) }

// IsZero reports whether somebody told of the Change.
func (s Seen) IsZero() bool { return s == Seen{} }

// Compare orders what two know of one Change: what was told before all that was only seen, then the surer, then who is sooner.
func (s Seen) Compare(o Seen) int {
	rank := func(s Seen) int {
		if s.IsZero() {
			return -1
		}
		for i, v := range Sureties() {
			if v == s.Surely {
				return i
			}
		}
		return len(Sureties())
	}
	return cmp.Or(cmp.Compare(rank(s), rank(o)), cmp.Compare(s.LateS, o.LateS), strings.Compare(s.In, o.In))
}
