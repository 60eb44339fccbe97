package prometheus

import (
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// What a rule does with its metrics decides the unit; a name alone would call a share of requests seconds.
func TestUnitOfExpressions(t *testing.T) {
	for expr, want := range map[string]triage.Unit{
		`sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))`:                      triage.UnitRatio,
		`100 * sum(rate(x_total{code="500"}[5m])) / sum(rate(x_total[5m])) > 5`:                                     triage.UnitPercent,
		`1 - sum(rate(x_seconds_bucket{le="0.5"}[5m])) / sum(rate(x_seconds_count[5m]))`:                            triage.UnitRatio,
		`sum(increase(errors_total[1h])) / sum(increase(x_total[1h]))`:                                              triage.UnitRatio,
		`histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m]))) > 0.5`:              triage.UnitSeconds,
		`histogram_quantile(0.99, sum by (le) (rate(istio_request_duration_milliseconds_bucket[5m])))`:              triage.UnitMilliseconds,
		`histogram_quantile(0.99, sum by (le) (rate(istio_request_duration_milliseconds_bucket[5m]))) / 1000 > 0.5`: triage.UnitSeconds,
		`rate(x_seconds_sum[5m]) / rate(x_seconds_count[5m])`:                                                       triage.UnitSeconds,
		`sum(rate(http_requests_total[5m])) < 10`:                                                                   triage.UnitRate,
		`sum(rate(http_request_duration_seconds_count[5m]))`:                                                        triage.UnitRate,
		`container_memory_working_set_bytes / container_spec_memory_limit_bytes > 0.9`:                              triage.UnitRatio,
		`rate(container_cpu_usage_seconds_total[5m])`:                                                               triage.UnitUnknown,
		`kafka_consumergroup_lag > 1000`:                                                                            triage.UnitUnknown,
		`x_duration_seconds / 60`:                                                                                   triage.UnitUnknown,
		`sum(errors_total) / sum(x_total)`:                                                                          triage.UnitUnknown,
		`count(up == 0)`:                                                                                            triage.UnitUnknown,
		`service:availability:ratio_5m < 0.99`:                                                                      triage.UnitRatio,
		`1 - service:availability:ratio_5m > 0.01`:                                                                  triage.UnitRatio,
		`x[`: triage.UnitUnknown,
	} {
		if got := unitOfText(expr); got != want {
			t.Errorf("%s: want %q, got %q", expr, want, got)
		}
	}
}
