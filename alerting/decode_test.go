package alerting

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

var decodeAt = time.Date(2026, 3, 2, 14, 26, 0, 0, time.UTC)

const webhookBody = `{
 "receiver":"triaged","status":"firing","version":"4","groupKey":"{}:{alertname=\"HighErrorRate\"}","truncatedAlerts":2,
 "externalURL":"http://am.example:9093","notification_reason":"first notification","routeLabels":{"x":1},"commonLabels":7,
 "alerts":[
  {"status":"firing","labels":{"alertname":"HighErrorRate","service":"checkout"},"annotations":{"summary":"5xx"},
   "startsAt":"2026-03-02T14:25:30+01:00","endsAt":"0001-01-01T00:00:00Z","fingerprint":"ee4797c6de45ec0b","values":null,
   "generatorURL":"http://prom.example/graph?g0.expr=rate%28x%5B5m%5D%29+%3E+1&g0.tab=1"},
  {"status":"resolved","labels":{"alertname":"HighErrorRate","service":"search"},"startsAt":"2026-03-02T14:20:00Z","endsAt":"2026-03-02T14:24:00Z"}
 ]}`

func TestDecodeWebhook(t *testing.T) {
	g, err := DecodeWebhook([]byte(webhookBody), decodeAt)
	if err != nil {
		t.Fatal(err)
	}
	if g.GroupKey != `{}:{alertname="HighErrorRate"}` || g.Receiver != "triaged" || g.Truncated != 2 || g.ExternalURL != "http://am.example:9093" || len(g.Alerts) != 2 {
		t.Fatalf("group: %+v", g)
	}
	a, b := g.Alerts[0], g.Alerts[1]
	if want := time.Date(2026, 3, 2, 13, 25, 30, 0, time.UTC); !a.StartsAt.Equal(want) || a.StartsAt.Location() != time.UTC {
		t.Errorf("startsAt: want %s, got %s", want, a.StartsAt)
	}
	if a.Status != triage.AlertFiring || !a.EndsAt.IsZero() || a.Fingerprint != triage.LabelsFingerprint(a.Labels) || a.GroupKey != g.GroupKey || a.Expr != "rate(x[5m]) > 1" || a.Annotations["summary"] != "5xx" || !a.ReceivedAt.Equal(decodeAt) {
		t.Errorf("first alert: %+v", a)
	}
	if b.Status != triage.AlertResolved || b.EndsAt.IsZero() || b.LabelFingerprint() == "" {
		t.Errorf("second alert: %+v", b)
	}
}

func TestDecodeWebhookErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		body  string
		field string // of the error, "" for none
		good  int
		bad   int
	}{
		"not JSON":          {`{"alerts":[`, "body", 0, 0},
		"a list":            {`[]`, "body", 0, 0},
		"null":              {`null`, "body", 0, 0},
		"no alerts":         {`{"status":"firing"}`, "alerts", 0, 0},
		"alerts no list":    {`{"alerts":{}}`, "alerts", 0, 0},
		"empty alerts":      {`{"alerts":[]}`, "alerts", 0, 0},
		"no labels":         {`{"alerts":[{"startsAt":"2026-03-02T14:00:00Z"}]}`, "alerts[0].labels", 0, 0},
		"label no string":   {`{"alerts":[{"labels":{"a":1},"startsAt":"2026-03-02T14:00:00Z"}]}`, "alerts[0].labels.a", 0, 0},
		"no startsAt":       {`{"alerts":[{"labels":{"a":"b"}}]}`, "alerts[0].startsAt", 0, 0},
		"year 1 startsAt":   {`{"alerts":[{"labels":{"a":"b"},"startsAt":"0001-01-01T00:00:00Z"}]}`, "alerts[0].startsAt", 0, 0},
		"alert no object":   {`{"alerts":["x"]}`, "alerts[0]", 0, 0},
		"one bad, one good": {`{"alerts":[{"labels":{}},{"labels":{"a":"b"},"startsAt":"2026-03-02T14:00:00Z","annotations":[1]}]}`, "", 1, 1},
		"odd extras":        {`{"version":4,"groupKey":9,"alerts":[{"labels":{"a":"b"},"startsAt":"2026-03-02T14:00:00Z","endsAt":null,"fingerprint":5,"generatorURL":{}}]}`, "", 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := DecodeWebhook([]byte(tc.body), decodeAt)
			if tc.field == "" {
				if err != nil || len(g.Alerts) != tc.good || len(g.Problems) != tc.bad {
					t.Fatalf("want %d alerts and %d problems, got %d and %v (%v)", tc.good, tc.bad, len(g.Alerts), g.Problems, err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), tc.field+":") {
				t.Fatalf("want an error on %s, got %v", tc.field, err)
			}
		})
	}
}

