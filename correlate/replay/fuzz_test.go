package replay

import (
	"bytes"
	"math"
	"testing"

	"github.com/triaged-dev/triaged/correlate"
)

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"schema":1,"topology":[["a","b"]],"alerts":[{"starts_at":"2026-03-01T00:05:00Z","labels":{"service":"a"},"for_s":60}],` +
		`"series":[{"metric":"m","signal":"errors","labels":{"service":"a"},"step_s":60,"start":"2026-03-01T00:00:00Z","values":[0,null,0,1,1]}],` +
		`"changes":[{"id":"c","kind":"flag","service":"b","started_at":"2026-03-01T00:02:00Z","time_uncertainty_s":9}]}`))
	f.Add([]byte(`{"schema":1,"alerts":[{"starts_at":"2026-03-01T00:00:00Z"}],"series":[{"step_s":1e300,"values":[1]}],"changes":[{"id":"a","kind":"deploy","steps":[{}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decode(bytes.NewReader(data))
		if err != nil {
			return
		}
		o := rank(s, nil, correlate.DefaultConfig(), 0)
		sum := o.report.None.Probability
		for _, sp := range o.report.Suspects {
			sum += sp.Probability
		}
		if math.Abs(sum-1) > 1e-6 {
			t.Fatalf("probabilities sum to %g", sum)
		}
	})
}
