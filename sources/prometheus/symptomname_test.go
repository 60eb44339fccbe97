package prometheus

import "testing"

// A share must never be called by a name that ends in seconds: 2 % would be read as 20 ms.
func TestSymptomName(t *testing.T) {
	for expr, want := range map[string]string{
		`rate(http_requests_total[5m])`: "http_requests_total",
		`1 - (sum(rate(x_duration_seconds_bucket{le="0.5"}[5m])) / sum(rate(x_duration_seconds_count[5m])))`:  "share of requests by x",
		`(sum(rate(x_seconds_count[5m])) - sum(rate(x_seconds_bucket[5m]))) / sum(rate(x_seconds_count[5m]))`: "share of requests by x",
		`rate(x_seconds_sum[5m]) / rate(x_seconds_count[5m])`:                                                 "x_seconds_sum",
		`histogram_quantile(0.9, sum by (le) (rate(x_seconds_bucket[5m])))`:                                   "x_seconds_bucket",
		`vector(1)`: "expression",
	} {
		e, err := parseExpr(expr)
		if err != nil {
			t.Fatal(err)
		}
		if got := symptomName(e); got != want {
			t.Errorf("%s: want %q, got %q", expr, want, got)
		}
	}
}
