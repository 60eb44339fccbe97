package digest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

const (
	truthKey       = "alerting/truth"
	truthIncidents = 1000 // looked at for one digest
	truthParts     = 5    // services, and sources of blindness, named
)

// DefaultTruthConfig is `incidents.truth`: what was said against what became of it, every Monday, to whoever gets the digest.
func DefaultTruthConfig() Config {
	return Config{Every: model.Duration(7 * 24 * time.Hour), At: "08:00"}
}

// Truth holds what the first reports of the incidents opened in [from, to) said against how each ended, in shadow and live alike.
func (s *Sender) Truth(ctx context.Context, from, to time.Time) (*triage.Ledger, error) {
	l := triage.NewLedger()
	q := triage.IncidentQuery{From: from, To: to, Limit: 200}
	for seen := 0; seen < truthIncidents; {
		incidents, next, err := s.o.Store.Incidents(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("hold reports against what became of them: %w", err)
		}
		for _, inc := range incidents {
			if seen++; inc.Reports == 0 {
				continue
			}
			first, err := s.o.Store.Report(ctx, inc.ID, 1)
			if err != nil {
				return nil, fmt.Errorf("hold reports against what became of them: report 1 of incident %s: %w", inc.ID, err)
			}
			last := first
			if inc.Reports > 1 {
				if last, err = s.o.Store.Report(ctx, inc.ID, inc.Reports); err != nil {
					return nil, fmt.Errorf("hold reports against what became of them: report %d of incident %s: %w", inc.Reports, inc.ID, err)
				}
			}
			var said []triage.Feedback
			if s.o.Feedback != nil {
				if said, err = s.o.Feedback(ctx, inc.ID); err != nil {
					return nil, fmt.Errorf("hold reports against what became of them: labels of incident %s: %w", inc.ID, err)
				}
			}
			l.Add(inc, first, last, said)
		}
		if next == "" || len(incidents) == 0 {
			break
		}
		q.After = next
	}
	return l, nil
}

// truthDigest is the digest of one period, empty where nothing ended that says anything.
func (s *Sender) truthDigest(ctx context.Context, from, to time.Time) (Digest, error) {
	l, err := s.Truth(ctx, from, to)
	if err != nil {
		return Digest{}, err
	}
	d := Digest{From: from, To: to, Truth: l}
	if l.Known == 0 {
		d.Truth = nil
	}
	return d, nil
}

// truthLines are the record in words: the whole, then the services and the sources of blindness with most incidents.
func truthLines(l *triage.Ledger) []string {
	out := []string{recordLine(l.Record)}
	for _, part := range []struct {
		what string
		of   map[string]triage.Record
	}{{"by service", l.ByService}, {"by what it could not see", l.ByBlindness}} {
		for _, p := range triage.Parts(part.of, truthParts) {
			if p.Known > 0 {
				out = append(out, fmt.Sprintf("%s · %s: %s", part.what, say.Clean(p.Name, say.MaxName), recordLine(p.Record)))
			}
		}
	}
	return out
}

func recordLine(r triage.Record) string {
	var parts []string
	for _, s := range []struct {
		what string
		triage.Share
	}{{"false blame", r.FalseBlame}, {"wrong undo", r.WrongUndo}, {"missed", r.Missed}} {
		if s.N == 0 {
			parts = append(parts, s.what+" –")
			continue
		}
		low, high := s.Interval()
		parts = append(parts, fmt.Sprintf("%s %.0f %% (%.0f–%.0f %%, worth %.1f labels)", s.what, 100*s.Rate(), 100*low, 100*high, s.N))
	}
	return strings.Join(parts, " · ")
}
