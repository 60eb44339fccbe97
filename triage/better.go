package triage

import (
	"regexp"
	"strings"
)

// Names of metrics that are good when high, and the words in them that turn that round. Checked bad words first: unavailable holds
// available, probe_failed_due_to_regex begins like probe_success.
var (
	badWhenHigh  = regexp.MustCompile(`(?i)(unavailable|unhealthy|unready|not_?ready|error|err_|_errs?(_|$)|fail|down(_|$)|used|usage|expired|burn_?rate|latency|duration|age(_|$)|lag(_|$)|backlog|pending|missing|lost|limit_reached)`)
	goodWhenHigh = regexp.MustCompile(`(?i)(^up$|_up$|^up_|:up(:|$)|probe_success|healthy|_ready(_|$)|_running$|availab|_avail(_|$)|success|succeeded|_free(_|$)|_free_|remaining|expir|not_after|time_left|hit_?(rate|ratio)|slo:current_error_budget|error_budget:remaining|_active_members|quorum|in_?sync_replicas)`)
	budgetLeft   = regexp.MustCompile(`(?i)error_budget.*remaining|remaining.*error_budget`)
)

// BetterOf is the direction in which a metric is healthy, as its name tells: up, probe_success, free space and time left are good when
// high, errors and latency when low. Empty where the name does not tell. A rule's own comparison knows better.
func BetterOf(metric string) Better {
	switch {
	case budgetLeft.MatchString(metric):
		return BetterHigher
	case badWhenHigh.MatchString(metric):
		return BetterLower
	case goodWhenHigh.MatchString(metric):
		return BetterHigher
	}
	return ""
}

// IsLiveness reports whether a metric is 1 while something is there and answers, and 0 or gone when it is not: up, probe_success,
// redis_up, healthy. It is a state of a whole, no share of requests.
func IsLiveness(metric string) bool {
	if metric == "" || !strings.ContainsRune("pPsSyYeE", rune(metric[len(metric)-1])) {
		return false // ends like none of them
	}
	return liveness.MatchString(metric)
}

var liveness = regexp.MustCompile(`(?i)(^|:)up$|_up$|^probe_success$|(^|_)(is_)?healthy$|_alive$|_reachable$`)