// An alert whose start cannot be read fires all the same: it is taken as of now. Unix time can be read.
func TestAStartThatCannotBeReadLosesNoAlert(t *testing.T) {
	for start, want := range map[string]time.Time{
		`"2026-03-02T14:00:00"`: decodeAt, `"noon"`: decodeAt, `"9999-03-02T14:00:00Z"`: decodeAt, `{}`: decodeAt,
		`1772461530`: time.Unix(1772461530, 0).UTC(), `"2026-03-02T14:00:00+0100"`: time.Date(2026, 3, 2, 13, 0, 0, 0, time.UTC),
	} {
		g, err := DecodeWebhook([]byte(`{"alerts":[{"labels":{"alertname":"A"},"startsAt":`+start+`,"endsAt":"later"}]}`), decodeAt)
		if err != nil || len(g.Alerts) != 1 || !g.Alerts[0].StartsAt.Equal(want) || !g.Alerts[0].EndsAt.IsZero() {
			t.Errorf("%s: want %s, got %+v (%v)", start, want, g.Alerts, err)
		}
	}
}

// An alert with more labels than are kept is taken: what says what it is about stays, and so does what tells it from another.
func TestTooManyLabelsAreCut(t *testing.T) {
	labels := func(last string) string {
		var b strings.Builder
		for i := range 200 {
			fmt.Fprintf(&b, `"a%03d":"x",`, i)
		}
		return `{` + b.String() + `"service":"cart","severity":"page","alertname":"Errors","zz":"` + last + `"}`
	}
	g, err := DecodeAlerts([]byte(`[{"labels":`+labels("1")+`},{"labels":`+labels("2")+`}]`), decodeAt)
	if err != nil || len(g.Alerts) != 2 || len(g.Problems) != 0 {
		t.Fatalf("want two alerts, got %+v (%v)", g, err)
	}
	a, b := g.Alerts[0], g.Alerts[1]
	if len(a.Labels) != triage.MaxLabels || a.Labels["service"] != "cart" || a.Labels["severity"] != "page" || a.Name() != "Errors" || a.Labels["a000"] != "x" {
		t.Errorf("kept: %v", a.Labels)
	}
	if a.Key() == b.Key() {
		t.Error("two alerts became one by what was cut")
	}
}

func TestDecodeAlerts(t *testing.T) {
	g, err := DecodeAlerts([]byte(`[
	 {"labels":{"alertname":"A"},"startsAt":"2026-03-02T14:20:00Z","endsAt":"2026-03-02T14:30:00Z"},
	 {"labels":{"alertname":"B"},"startsAt":"2026-03-02T14:20:00Z","endsAt":"2026-03-02T14:25:00Z"},
	 {"labels":{"alertname":"C"},"startsAt":"2027-03-02T14:20:00Z"},
	 {"labels":{"alertname":"D"}}]`), decodeAt)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		status      triage.AlertStatus
		start, ends time.Time
	}{
		{triage.AlertFiring, time.Date(2026, 3, 2, 14, 20, 0, 0, time.UTC), time.Date(2026, 3, 2, 14, 30, 0, 0, time.UTC)},
		{triage.AlertResolved, time.Date(2026, 3, 2, 14, 20, 0, 0, time.UTC), time.Date(2026, 3, 2, 14, 25, 0, 0, time.UTC)},
		{triage.AlertFiring, decodeAt, time.Time{}}, // a clock a year ahead
		{triage.AlertFiring, decodeAt, time.Time{}},
	}
	for i, w := range want {
		if a := g.Alerts[i]; a.Status != w.status || !a.StartsAt.Equal(w.start) || !a.EndsAt.Equal(w.ends) {
			t.Errorf("alert %d: want %+v, got %s %s %s", i, w, a.Status, a.StartsAt, a.EndsAt)
		}
	}
	for _, body := range []string{`{}`, `[]`, `null`, `[`, `[{}]`} {
		if _, err := DecodeAlerts([]byte(body), decodeAt); err == nil {
			t.Errorf("%s: want an error", body)
		}
	}
}

