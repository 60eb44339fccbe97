package prometheus

import (
	"regexp"

	"github.com/prometheus/prometheus/model/labels"
)

// outcomes are values that a label of one kind has for what went well and for what did not. Matchers are tried on them: however a
// pattern is written (5.., ^5.., (?:5..), 5[0-9]{2}, !~"2..|3.."), what it lets through is what counts.
type outcomes struct {
	label     *regexp.Regexp
	good, bad []string
	anything  bool // any value but the good ones is bad
}

var outcomeLabels = []outcomes{
	{ // gRPC, by name and by number
		label: regexp.MustCompile(`(?i)grpc|rpc_(grpc_)?(response_)?status_code|connect_rpc`),
		good:  []string{"OK", "Ok", "ok", "0"},
		bad: []string{
			"Internal", "Unavailable", "DeadlineExceeded", "Unknown", "DataLoss", "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN", "DATA_LOSS",
			"ResourceExhausted", "RESOURCE_EXHAUSTED", "Aborted", "Unimplemented", "13", "14", "4", "2", "15",
		},
	},
	{ // classes of HTTP codes
		label: regexp.MustCompile(`(?i)class|status_?group|code_?family`),
		good:  []string{"2", "2xx", "3xx", "success"},
		bad:   []string{"5", "5xx", "5XX", "4xx", "4XX", "failure", "error", "server_error"},
	},
	{ // codes of HTTP, words of everything else
		label: regexp.MustCompile(`(?i)^(http_|response_|return_|exit_|result_|envoy_)?(status|code|response|rc|rcode|ret)$|status_?code|response_?code|return_?code|exit_?code|http_?status|status_text`),
		good: []string{
			"200", "201", "204", "301", "302", "304", "2xx", "ok", "OK", "Ok", "success", "SUCCESS", "Success", "succeeded", "STATUS_CODE_OK", "STATUS_CODE_UNSET", "NOERROR", "0", "pass", "completed",
		},
		bad: []string{
			"500", "502", "503", "504", "5xx", "400", "403", "404", "429", "499", "4xx", "error", "Error", "ERROR", "err", "errors", "failed", "FAILED", "Failed", "failure", "fail",
			"timeout", "STATUS_CODE_ERROR", "SERVFAIL", "REFUSED", "1", "rejected", "exception", "internal_error", "server_error", "unavailable", "Internal",
		},
	},
	{ // outcomes in words
		label: regexp.MustCompile(`(?i)result|outcome|classification|success|disposition|verdict`),
		good:  []string{"success", "SUCCESS", "Success", "succeeded", "ok", "OK", "Ok", "completed", "true", "pass", "hit", "allowed", "FORWARDED", "processed", "done"},
		bad: []string{
			"error", "Error", "ERROR", "err", "errors", "failed", "FAILED", "Failed", "failure", "Failure", "FAILURE", "fail", "timeout", "timed_out", "exception", "false", "rejected", "SERVER_ERROR",
			"CLIENT_ERROR", "denied", "dropped", "DROPPED", "aborted", "unavailable", "internal", "cancelled", "retry", "5xx",
		},
	},
	{ // whether there was an error at all, and which
		anything: true,
		label:    regexp.MustCompile(`(?i)error|exception|err$`),
		good:     []string{"", "none", "None", "false", "nil", "0"},
		bad:      []string{"timeout", "500", "true", "NullPointerException", "java.io.IOException", "_OTHER", "1", "connection_refused", "RuntimeException"},
	},
	{ // what became of a thing: only plain failure says so
		label: regexp.MustCompile(`(?i)^(state|phase|level|severity|type|reason)$`),
		good:  []string{"Pending", "Running", "Succeeded", "active", "info"},
		bad:   []string{"failed", "Failed", "FAILED", "error", "Error", "ERROR", "crashed", "fatal", "critical", "OOMKilled"},
	},
}

// tried counts how many of the values a matcher lets through.
func tried(m *labels.Matcher, values []string) (let int) {
	for _, v := range values {
		if m.Matches(v) {
			let++
		}
	}
	return let
}

// failedMatcher reports whether only what went wrong passes: some bad values and no good one, or everything but what is good.
func failedMatcher(m *labels.Matcher) bool {
	for _, o := range outcomeLabels {
		if !o.label.MatchString(m.Name) {
			continue
		}
		good, bad := tried(m, o.good), tried(m, o.bad)
		if m.Type == labels.MatchNotEqual || m.Type == labels.MatchNotRegexp || m.Matches("500") && !m.Matches("") && o.anything {
			// !="OK" lets "success" through, which its series never say.
			return bad > 0 && good < len(o.good)
		}
		return bad > 0 && good == 0
	}
	return false
}

// goodMatcher reports whether only what went well passes, or everything but what went wrong.
func goodMatcher(m *labels.Matcher) bool {
	for _, o := range outcomeLabels {
		if !o.label.MatchString(m.Name) || len(o.good) == 0 {
			continue
		}
		good, bad := tried(m, o.good), tried(m, o.bad)
		if m.Type == labels.MatchNotEqual || m.Type == labels.MatchNotRegexp {
			return good == len(o.good) && bad < len(o.bad)
		}
		return good > 0 && bad == 0
	}
	return false
}
