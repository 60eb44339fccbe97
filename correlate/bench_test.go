package correlate

import (
	"fmt"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// 60 services with four series each, an hour at 15 s: 247 series and 65 candidates.
func BenchmarkRankManySeries(b *testing.B) {
	in := flagScene()
	var edges []triage.Edge
	for i := range 60 {
		s := fmt.Sprintf("svc-%d", i)
		edges = append(edges, triage.Edge{From: "checkout", To: s})
		for _, sig := range [...]triage.Signal{triage.SignalErrors, triage.SignalLatency, triage.SignalSaturation, triage.SignalTraffic} {
			in.Series = append(in.Series, series(s, sig, 0.1+float64(i), 0.01, 0, time.Time{}))
		}
		in.Changes = append(in.Changes, change(fmt.Sprintf("c-%d", i), triage.KindDeploy, s, fmt.Sprintf("%ds", 250+25*i)))
	}
	in.Topology = triage.NewTopology(append(edges, in.Topology.Edges()...))
	for b.Loop() {
		Rank(in)
	}
}

func BenchmarkRank(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("candidates=%d", n), func(b *testing.B) {
			in := flagScene()
			in.Series, in.Symptom, in.Changes = nil, nil, nil
			for i := range n {
				c := change(fmt.Sprintf("c-%d", i), triage.Kinds()[i%9], []string{"checkout", "pricing", "db", "search", "web"}[i%5], fmt.Sprintf("%ds", 245+(i*1700)/n))
				in.Changes = append(in.Changes, c)
			}
			b.ReportAllocs()
			for b.Loop() {
				Rank(in)
			}
		})
	}
	b.Run("series=14,step=15s", func(b *testing.B) {
		in := flagScene()
		b.ReportAllocs()
		for b.Loop() {
			Rank(in)
		}
	})
}
