package prometheus

import (
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/triaged-dev/triaged/triage"
)

// Words by which metric names give away what they measure.
var (
	errorWord      = regexp.MustCompile(`(?i)(error|_err_|_errs?(_|$)|fail|exception|[45]xx|panic|reject|dropped|denied|crash|restart|oom|unavailable|unhealthy|aborted|timeouts?_|timed_?out|burn_?rate|http_status_code$)`)
	successWord    = regexp.MustCompile(`(?i)(availability|success|succeeded|_ok(_|$)|:sli:|_sli(_|$)|good)`)
	latencyWord    = regexp.MustCompile(`(?i)(latency|duration|response_time|request_time|lookup_time|connect_time|processing_time|_delay|_wait_|elapsed|rtt|seconds_(bucket|sum)|milliseconds|_ms$)`)
	timeWord       = regexp.MustCompile(`(?i)(second|duration|latency|milli|micro|nano|_[mun]s(_|$)|_time(_|$)|rtt|delay|elapsed|wait)`)
	sizeWord       = regexp.MustCompile(`(?i)(byte|_size|length|depth|batch|entries|rows|expir|_kib|_mib|attempts|items)`)
	saturationWord = regexp.MustCompile(`(?i)(cpu|memory|_mem_|disk|filesystem|volume|_free|_avail|quota|throttl|queue|backlog|_lag|lag_|behind|oldest|_age(_|$)|age_of|connections|_pool|utili[sz]ation|saturation|in_?flight|file_descriptors|_fds|goroutines|threads|swap|load\d|heap|replicas|inodes|working_set|usage|pressure|capacity|pending)`)
	stateWord      = regexp.MustCompile(`_(phase|condition|state|status_reason|waiting_reason)$`)
	behindWord     = regexp.MustCompile(`(?i)(_lag(_|$)|behind)`)
	trafficWord    = regexp.MustCompile(`(?i)(requests?|rps|qps|_count$|calls|messages|events|packets|_bytes_total|hits|handled|orders|transactions|logins|checkouts|received|sent|processed|consumed|published)`)
	countSuffix    = regexp.MustCompile(`_count$`)
)

// signalOf guesses what expressions measure, of a rule and of what it was expanded to, from what is calculated, the metrics' names
// and the matchers on them. Shares of failed and of good requests are both errors; which way is bad, the comparison says.
func signalOf(es ...parser.Expr) triage.Signal {
	var f facts
	for _, e := range es {
		if e != nil {
			f.read(e)
		}
	}
	if len(f.names) == 0 {
		return triage.SignalCustom
	}
	some := func(re *regexp.Regexp) bool { return slices.ContainsFunc(f.names, re.MatchString) }
	switch {
	case f.timeHistogram || f.durationShare:
		return triage.SignalLatency
	case f.failing || f.goodShare || some(errorWord) || slices.ContainsFunc(f.names, triage.IsLiveness):
		return triage.SignalErrors
	case !slices.ContainsFunc(f.names, func(n string) bool { return !countSuffix.MatchString(n) }):
		return f.traffic()
	case stateWord.MatchString(f.names[0]) && !f.ratio:
		return triage.SignalCustom
	case some(behindWord):
		return triage.SignalSaturation
	case some(latencyWord) && !some(sizeWord):
		return triage.SignalLatency
	case some(saturationWord):
		return triage.SignalSaturation
	case some(trafficWord):
		return f.traffic()
	}
	return triage.SignalCustom
}

// facts are what expressions show of themselves.
type facts struct {
	names         []string
	failing       bool // only failed ones are counted somewhere
	goodShare     bool // good ones over all
	timeHistogram bool // a quantile or mean of times
	durationShare bool // requests faster than a bound, over all
	ratio         bool // of different things, not with their own past
}

func (f *facts) read(e parser.Expr) {
	f.durationShare = f.durationShare || isDurationShare(e) && timeLike(selectors(e)[0].Name) && !anyFailing(e)
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			f.names = append(f.names, selectedName(n))
			f.failing = f.failing || slices.ContainsFunc(n.LabelMatchers, failedMatcher)
			f.goodShare = f.goodShare || successWord.MatchString(n.Name) && strings.Contains(n.Name, ":")
		case *parser.Call:
			switch n.Func.Name {
			case "histogram_quantile", "histogram_fraction", "histogram_avg", "histogram_stddev", "histogram_quantiles":
				f.timeHistogram = f.timeHistogram || slices.ContainsFunc(selectors(n), func(v *parser.VectorSelector) bool { return timeLike(selectedName(v)) })
			}
		case *parser.BinaryExpr:
			if n.Op == parser.DIV && len(selectors(n.LHS)) > 0 && len(selectors(n.RHS)) > 0 {
				f.goodShare = f.goodShare || isGoodShare(n)
				f.timeHistogram = f.timeHistogram || isMean(n)
				f.ratio = f.ratio || !comparesWithThePast(n.RHS)
			}
		}
		return nil
	})
}

// traffic is what is counted; a ratio of two counts is no traffic.
func (f *facts) traffic() triage.Signal {
	if f.ratio {
		return triage.SignalCustom
	}
	return triage.SignalTraffic
}

// selectedName is the metric's name, also where it is only matched: {__name__="x"}.
func selectedName(v *parser.VectorSelector) string {
	if v.Name != "" {
		return v.Name
	}
	for _, m := range v.LabelMatchers {
		if m.Name == "__name__" {
			return m.Value
		}
	}
	return ""
}

// timeLike is true of histograms of times; one whose name gives no unit away is taken for one, unless it speaks of sizes.
func timeLike(name string) bool {
	return timeWord.MatchString(name) && !strings.Contains(name, "expir") || !sizeWord.MatchString(name)
}

// isMean recognises x_sum / x_count of times.
func isMean(e *parser.BinaryExpr) bool {
	num, den := selectors(e.LHS), selectors(e.RHS)
	if len(num) == 0 || len(den) == 0 {
		return false
	}
	base, ok := strings.CutSuffix(num[0].Name, "_sum")
	if h, isSum := isCall(e.LHS, "histogram_sum"); isSum && h != nil {
		return timeLike(num[0].Name)
	}
	return ok && strings.TrimSuffix(den[0].Name, "_count") == base && timeLike(base)
}

// isGoodShare recognises good ones over all: by matcher (code!~"5..", status="success") or by name (x_success_total over x_total).
func isGoodShare(e *parser.BinaryExpr) bool {
	num, den := selectors(e.LHS), selectors(e.RHS)
	if slices.ContainsFunc(num, func(v *parser.VectorSelector) bool { return slices.ContainsFunc(v.LabelMatchers, failedMatcher) }) {
		return false
	}
	return slices.ContainsFunc(num, func(n *parser.VectorSelector) bool {
		byMatcher, byName := slices.ContainsFunc(n.LabelMatchers, goodMatcher), successWord.MatchString(n.Name)
		return slices.ContainsFunc(den, func(d *parser.VectorSelector) bool {
			return byMatcher && selectedName(d) == selectedName(n) && !slices.ContainsFunc(d.LabelMatchers, goodMatcher) ||
				byName && !successWord.MatchString(d.Name)
		})
	})
}

func anyFailing(e parser.Expr) bool {
	return slices.ContainsFunc(selectors(e), func(v *parser.VectorSelector) bool { return slices.ContainsFunc(v.LabelMatchers, failedMatcher) })
}
