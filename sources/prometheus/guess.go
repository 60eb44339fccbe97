package prometheus

import (
	"regexp"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/triaged-dev/triaged/triage"
)

// Words by which metric names give away what they measure; checked in the order errors, latency, saturation, traffic.
var (
	errorWord      = regexp.MustCompile(`(?i)(error|fail|exception|5xx|panic|reject|dropped|crash|restart|oom|unavailable|aborted|timeouts?_|burn_?rate|^up$|probe_success|_up$|healthy)`)
	latencyWord    = regexp.MustCompile(`(?i)(latency|duration|response_time|_delay|_wait_|elapsed|rtt|seconds_(bucket|sum))`)
	saturationWord = regexp.MustCompile(`(?i)(cpu|memory|_mem_|disk|filesystem|volume|_free|_avail|quota|throttl|queue|backlog|_lag|lag_|connections|_pool|utili[sz]ation|saturation|in_?flight|file_descriptors|_fds|goroutines|threads|swap|load\d|heap|replicas|inodes|working_set|usage)`)
	trafficWord    = regexp.MustCompile(`(?i)(requests?|rps|qps|_count$|calls|messages|events|packets|_bytes_total|hits|handled)`)
	failedValue    = regexp.MustCompile(`(?i)(^\(?5|\|5|error|fail|internal|unavailable|deadline|unknown|data_?loss)`)
	outcomeLabel   = []string{
		"code", "status", "status_code", "http_status_code", "http_response_status_code", "response_code", "grpc_code", "grpc_status",
		"rpc_grpc_status_code", "rpc_response_status_code", "classification", "error_type", "result", "outcome",
	}
)

// signalOf guesses what the expressions measure from metric names and matchers: one of a rule and of what it was expanded to.
func signalOf(es ...parser.Expr) triage.Signal {
	var names []string
	failing, quantile := false, false
	for _, e := range es {
		if e == nil {
			continue
		}
		parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
			switch n := n.(type) {
			case *parser.VectorSelector:
				names = append(names, n.Name)
				failing = failing || slices.ContainsFunc(n.LabelMatchers, failedMatcher)
			case *parser.Call:
				quantile = quantile || n.Func.Name == "histogram_quantile" || n.Func.Name == "histogram_fraction"
			}
			return nil
		})
	}
	some := func(re *regexp.Regexp) bool { return slices.ContainsFunc(names, re.MatchString) }
	all := func(suffix *regexp.Regexp) bool {
		return len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { return !suffix.MatchString(n) })
	}
	switch {
	case quantile:
		return triage.SignalLatency
	case failing || some(errorWord):
		return triage.SignalErrors
	case all(countSuffix):
		return triage.SignalTraffic
	case some(latencyWord):
		return triage.SignalLatency
	case some(saturationWord):
		return triage.SignalSaturation
	case some(trafficWord):
		return triage.SignalTraffic
	}
	return triage.SignalCustom
}

var countSuffix = regexp.MustCompile(`_count$`)

func failedMatcher(m *labels.Matcher) bool {
	if !slices.Contains(outcomeLabel, m.Name) {
		return false
	}
	switch m.Type {
	case labels.MatchEqual, labels.MatchRegexp:
		return failedValue.MatchString(m.Value)
	default: // code!~"2..", error_type!=""
		return m.Value == "" || regexp.MustCompile(`^\(?[2-4]`).MatchString(m.Value)
	}
}
