package mapping

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/triaged-dev/triaged/triage"
)

func parse(t testing.TB, doc string) *Mapping {
	t.Helper()
	m, err := Parse("acme.yaml", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const acme = `
description: our own deploy script
rules:
  - match: has(body.deploy)
    foreach: body.deploy.targets
    let:
      - {name: env, value: "item.?environment.orValue('')"}
    ignore:
      - {when: env == 'test', reason: not a place we watch}
    change:
      id: "'acme:' + text(body.deploy.id) + '/' + item.service"
      kind: deploy
      status: "{'ok': 'succeeded'}[?item.?result.orValue('')].orValue('failed')"
      service: item.service
      environment: env
      started_at: time(item.?start)
      finished_at: time(item.?end)
      version: text(item.?version)
      title: item.?message
      rollout_percent: item.?percent
      size: {files: "size(item.?files.orValue([]))", paths: "item.?files"}
      steps:
        - {at: "time(item.?canary)", percent: "10.0"}
      reversible: {value: "yes", reason: "'kept'"}
      refs:
        - {system: "'acme'", id: "text(item.?run)"}
      labels: {sha: "headers[?'x-sha']", n: "text(item.?n)", big: "text(body.deploy.?big)"}
`

func TestEverythingAFieldCanHold(t *testing.T) {
	body := `{"deploy":{"id":7,"big":12345678901234,"targets":[
	 {"service":"checkout","environment":"prod","result":"ok","start":1772461267118,"end":"2026-03-02 15:22:01 +0100","version":42,"message":"first\nsecond",
	  "percent":25.5,"files":["a","b"],"canary":"2026-03-02T14:21:10Z","run":null,"n":1.5},
	 {"service":"cart","environment":"test"}]}}`
	got, err := parse(t, acme).DecodeRecord([]Header{{Key: "X-Sha", Value: []byte("ab12")}}, []byte(body), received)
	if err != nil {
		t.Fatal(err)
	}
	percent := 25.5
	want := []triage.Event{{Change: &triage.Change{
		ID: "acme:7/checkout", Kind: triage.KindDeploy, Status: triage.StatusSucceeded, Scope: triage.Scope{Service: "checkout", Environment: "prod"},
		StartedAt: time.Date(2026, 3, 2, 14, 21, 7, 118e6, time.UTC), FinishedAt: time.Date(2026, 3, 2, 14, 22, 1, 0, time.UTC),
		Version: "42", Title: "first", RolloutPercent: &percent, Size: triage.Size{Files: 2, Paths: []string{"a", "b"}},
		Steps:      []triage.Step{{At: time.Date(2026, 3, 2, 14, 21, 10, 0, time.UTC), Percent: 10}},
		Reversible: triage.Reversible{Value: triage.ReversibleYes, Reason: "kept"},
		Labels:     map[string]string{"sha": "ab12", "n": "1.5", "big": "12345678901234"},
	}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestInputsThatAreNoChange(t *testing.T) {
	m := parse(t, acme)
	for name, tc := range map[string]struct{ body, ignored, err string }{
		"no rule":               {`{"other":1}`, "no rule of mapping acme knows this", ""},
		"a list":                {`[1]`, "no rule of mapping acme", ""},
		"a number":              {`7`, "no rule of mapping acme", ""},
		"all ignored":           {`{"deploy":{"id":1,"targets":[{"service":"a","environment":"test"}]}}`, "not a place we watch", ""},
		"nothing in it":         {`{"deploy":{"id":1,"targets":[]}}`, "there is no change in it", ""},
		"not json":              {`<xml>`, "", "mapping acme: is not JSON"},
		"two documents":         {`{} {}`, "", "something follows it"},
		"foreach over a map":    {`{"deploy":{"id":1,"targets":{}}}`, "", "acme.yaml: rules[0].foreach: gives no list"},
		"missing field":         {`{"deploy":{"id":1,"targets":[{"environment":"p"}]}}`, "", "acme.yaml: rules[0].change.id: no such key: service"},
		"a map for text":        {`{"deploy":{"id":1,"targets":[{"service":"a","message":{}}]}}`, "", "acme.yaml: rules[0].change.title: gives a map; text is wanted"},
		"text for a number":     {`{"deploy":{"id":1,"targets":[{"service":"a","start":1772461267,"percent":"many"}]}}`, "", "change.rollout_percent"},
		"too many items":        {`{"deploy":{"id":1,"targets":[` + strings.Repeat(`{"service":"a"},`, maxItems) + `{"service":"a"}]}}`, "", "at most 500"},
		"percent out of bounds": {`{"deploy":{"id":1,"targets":[{"service":"a","start":1772461267,"percent":1000}]}}`, "", "must lie between 0 and 100"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := m.Decode(nil, []byte(tc.body), received)
			reason, ignored := triage.IsIgnored(err)
			switch {
			case err == nil:
				t.Errorf("want no change, got %s", summary(got, nil))
			case tc.ignored != "" && (!ignored || !strings.Contains(reason, tc.ignored)):
				t.Errorf("want it ignored because of %q, got %v", tc.ignored, err)
			case tc.err != "" && (ignored || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("want %q in the error, got %v", tc.err, err)
			}
		})
	}
}

// A time without a zone could be any of 26 hours, and one that cannot be read any at all: what is known is when it was told.
func TestATimeThatCannotBeReadIsTheArrivalAndUncertain(t *testing.T) {
	at := time.Date(2026, 3, 2, 14, 21, 7, 0, time.UTC)
	for name, tc := range map[string]struct {
		target          string
		start, end      time.Time
		uncertain, from bool
	}{
		"without zone":     {`"start":"2026-03-02T14:21:07"`, received, time.Time{}, true, true},
		"words":            {`"start":"yesterday"`, received, time.Time{}, true, true},
		"an object":        {`"start":{"at":1}`, received, time.Time{}, true, true},
		"year 1970":        {`"start":12`, received, time.Time{}, true, true},
		"nanoseconds":      {`"start":1772461267118000000`, received, time.Time{}, true, true},
		"none at all":      {`"version":"2"`, time.Time{}, received, true, true},
		"start unreadable": {`"start":"?","end":"2026-03-02T14:21:07Z"`, at, at, true, true},
		"end unreadable":   {`"start":"2026-03-02T14:21:07Z","end":"soon"`, at, received, true, true},
		"end before start": {`"start":"2026-03-02T14:21:08Z","end":"2026-03-02T14:21:07Z"`, at, at, false, false},
		"both are well":    {`"start":"2026-03-02T14:21:07Z","end":"Mon, 02 Mar 2026 14:21:07 GMT"`, at, at, false, false},
		"as TeamCity does": {`"start":"20260302T152107+0100"`, at, time.Time{}, false, false},
		"byte order mark":  {`"start":"2026-03-02T14:21:07Z"`, at, time.Time{}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			body := `{"deploy":{"id":1,"targets":[{"service":"a",` + tc.target + `}]}}`
			if name == "byte order mark" {
				body = "\xef\xbb\xbf" + body
			}
			got, err := parse(t, acme).Decode(nil, []byte(body), received)
			if err != nil {
				t.Fatal(err)
			}
			c := got[0].Change
			if !c.StartedAt.Equal(tc.start) || !c.FinishedAt.Equal(tc.end) || (c.TimeUncertaintyS > 0) != tc.uncertain || (c.Labels["time_from"] == "arrival") != tc.from {
				t.Errorf("got %s – %s ± %v %v", c.StartedAt, c.FinishedAt, c.TimeUncertaintyS, c.Labels)
			}
		})
	}
	// A second time that can be read is better than the arrival in place of the first.
	m := parse(t, `{rules: [{match: "true", change: {kind: other, service: "'a'", started_at: "first([time(body.a), time(body.b), received])"}}]}`)
	for body, certain := range map[string]bool{`{"a":"?","b":"2026-03-02T14:21:07Z"}`: true, `{"a":"?","b":""}`: false} {
		got, err := m.Decode(nil, []byte(body), received)
		if err != nil || (got[0].Change.TimeUncertaintyS == 0) != certain {
			t.Errorf("%s: got %+v, %v", body, got, err)
		}
	}
}

// What the caller knows is filled in before anything is required of the sender.
func TestDefaultsComeBeforeValidation(t *testing.T) {
	m := parse(t, `{rules: [{match: "true", change: {kind: deploy, title: body.t, started_at: received}}]}`)
	if _, err := m.Decode(nil, []byte(`{"t":"v2"}`), received); err == nil || !strings.Contains(err.Error(), "change.service") {
		t.Errorf("nobody says the service: want it asked for, got %v", err)
	}
	got, err := m.Read(Input{Body: []byte(`{"t":"v2"}`), Received: received, Complete: func(e triage.Event) triage.Event {
		c := *e.Change
		c.Service = "checkout"
		return triage.Event{Change: &c}
	}})
	if err != nil || got[0].Change.Service != "checkout" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Prose that is too long is cut; an id never is, since a cut one would name something else.
func TestLongTextIsCut(t *testing.T) {
	long := strings.Repeat("é", triage.MaxText)
	got, err := parse(t, acme).Decode(nil, []byte(`{"deploy":{"id":1,"targets":[{"service":"a","start":1772461267,"message":"`+long+`"}]}}`), received)
	if err != nil {
		t.Fatal(err)
	}
	if title := got[0].Change.Title; len(title) > triage.MaxText || !strings.HasSuffix(title, "é…") {
		t.Errorf("title of %d bytes ends in %q", len(title), title[len(title)-5:])
	}
	_, err = parse(t, acme).Decode(nil, []byte(`{"deploy":{"id":"`+long+`","targets":[{"service":"a","start":1772461267}]}}`), received)
	if err == nil || !strings.Contains(err.Error(), "change.id") {
		t.Errorf("want the long id refused, got %v", err)
	}
}

func TestCompileErrorsNameFileFieldAndRemedy(t *testing.T) {
	rule := func(s string) string { return "rules:\n  - " + s + "\n" }
	change := "\n    change: {kind: deploy, service: body.s, started_at: received}"
	for name, tc := range map[string]struct{ doc, want string }{
		"empty":            {"", "acme.yaml: is empty"},
		"no rules":         {"description: x", "acme.yaml: rules: must not be empty"},
		"unknown key":      {"rule: []", "field rule not found"},
		"unknown variable": {rule("match: bdoy.x == 1" + change), `acme.yaml: rules[0].match: "bdoy.x == 1": column 1: undeclared reference to 'bdoy'`},
		"syntax":           {rule(`match: "body.x =="` + change), "acme.yaml: rules[0].match"},
		"not a bool":       {rule(`match: "'yes'"` + change), "gives string; bool is wanted"},
		"unknown field":    {rule("match: 'true'\n    change: {kind: deploy, servce: body.s}"), "acme.yaml: rules[0].change.servce: is not a field; the fields are actor, cluster"},
		"unquoted text":    {rule("match: 'true'\n    change: {kind: deployment}"), `rules[0].change.kind: "deployment": column 1: undeclared reference`},
		"list for text":    {rule("match: 'true'\n    change: {service: [a]}"), "rules[0].change.service: is no list in the schema"},
		"map for text":     {rule("match: 'true'\n    change: {service: {a: b}}"), "rules[0].change.service: is a single value in the schema"},
		"no output":        {rule("match: 'true'"), "rules[0]: needs exactly one of change and anomaly"},
		"let taken":        {rule("match: 'true'\n    let: [{name: body, value: '1'}]" + change), `rules[0].let[0].name: "body"`},
		"let kept by CEL":  {rule("match: 'true'\n    let: [{name: namespace, value: '1'}]" + change), "a word CEL keeps"},
		"no reason":        {rule("match: 'true'\n    ignore: [{when: 'true'}]" + change), "rules[0].ignore[0].reason: must not be empty"},
		"auth scheme":      {"auth: [{scheme: md5}]\n" + rule("match: 'true'"+change), `auth[0]: "md5": use one of hmac-sha256`},
		"auth header":      {"auth: [{scheme: token}]\n" + rule("match: 'true'"+change), "needs header"},
		"two at once (1)":  {rule("match: nope\n    change: {kind: nope2}"), "'nope'"},
		"two at once (2)":  {rule("match: nope\n    change: {kind: nope2}"), "'nope2'"},
		"too long":         {rule("match: \"" + strings.Repeat("1+", maxExpression) + "1 > 0\"" + change), "rules[0].match"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("acme.yaml", []byte(tc.doc))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want %q in the error, got %v", tc.want, err)
			}
		})
	}
}

// An expression that would take for ever is stopped by its cost.
func TestCostIsBounded(t *testing.T) {
	m := parse(t, `
rules:
  - match: "true"
    let:
      - {name: n, value: "body.a.map(x, body.a.map(y, body.a.map(z, x + y + z)))"}
    change: {kind: other, service: "'a'", started_at: received}
`)
	began := time.Now()
	_, err := m.Decode(nil, []byte(`{"a":[`+strings.Repeat("1,", 5000)+`1]}`), received)
	if err == nil || (!strings.Contains(err.Error(), "cost limit") && !strings.Contains(err.Error(), "took longer")) {
		t.Errorf("want it stopped, got %v", err)
	}
	if d := time.Since(began); d > 20*evalTime {
		t.Errorf("took %s", d)
	}
}

func TestSecretsInHeadersAreNotSeen(t *testing.T) {
	m := parse(t, `
rules:
  - match: "true"
    change: {kind: other, service: "'a'", started_at: received, title: "text(headers[?'authorization']) + text(headers[?'x-event'])"}
`)
	got, err := m.DecodeHTTP(http.Header{"Authorization": {"Bearer s3cret"}, "X-Event": {"push"}}, []byte(`{}`))
	if err != nil || got[0].Change.Title != "push" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAnonymousChangeGetsAStableID(t *testing.T) {
	m := parse(t, `{rules: [{match: "true", change: {kind: other, service: "'a'", started_at: "received"}}]}`)
	a, err1 := m.Decode(nil, []byte(`{}`), received)
	b, err2 := m.Decode(nil, []byte(`{ }`), received)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if id := a[0].Change.ID; id != b[0].Change.ID || !strings.HasPrefix(string(id), "acme:") {
		t.Errorf("ids %s and %s", id, b[0].Change.ID)
	}
}

// Whatever comes, a shipped mapping gives valid events or an error, and never panics.
func FuzzShippedMappings(f *testing.F) {
	ms := shipped(f)
	for _, known := range []map[string]string{ours, further} {
		for key := range known {
			f.Add([]byte(fixture(f, key)))
		}
	}
	f.Add([]byte(`{"app":{"metadata":7},"build":[],"payload":{"summary":{}},"kind":{},"rollout":{"metadata":{"name":[]}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for name, m := range ms {
			events, err := m.Decode(nil, body, received)
			if (err == nil) != (len(events) > 0) {
				t.Fatalf("%s: want events or an error, got %d and %v", name, len(events), err)
			}
			for _, e := range events {
				switch {
				case e.Change != nil && e.Anomaly == nil:
					err = e.Change.Validate("")
				case e.Anomaly != nil && e.Change == nil:
					err = e.Anomaly.Validate("")
				default:
					t.Fatalf("%s: not exactly one of change and anomaly", name)
				}
				if err != nil {
					t.Fatalf("%s: accepted an invalid event: %v", name, err)
				}
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	m := shipped(b)["launchdarkly"]
	body := []byte(fixture(b, "launchdarkly/flag.turned_on.json"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Decode(nil, body, received); err != nil {
			b.Fatal(err)
		}
	}
}
