package prometheus

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Set is several servers as one. A server that does not answer makes the result thinner, never an error; its own Status says so.
type Set struct{ sources []*Source }

// NewSet keeps the order given: where two servers answer the same, the earlier one wins.
func NewSet(sources []*Source) *Set { return &Set{sources: slices.Clone(sources)} }

// Symptom asks the server that the alert's generatorURL points to; where there is none, or it does not know the rule or does not
// answer, the others at once, of which the first in order that found the rule, or else series, wins. The error is that of the
// server asked first, and only where nobody knew anything.
func (t *Set) Symptom(ctx context.Context, a triage.Alert, from, to time.Time) (triage.Symptom, error) {
	own, others := t.route(a.GeneratorURL)
	if own != nil {
		sym, err := own.Symptom(ctx, a, from, to)
		if len(others) == 0 || err == nil && (sym.RuleFound || len(sym.Series) > 0) {
			return sym, err
		}
		if better, err2 := best(ctx, others, a, from, to); err2 == nil && (better.RuleFound || len(better.Series) > 0) {
			return better, nil
		}
		return sym, err
	}
	return best(ctx, others, a, from, to)
}

func best(ctx context.Context, sources []*Source, a triage.Alert, from, to time.Time) (triage.Symptom, error) {
	syms := make([]triage.Symptom, len(sources))
	errs := make([]error, len(sources))
	var wg sync.WaitGroup
	for i, s := range sources {
		wg.Go(func() { syms[i], errs[i] = s.Symptom(ctx, a, from, to) })
	}
	wg.Wait()
	for _, good := range []func(triage.Symptom) bool{
		func(s triage.Symptom) bool { return s.RuleFound && len(s.Series) > 0 },
		func(s triage.Symptom) bool { return s.RuleFound },
		func(s triage.Symptom) bool { return len(s.Series) > 0 },
	} {
		if i := slices.IndexFunc(syms, good); i >= 0 {
			return syms[i], nil
		}
	}
	if len(syms) == 0 {
		return triage.Symptom{}, nil
	}
	return syms[0], errors.Join(errs...)
}

// route finds the server whose external URL, or URL, the generatorURL begins with; the longest such prefix wins.
func (t *Set) route(generatorURL string) (own *Source, others []*Source) {
	longest := -1
	for _, s := range t.sources {
		for _, base := range []string{s.cfg.ExternalURL, s.cfg.URL} {
			if under(generatorURL, base) && len(base) > longest {
				own, longest = s, len(base)
			}
		}
	}
	for _, s := range t.sources {
		if s != own {
			others = append(others, s)
		}
	}
	return own, others
}

// under reports whether u lies at or below base: same host, and base's path is a prefix of whole segments.
func under(u, base string) bool {
	a, err := url.Parse(u)
	b, err2 := url.Parse(base)
	if err != nil || err2 != nil || a.Host == "" || !strings.EqualFold(a.Host, b.Host) {
		return false
	}
	prefix := strings.TrimSuffix(b.Path, "/")
	return a.Path == prefix || strings.HasPrefix(a.Path, prefix+"/")
}

// Signals merges what the servers say. Of two with the same series (an HA pair) the earlier server's is kept. The error is not
// nil only when no server answered in full; what came of their answers is returned with it.
func (t *Set) Signals(ctx context.Context, q triage.SignalQuery) ([]triage.Series, error) {
	results := make([][]triage.Series, len(t.sources))
	errs := make([]error, len(t.sources))
	var wg sync.WaitGroup
	for i, s := range t.sources {
		wg.Go(func() { results[i], errs[i] = s.Signals(ctx, q) })
	}
	wg.Wait()
	seen := make(map[string]bool)
	var out []triage.Series
	for _, rs := range results {
		var fresh []string
		for _, sr := range rs {
			// One signal of a service comes from one server, whichever convention it uses there.
			key := string(sr.Signal) + "\x00" + labelKey(sr.Labels)
			if sr.Signal == triage.SignalSaturation || sr.Signal == triage.SignalCustom {
				key += "\x00" + sr.Metric
			}
			if !seen[key] {
				out = append(out, sr)
				fresh = append(fresh, key)
			}
		}
		for _, k := range fresh {
			seen[k] = true
		}
	}
	if len(t.sources) > 0 && !slices.Contains(errs, nil) {
		return out, errors.Join(errs...)
	}
	return out, nil
}

// Changes are those of all servers, by time. Servers that do not answer are left out, unless none does.
func (t *Set) Changes(ctx context.Context, from, to time.Time) ([]triage.Change, error) {
	var out []triage.Change
	var errs []error
	for _, s := range t.sources {
		cs, err := s.Changes(ctx, from, to)
		out = append(out, cs...)
		errs = append(errs, err)
	}
	sortChanges(out)
	if len(errs) > 0 && !slices.Contains(errs, nil) && len(out) == 0 {
		return nil, errors.Join(errs...)
	}
	return out, nil
}

// Services are those with signals on any server, sorted.
func (t *Set) Services() []string {
	var out []string
	for _, s := range t.sources {
		out = append(out, s.Services()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Topology is the union of the servers' graphs.
func (t *Set) Topology() triage.Topology {
	var es []triage.Edge
	for _, s := range t.sources {
		es = append(es, s.Topology().Edges()...)
	}
	return triage.NewTopology(es)
}
