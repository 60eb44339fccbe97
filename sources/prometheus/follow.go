package prometheus

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// ignoreRegexp joins anchored patterns; nil matches nothing.
func ignoreRegexp(patterns []string) (*regexp.Regexp, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	return regexp.Compile("^(?:" + strings.Join(patterns, "|") + ")$")
}

type follower struct{ s *Source }

func newFollower(s *Source) *follower { return &follower{s: s} }

func (f *follower) evaluate(ctx context.Context, emit triage.Emit) error { return nil }

// Changes are the changes seen in metrics alone over [from, to].
func (s *Source) Changes(ctx context.Context, from, to time.Time) ([]triage.Change, error) {
	return nil, nil
}

func sortChanges(cs []triage.Change) {}