// What real senders sent is read.
func TestDecodeRecorded(t *testing.T) {
	shared := os.Getenv("TRIAGED_SHARED")
	if shared == "" {
		t.Skip("TRIAGED_SHARED is not set: recorded payloads are not at hand")
	}
	for file, want := range map[string]struct {
		name   string
		status triage.AlertStatus
		expr   string
	}{
		"alertmanager/webhook-v4-firing.json":           {"HighErrorRate", triage.AlertFiring, "rate(http_requests_total"},
		"alertmanager/webhook-v4-resolved.json":         {"HighErrorRate", triage.AlertResolved, "rate(http_requests_total"},
		"grafana-alerting/webhook.firing.authored.json": {"CheckoutErrorRateHigh", triage.AlertFiring, ""},
		"grafana-alerting/webhook.nodata.authored.json": {"DatasourceNoData", triage.AlertFiring, ""},
	} {
		t.Run(file, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join(shared, "payloads", file))
			if err != nil {
				t.Fatal(err)
			}
			g, err := DecodeWebhook(body, time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC))
			if err != nil || len(g.Alerts) != 1 || len(g.Problems) != 0 {
				t.Fatalf("want one alert, got %+v (%v)", g, err)
			}
			if a := g.Alerts[0]; a.Name() != want.name || a.Status != want.status || !strings.Contains(a.Expr, want.expr) || (a.Status == triage.AlertFiring) != a.EndsAt.IsZero() {
				t.Errorf("got %+v", a)
			}
		})
	}
}

// Whatever comes in, what comes out is usable: an alert with labels and a start in a sane year, or an error that names a field.
func FuzzDecodeWebhook(f *testing.F) {
	f.Add([]byte(webhookBody))
	f.Add([]byte(`{"alerts":[{"labels":{"a":"b"},"startsAt":"2026-03-02T14:00:00Z","annotations":[1]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		g, err := DecodeWebhook(body, decodeAt)
		checkGroup(t, g, err)
	})
}

func FuzzDecodeAlerts(f *testing.F) {
	f.Add([]byte(`[{"labels":{"alertname":"A"},"startsAt":"2026-03-02T14:20:00Z","endsAt":"2026-03-02T14:30:00Z"}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		g, err := DecodeAlerts(body, decodeAt)
		checkGroup(t, g, err)
	})
}

func checkGroup(t *testing.T, g Group, err error) {
	if err != nil {
		if !strings.Contains(err.Error(), ": ") {
			t.Errorf("the error names no field: %v", err)
		}
		return
	}
	if len(g.Alerts) == 0 {
		t.Error("no error, and no alert either")
	}
	for _, a := range g.Alerts {
		if len(a.Labels) == 0 || a.StartsAt.Year() < 1990 || a.StartsAt.After(decodeAt.Add(maxFuture)) || (a.Status != triage.AlertFiring && a.Status != triage.AlertResolved) {
			t.Errorf("unusable alert: %+v", a)
		}
		if _, err := json.Marshal(a); err != nil {
			t.Errorf("alert cannot be journalled: %v", err)
		}
	}
}
