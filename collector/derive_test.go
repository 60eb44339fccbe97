package collector

import (
	"slices"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// flagChange is a flag of production going from one value to another.
func flagChange(id triage.ChangeID, minutes float64, from, to string) triage.Change {
	return triage.Change{
		ID: id, Source: "flags", Kind: triage.KindFlag, Scope: triage.Scope{Environment: "production"}, StartedAt: at(minutes), ObservedAt: at(minutes),
		Labels: map[string]string{"flag": "new-pricing", "from": from, "to": to},
	}
}

func failed(c triage.Change) triage.Change {
	c.Status = triage.StatusFailed
	return c
}

func TestUndoes(t *testing.T) {
	digest := func(c triage.Change, d string) triage.Change {
		c.Digest = d
		return c
	}
	other := func(c triage.Change) triage.Change {
		c.Service = "payments"
		return c
	}
	tests := []struct {
		name   string
		emit   []triage.Change
		undoes []triage.ChangeID // by the last one
		noop   bool
		before string // previous_version of the last one
	}{
		{"back to the version before", []triage.Change{deploy("a", 0, "v1"), deploy("b", 9, "v2"), deploy("c", 20, "v1")}, []triage.ChangeID{"b"}, false, "v2"},
		{"back two versions", []triage.Change{deploy("a", 0, "v1"), deploy("b", 9, "v2"), deploy("c", 20, "v3"), deploy("d", 30, "v1")}, []triage.ChangeID{"b", "c"}, false, "v3"},
		{"forward", []triage.Change{deploy("a", 0, "v1"), deploy("b", 9, "v2")}, nil, false, "v1"},
		{"the same again", []triage.Change{deploy("a", 0, "v1"), deploy("b", 9, "v1")}, nil, true, "v1"},
		{"the same told twice is no restart", []triage.Change{deploy("a", 0, "v45"), deploy("b", 30, "v46"), deploy("c", 33, "v46")}, nil, false, "v45"},
		{"the same after a failed attempt undoes that", []triage.Change{deploy("a", 0, "v1"), failed(deploy("b", 9, "v2")), deploy("c", 20, "v1")}, []triage.ChangeID{"b"}, false, "v1"},
		{"a failed deploy undoes nothing", []triage.Change{deploy("a", 0, "v1"), deploy("b", 9, "v2"), failed(deploy("c", 20, "v1"))}, nil, false, "v2"},
		{"a moving tag says nothing", []triage.Change{deploy("a", 0, "latest"), deploy("b", 9, "v2"), deploy("c", 20, "latest")}, nil, false, "v2"},
		{"a moving tag with its digest does", []triage.Change{digest(deploy("a", 0, "latest"), "d1"), digest(deploy("b", 9, "latest"), "d2"), digest(deploy("c", 20, "latest"), "d1")}, []triage.ChangeID{"b"}, false, "latest"},
		{"another service", []triage.Change{deploy("a", 0, "v1"), deploy("b", 9, "v2"), other(deploy("c", 20, "v1"))}, nil, false, ""},
		{"flag off again, first seen going on", []triage.Change{flagChange("on", 0, "off", "on"), flagChange("back", 9, "on", "off")}, []triage.ChangeID{"on"}, false, ""},
		{"flag back over two steps", []triage.Change{flagChange("x", 0, "0", "50"), flagChange("y", 5, "50", "100"), flagChange("z", 9, "100", "0")}, []triage.ChangeID{"x", "y"}, false, ""},
	}
	for _, tt := range tests {
		for _, together := range []bool{false, true} {
			name := tt.name + ", one by one"
			if together {
				name = tt.name + ", at once"
			}
			t.Run(name, func(t *testing.T) {
				j := newMemJournal()
				c := startCollector(t, j, nil)
				if together {
					emit(t, c, tt.emit...)
				} else {
					for _, e := range tt.emit {
						emit(t, c, e)
					}
				}
				got := find(t, c, triage.ChangeQuery{})
				last := got[len(got)-1]
				if !slices.Equal(last.Undoes, tt.undoes) || (last.Labels[labelNoop] == "true") != tt.noop || last.PreviousVersion != tt.before {
					t.Errorf("got undoes %v, noop %q, previous %q; want %v, %t, %q", last.Undoes, last.Labels[labelNoop], last.PreviousVersion, tt.undoes, tt.noop, tt.before)
				}
				stored, err := j.Changes(t.Context(), tt.undoes)
				if err != nil || len(stored) != len(tt.undoes) {
					t.Fatal(stored, err)
				}
				for _, s := range stored {
					if !slices.Equal(s.RevertedBy, []triage.ChangeID{last.ID}) {
						t.Errorf("%s is journalled as reverted by %v, want %s", s.ID, s.RevertedBy, last.ID)
					}
				}
			})
		}
	}
}

// The version before a deploy is known after a restart too, and from before the window.
func TestPreviousVersionFromTheJournal(t *testing.T) {
	j := newMemJournal()
	c := startCollector(t, j, nil)
	emit(t, c, deploy("a", -3000, "v1"))
	c = startCollector(t, j, nil)
	emit(t, c, deploy("b", 10, "v2"))
	got := find(t, c, triage.ChangeQuery{})
	if ids(got) != "b" || got[0].PreviousVersion != "v1" || got[0].Labels[labelPreviousFrom] != "history" {
		t.Errorf("got %+v", got)
	}
	own := deploy("c", 20, "v3")
	own.PreviousVersion = "v1.9"
	emit(t, c, own)
	if got := find(t, c, triage.ChangeQuery{From: at(20)}); got[len(got)-1].PreviousVersion != "v1.9" {
		t.Errorf("what the source said was replaced by %q", got[len(got)-1].PreviousVersion)
	}
}

// Two clocks may put the end before the start. What is stored must still be a Change that validates, whatever comes after.
func TestEndBeforeStart(t *testing.T) {
	c := startCollector(t, newMemJournal(), nil)
	end, start, later := deploy("d", 10, "v1"), deploy("d", 12, "v1"), deploy("d", 30, "v1")
	end.StartedAt = time.Time{} // the end, at 11, is all it knows
	start.Status, start.FinishedAt = triage.StatusStarted, time.Time{}
	later.StartedAt, later.Status = time.Time{}, triage.StatusFailed // another result: the same one again would move nothing
	emit(t, c, end)
	emit(t, c, start)
	got := find(t, c, triage.ChangeQuery{})
	if err := got[0].Validate(""); err != nil || !got[0].StartedAt.Equal(at(11)) {
		t.Errorf("got a start at %s, %v; want the end, %s", got[0].StartedAt, err, at(11))
	}
	emit(t, c, later)
	if got := find(t, c, triage.ChangeQuery{}); !got[0].StartedAt.Equal(at(12)) || !got[0].FinishedAt.Equal(at(31)) || got[0].Labels[labelStartedSeen] != "" {
		t.Errorf("after a later end: got %s to %s, want the start as it was reported", got[0].StartedAt, got[0].FinishedAt)
	}
}
