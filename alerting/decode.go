package alerting

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Bounds on what is taken from one body. An alert at every bound is about 300 KiB; a usual one 1.5 KiB.
const (
	maxBodyAlerts  = 10_000
	maxAnnotations = 32
	maxAnnotation  = 4096            // bytes; longer ones are cut
	maxExpr        = 8192            // bytes of the alert's expression; a longer one is not taken
	maxFuture      = 5 * time.Minute // a clock may be this far ahead; a start further ahead is taken as now
)

// Group is what one request brought: the alerts of one Alertmanager group, or any number without a group.
type Group struct {
	Alerts      []triage.Alert
	GroupKey    string
	Receiver    string
	ExternalURL string
	Truncated   int     // alerts the sender left out
	Problems    []error // alerts that could not be used, as FieldErrors; the others are taken
}

// DecodeWebhook reads the webhook of Alertmanager (version 4) and of Grafana. Fields it does not need may have any form and
// unknown ones any name. An alert needs labels and startsAt; one that lacks them goes to Group.Problems, and only if no
// alert is left is that an error: refusing the group would lose the good ones, since Alertmanager does not retry a 4xx.
func DecodeWebhook(body []byte, now time.Time) (Group, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil || raw == nil {
		return Group{}, &triage.FieldError{Field: "body", Value: excerpt(body), Remedy: "send the JSON object of an Alertmanager or Grafana webhook" + because(err)}
	}
	var alerts []json.RawMessage
	if err := json.Unmarshal(raw["alerts"], &alerts); err != nil || len(alerts) == 0 {
		return Group{}, &triage.FieldError{Field: "alerts", Value: excerpt(raw["alerts"]), Remedy: "is required: a list of at least one alert"}
	}
	g := Group{GroupKey: bounded(text(raw["groupKey"])), Receiver: bounded(text(raw["receiver"])), ExternalURL: clipURL(text(raw["externalURL"]))}
	var truncated int
	if json.Unmarshal(raw["truncatedAlerts"], &truncated) == nil && truncated > 0 {
		g.Truncated = truncated
	}
	return g.fill(alerts, form{now: now, path: "alerts", needStart: true, status: text(raw["status"])})
}

// DecodeAlerts reads the body of POST /api/v2/alerts, as Prometheus sends it to Alertmanager: a list of alerts without status.
// endsAt in the past resolves; endsAt in the future is the time until which the sender promises to repeat the alert, and is
// kept in EndsAt of the firing alert. startsAt may be missing and is then now.
func DecodeAlerts(body []byte, now time.Time) (Group, error) {
	var alerts []json.RawMessage
	if err := json.Unmarshal(body, &alerts); err != nil || len(alerts) == 0 {
		return Group{}, &triage.FieldError{Field: "body", Value: excerpt(body), Remedy: "send a JSON list of at least one alert, as in POST /api/v2/alerts of Alertmanager" + because(err)}
	}
	return Group{}.fill(alerts, form{now: now})
}

type form struct {
	now       time.Time
	path      string // of the list
	needStart bool
	status    string // of the group, for an alert without its own
}

func (g Group) fill(alerts []json.RawMessage, f form) (Group, error) {
	if len(alerts) > maxBodyAlerts {
		return Group{}, &triage.FieldError{Field: "alerts", Value: strconv.Itoa(len(alerts)) + " alerts", Remedy: fmt.Sprintf("send at most %d in one request", maxBodyAlerts)}
	}
	for i, raw := range alerts {
		a, err := f.alert(raw, fmt.Sprintf("%s[%d]", f.path, i))
		if err != nil {
			g.Problems = append(g.Problems, err)
			continue
		}
		a.GroupKey = g.GroupKey
		g.Alerts = append(g.Alerts, a)
	}
	if len(g.Alerts) == 0 {
		return Group{}, errors.Join(g.Problems[:min(len(g.Problems), 20)]...)
	}
	return g, nil
}

