package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// labelCount is a store in which people labelled so many incidents.
type labelCount struct {
	n   int
	err error
}

func (l labelCount) Labelled(context.Context) (int, error) { return l.n, l.err }

// Cards carry percentages from the thirtieth labelled incident on, and none while nobody can say how many there are.
func TestPercentages(t *testing.T) {
	for _, tc := range []struct {
		store labelCount
		want  bool
	}{
		{labelCount{n: triage.EnoughLabels - 1}, false},
		{labelCount{n: triage.EnoughLabels}, true},
		{labelCount{n: triage.EnoughLabels, err: errors.New("disk")}, false},
	} {
		if got := percentages(tc.store, slog.New(slog.DiscardHandler))(t.Context()); got != tc.want {
			t.Errorf("%+v: want %t, got %t", tc.store, tc.want, got)
		}
	}
}
