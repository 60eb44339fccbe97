package meter

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// What is registered a second time goes on counting where the first left off; one of another kind under its name counts for nobody.
func TestRegister(t *testing.T) {
	reg := prometheus.NewRegistry()
	counter := func() prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "n_total", Help: "n"})
	}
	Register(reg, counter()).Inc()
	again := Register(reg, counter())
	again.Inc()
	if got := testutil.ToFloat64(again); got != 2 {
		t.Errorf("want it to count on, got %v", got)
	}
	other := Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{Name: "n_total", Help: "n"}))
	other.Set(7)
	if got := testutil.ToFloat64(again); got != 2 {
		t.Errorf("a gauge must not be taken for the counter, got %v", got)
	}
	Register(nil, counter()).Inc()
}