func (f form) alert(raw json.RawMessage, path string) (triage.Alert, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return triage.Alert{}, &triage.FieldError{Field: path, Value: excerpt(raw), Remedy: "must be a JSON object"}
	}
	var problems []error
	add := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	labels, err := stringMap(m["labels"], path+".labels", maxSentLabels)
	add(err)
	all := labels
	if len(labels) > triage.MaxLabels {
		labels = cutLabels(labels)
	}
	if err == nil && len(labels) == 0 {
		add(&triage.FieldError{Field: path + ".labels", Remedy: "is required: at least one label"})
	}
	// An annotation nobody can read is no reason to lose an alert.
	annotations, _ := stringMap(m["annotations"], path+".annotations", maxAnnotations)
	start, unread := f.time(m["startsAt"])
	switch {
	case unread: // a time without a zone, or in words: that it fires is known since now
		start = f.now
	case start.IsZero() && f.needStart:
		add(&triage.FieldError{Field: path + ".startsAt", Remedy: "is required; use RFC 3339 with a zone, like 2026-03-01T03:02:10Z"})
	case start.IsZero():
		start = f.now
	}
	end, _ := f.time(m["endsAt"])
	if len(problems) > 0 {
		return triage.Alert{}, errors.Join(problems...)
	}
	if start.After(f.now.Add(maxFuture)) {
		start = f.now
	}
	a := triage.Alert{
		Labels: labels, Annotations: annotations, StartsAt: start, ReceivedAt: f.now,
		GeneratorURL: clipURL(text(m["generatorURL"])),
	}
	// An alert is its labels, all of them; what the sender calls it may be another's name too.
	a.Fingerprint = triage.LabelsFingerprint(all)
	a.Expr = exprOf(a.GeneratorURL)
	a.Status, a.EndsAt = status(text(m["status"]), f, end)
	return a, nil
}

// maxSentLabels is how many labels an alert may come with; more than triage.MaxLabels are cut.
const maxSentLabels = 1024

// speaking are the labels that say what an alert is about, in the order in which they are kept where not all can be.
var speaking = []string{
	"alertname", "severity", "service", "app", "job", "namespace", "cluster", "environment", "env", "region", "team", "deployment", "statefulset",
	"daemonset", "pod", "container", "node", "instance", "workload", "ingress", "host", "method", "path", "handler", "code", "status", "version", "priority",
}

// cutLabels keeps as many labels as are taken: those that speak, then the others in order of their names.
func cutLabels(labels map[string]string) map[string]string {
	out := make(map[string]string, triage.MaxLabels)
	for _, name := range slices.Concat(speaking, slices.Sorted(maps.Keys(labels))) {
		if v, ok := labels[name]; ok && len(out) < triage.MaxLabels {
			out[name] = v
		}
	}
	return out
}

// status decides by the alert's own word, else the group's, else endsAt.
func status(word string, f form, end time.Time) (triage.AlertStatus, time.Time) {
	if word == "" {
		word = f.status
	}
	resolved := word == string(triage.AlertResolved) || (word != string(triage.AlertFiring) && !end.IsZero() && !end.After(f.now))
	if resolved {
		if end.IsZero() || end.After(f.now) {
			end = f.now
		}
		return triage.AlertResolved, end
	}
	if !end.After(f.now) {
		end = time.Time{}
	}
	return triage.AlertFiring, end
}

// time reads a time; missing, null, "" and the year 1 mean not set. unread says that there is something which is no time.
func (f form) time(raw json.RawMessage) (at time.Time, unread bool) {
	at, err := triage.ParseTimeJSON(raw)
	if err != nil || !at.IsZero() && (at.Year() < 1990 || at.Year() > 2200) {
		return time.Time{}, true
	}
	return at, false
}

// stringMap reads an object of strings, in order of the names so that the first problem is always the same one.
func stringMap(raw json.RawMessage, path string, limit int) (map[string]string, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, &triage.FieldError{Field: path, Value: excerpt(raw), Remedy: "must be an object of strings"}
	}
	if len(m) > limit {
		return nil, &triage.FieldError{Field: path, Value: strconv.Itoa(len(m)) + " entries", Remedy: fmt.Sprintf("has more than %d entries", limit)}
	}
	out := make(map[string]string, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		var v string
		if err := json.Unmarshal(m[name], &v); err != nil {
			return nil, &triage.FieldError{Field: path + "." + bounded(name), Value: excerpt(m[name]), Remedy: "must be a string"}
		}
		out[bounded(name)] = clipBytes(v, maxAnnotation)
	}
	return out, nil
}

// text is the string in raw, or nothing.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// exprOf is the expression in the generator URL of Prometheus.
func exprOf(generator string) string {
	u, err := url.Parse(generator)
	if err != nil || generator == "" {
		return ""
	}
	if e := u.Query().Get("g0.expr"); len(e) <= maxExpr {
		return e
	}
	return ""
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + strings.TrimPrefix(err.Error(), "json: ")
}

func excerpt(raw []byte) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return clipBytes(s, 160)
	}
	return clipBytes(string(raw), 160)
}

func bounded(s string) string { return clipBytes(s, triage.MaxText) }

// clipURL drops a URL that is too long: a cut one leads nowhere. Expressions make these long, so the bound is wide.
func clipURL(s string) string {
	if len(s) > 4*maxExpr {
		return ""
	}
	return strings.ToValidUTF8(s, "")
}

// clipBytes cuts at n bytes and leaves whole characters.
func clipBytes(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}
