package correlate

import (
	"fmt"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// none is the hypothesis that no change we saw explains the symptom: its rate, and its own evidence.
type none struct {
	evidence []triage.Evidence
	logOdds  triage.MilliNats
	micros   int64
	sources  []originShare // where it would sit, likeliest first
	origin   float64       // nats of what the series say of where
}

// add returns what it added, to be told which service or series it speaks of.
func (n *none) add(m *ranking, factor string, nats float64, sentence string) *triage.Evidence {
	e := triage.Evidence{Factor: factor, Contribution: m.milli(nats), Sentence: sentence}
	n.evidence = append(n.evidence, e)
	n.logOdds += e.Contribution
	return &n.evidence[len(n.evidence)-1]
}

// weighNone is the hazard of incidents without a change we saw, times what the series say for a fault somewhere without
// one: the mean, over the services the symptom depends on, of the likelihood that it began there.
func (m *ranking) weighNone() none {
	var n none
	n.add(m, "rate", ln(float64(m.w.NoneRate*perLookback))+m.quiet(), "some incidents have no change behind them: about 3 in 10")
	if t := m.in.Told; t != nil && t.Seen > 0 {
		// Of ten incidents three have no change behind them, and of the other seven as many go unheard as changes do here.
		heard := (float64(t.Told) + toldPrior) / (float64(t.Seen) + toldPrior + 1)
		n.add(m, "untold", ln(1+float64((1-heard)*(1-noneShare)/noneShare)), fmt.Sprintf("of %s that the metrics showed here in 14 d, %d were told", plural(t.Seen, "rollout"), t.Told))
	}
	if !m.w.omits("own") || !m.w.omits("cascade") {
		m.noneOrigin(&n)
	}
	blind := 0
	for _, c := range m.in.Coverage {
		if c.State == triage.SourceDown || c.State == triage.SourceSilent || c.State == triage.SourceRateLimited || c.State == triage.SourceLate {
			blind++
		}
	}
	if blind > 0 {
		n.add(m, "blind", float64(m.w.NoneBlind*float64(min(blind, 3))), fmt.Sprintf("%s could not be heard as usual", plural(blind, "source")))
	}
	m.recurs(&n)
	if s := m.findSurge(); s != nil {
		// Beside what else may be without a change, a surge is one of NoneSurge cases, and explains what it reaches.
		was := exp(n.origin)
		speakOf(n.add(m, "surge", ln((was+float64(m.w.NoneSurge*exp(m.surgeExplains(s))))/was), s.say()), s.series, s.before, s.after)
	}
	return n
}

// quiet corrects the rate of none for how much changes in reach: systems that seldom change have fewer incidents of either
// sort, and the share without a change varies far less than the number of changes does.
func (m *ranking) quiet() float64 {
	n := 1.0
	for _, c := range m.candidates {
		if c.far {
			continue
		}
		switch c.place {
		case placeSelf, placeCallee, placeGlobal, placeNoService:
			n++
		default: // callers and strangers are not in reach
		}
	}
	per := (m.lookback + m.onset.latest - m.onset.earliest).minutes() / perLookback
	return float64(m.w.NoneQuiet * clamp(ln(n/per/(noneUsual+1)), -3, 0.7))
}

// What is believed of an installation's hearing before it is measured: nine of ten rollouts are told. noneShare is the share of
// incidents without a change behind them.
const (
	toldPrior = 9
	noneShare = 0.3
)

// noneUsual is how many changes in reach within half an hour none.rate is given for.
const noneUsual = 8

// noneOrigin adds what the series say for a fault with no change behind it.
func (m *ranking) noneOrigin(n *none) {
	shares := m.origins()
	if len(shares) == 0 {
		return
	}
	sum, reach := 0.0, float64(max(len(shares), 1))
	for i := range shares {
		l := shares[i].log
		if m.external(shares[i].name) {
			l += m.w.NoneVendor
		}
		shares[i].share = exp(l) / reach
		sum += shares[i].share
	}
	// A cause that shows nowhere else still shows at the symptom.
	diffuse := m.w.NoneDiffuse
	if wide, _, seen := m.breadth(); seen > 0 {
		diffuse += float64(m.w.NoneDiffuse * m.w.OriginGlobalNone * exp(wide))
	}
	total := diffuse + float64((1-m.w.NoneDiffuse)*sum)
	for i := range shares {
		shares[i].share = float64((1-m.w.NoneDiffuse)*shares[i].share) / total
	}
	slices.SortStableFunc(shares, func(a, b originShare) int {
		switch {
		case a.share > b.share:
			return -1
		case a.share < b.share:
			return 1
		}
		return 0
	})
	n.sources = shares
	top := shares[0]
	text, of := "no service shifted on its own account", ""
	if wide, shifted, seen := m.breadth(); wide > 3 && shifted*2 > seen {
		text = fmt.Sprintf("%d of %d services shifted at once, as with a network or vendor under all of them", shifted, seen)
	}
	if top.log > 1 && top.share > 0.3 {
		text, of = fmt.Sprintf("the trouble may have begun at %s by itself", top.name), top.name
		if m.external(top.name) {
			text = fmt.Sprintf("the trouble points at %s, which is not ours", top.name)
		}
	}
	n.origin = ln(total)
	n.add(m, "origin", n.origin, text).Service = of
}
