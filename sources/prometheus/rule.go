package prometheus

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// foundRule is the rule behind an alert, with what the server says of that very alert.
type foundRule struct {
	rule     v1.AlertingRule
	interval time.Duration
	active   *v1.Alert // nil: not firing any more, or under labels we cannot match
}

// findRule looks for the rule by alert name, or by expression where the name was rewritten on the way. Of several, the one that
// fits best: same name, same expression, then an active alert with these labels, then labels the rule itself sets; then the first.
func findRule(groups []v1.RuleGroup, a triage.Alert, expr string) (foundRule, bool) {
	var best foundRule
	bestScore := 0
	for _, g := range groups {
		for _, r := range g.Rules {
			ar, ok := r.(v1.AlertingRule)
			if !ok {
				continue
			}
			same := expr != "" && sameExpr(ar.Query, expr)
			if ar.Name != a.Name() && !same {
				continue
			}
			score := 1
			if ar.Name == a.Name() {
				score += 16
			}
			if same {
				score += 8
			}
			active := activeAlert(ar, a)
			if active != nil {
				score += 4
			}
			if containsLabels(a.Labels, ar.Labels) {
				score += 2
			}
			if score > bestScore {
				best, bestScore = foundRule{rule: ar, interval: seconds(g.Interval), active: active}, score
			}
		}
	}
	return best, bestScore > 0
}

// activeAlert is the one of the rule's alerts that is a: no label contradicts, most labels are shared, and it became active before
// a fired, as close as possible to StartsAt − for.
func activeAlert(r v1.AlertingRule, a triage.Alert) *v1.Alert {
	var best *v1.Alert
	var bestShared int
	var bestGap time.Duration
	for _, al := range r.Alerts {
		if al == nil || (!a.StartsAt.IsZero() && al.ActiveAt.After(a.StartsAt)) {
			continue
		}
		shared, contradicts := 0, false
		for k, v := range al.Labels {
			have, ok := a.Labels[string(k)]
			contradicts = contradicts || (ok && have != string(v))
			if ok {
				shared++
			}
		}
		if contradicts {
			continue
		}
		gap := a.StartsAt.Add(-seconds(r.Duration)).Sub(al.ActiveAt).Abs()
		if best == nil || cmp.Or(cmp.Compare(bestShared, shared), cmp.Compare(gap, bestGap), al.ActiveAt.Compare(best.ActiveAt)) < 0 {
			best, bestShared, bestGap = al, shared, gap
		}
	}
	return best
}

func containsLabels(have map[string]string, want model.LabelSet) bool {
	for k, v := range want {
		if h, ok := have[string(k)]; !ok || (h != string(v) && !strings.Contains(string(v), "{{")) {
			return false
		}
	}
	return true
}

func sameExpr(a, b string) bool {
	if strings.TrimSpace(a) == strings.TrimSpace(b) {
		return true
	}
	x, err := parseExpr(a)
	if err != nil {
		return false
	}
	y, err := parseExpr(b)
	return err == nil && x.String() == y.String()
}

// generatorExpr is the expression in a generatorURL, as /graph?g0.expr=… and /query?g0.expr=… carry it.
func generatorExpr(generatorURL string) string {
	u, err := url.Parse(generatorURL)
	if err != nil {
		return ""
	}
	q := u.Query()
	return strings.TrimSpace(cmp.Or(q.Get("g0.expr"), q.Get("expr")))
}

// targetLabels are labels that series have of themselves, whatever rule they are in.
var targetLabels = []string{
	"job", "instance", "namespace", "pod", "container", "service", "service_name", "app", "app_kubernetes_io_name", "deployment",
	"statefulset", "daemonset", "node", "device", "mountpoint", "topic", "consumergroup", "group", "queue", "endpoint", "handler", "route", "path", "method",
}

// evaluatorLabels are those that Prometheus operators, Thanos Ruler, Mimir and Cortex add to alerts: replicas and tenants.
var evaluatorLabels = []string{
	"prometheus", "prometheus_replica", "replica", "rule_replica", "ruler_replica", "thanos_ruler", "thanos_ruler_replica", "receive_replica",
	"tenant", "tenant_id", "org_id", "monitor", "alertgroup",
}

// ownLabels are the labels by which the alert's own series can be told from others: not those that the rule, the server
// (external labels) or the sender added. sure is false where that is a guess.
func ownLabels(a triage.Alert, f foundRule, found bool, external map[string]string, mentioned []string) (own map[string]string, sure bool) {
	own = make(map[string]string)
	if f.active != nil {
		for k, v := range f.active.Labels {
			own[string(k)] = string(v)
		}
		sure = true
	} else {
		maps.Copy(own, a.Labels)
		for k, v := range external {
			if own[k] == v {
				delete(own, k)
			}
		}
	}
	for k := range f.rule.Labels {
		delete(own, string(k))
	}
	if f.active == nil {
		for _, k := range evaluatorLabels { // added by whoever evaluated the rule, where the rule does not speak of them
			if !slices.Contains(mentioned, k) {
				delete(own, k)
			}
		}
	}
	maps.DeleteFunc(own, func(k, v string) bool {
		return v == "" || k == model.AlertNameLabel || strings.HasPrefix(k, "__") ||
			!found && !slices.Contains(targetLabels, k) && !slices.Contains(mentioned, k)
	})
	return own, sure
}
