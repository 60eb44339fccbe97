package correlate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// likeliest is the probability of the likeliest change.
func likeliest(r triage.Report) float64 {
	best := 0.0
	for _, s := range r.Suspects {
		if s.Change != nil {
			best = max(best, s.Probability)
		}
	}
	return best
}

// widen searches the longer store once when no near change is likelier than not, or when the symptom crept up, and weighs
// all that was found at once: what is far takes its share of none. It is never more than something to look into.
func (g *gathering) widen(ctx context.Context, r triage.Report) (Input, triage.Report, bool) {
	blind := len(g.in.Coverage)
	in, ok := g.longer(ctx, r)
	switch {
	case !ok && len(g.in.Coverage) > blind: // the store did not answer, which the report must say, and be ranked from
		return *g.in, Rank(*g.in), false
	case !ok:
		return *g.in, r, false
	}
	return in, Rank(in), true
}

// longer is the input over the longer store, ok only where a search is due.
func (g *gathering) longer(ctx context.Context, r triage.Report) (Input, bool) {
	cfg := g.c.Config
	span := time.Duration(cfg.Widen)
	if g.c.Store == nil || span <= g.in.lookback() || g.cut {
		return Input{}, false
	}
	best := likeliest(r)
	creeping := r.Onset.Shape == triage.ShapeRamp && best < 0.5 // what creeps up may have begun long before it stood out
	if best >= cfg.WidenBelow && !creeping {
		return Input{}, false
	}
	in := *g.in
	in.Lookback, in.Widened = span, true
	found, left, err := g.backward(ctx, r.Onset.Earliest.Add(-span))
	if err != nil {
		g.missed("store", err)
		return Input{}, false
	}
	in.Changes = slices.Clone(g.in.Changes)
	known := make(map[triage.ChangeID]bool, len(in.Changes))
	for _, ch := range in.Changes {
		known[ch.ID] = true
	}
	for _, ch := range found {
		if !known[ch.ID] {
			in.Changes, known[ch.ID] = append(in.Changes, ch), true
		}
	}
	more := len(in.Changes) - len(g.in.Changes)
	why := "no near change stands out"
	if creeping {
		why = "the symptom crept up"
	}
	if more == 0 && !left { // that it was searched is said where the lookback is
		return in, true
	}
	note := fmt.Sprintf("%s, so the last %s were searched: %s more", why, span1(ms(span.Milliseconds())), plural(more, "change"))
	if left {
		note += ", the latest of them; those before were left out"
	}
	in.Notes = append(slices.Clone(in.Notes), note)
	return in, true
}

// backward reads the store from now to the time given, the latest stretch first, up to storePages pages; left reports
// whether there were more.
func (g *gathering) backward(ctx context.Context, until time.Time) (found []triage.Change, left bool, err error) {
	pages := 0
	for to := g.in.At; to.After(until); to = to.Add(-storeStretch) {
		q := triage.ChangeQuery{From: to.Add(-storeStretch), To: to, Services: g.reach, Limit: storePage}
		if q.From.Before(until) {
			q.From = until
		}
		for {
			if pages++; pages > storePages {
				return found, true, nil
			}
			page, next, err := g.c.Store.FindChanges(ctx, q)
			if err != nil {
				return nil, false, err
			}
			found = append(found, page...)
			if q.After = next; next == "" {
				break
			}
		}
	}
	return found, false, nil
}
