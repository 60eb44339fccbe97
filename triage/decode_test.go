package triage

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestDecodeChangeNamesFieldValueAndRemedy(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"not json":        {`{"kind":`, "change: "},
		"a list":          {`[1]`, "send a JSON object"},
		"null":            {`null`, "send a JSON object"},
		"trailing":        {`{"kind":"deploy","service":"a","started_at":"2026-01-02T03:04:05Z"} {}`, "nothing after it"},
		"unknown field":   {`{"kind":"deploy","servce":"a"}`, "change.servce: is not a known field"},
		"wrong type":      {`{"kind":"deploy","service":7}`, `change.service: "7": must be a string, not number`},
		"time no zone":    {`{"kind":"deploy","service":"a","started_at":"2026-01-02T03:04:05"}`, `change.started_at: "2026-01-02T03:04:05": use RFC 3339 with a zone`},
		"step no zone":    {`{"kind":"deploy","service":"a","steps":[{"at":"2026-01-02 03:04"}]}`, `change.steps: "2026-01-02 03:04": use RFC 3339`},
		"unknown kind":    {`{"kind":"deployment","service":"a","started_at":"2026-01-02T03:04:05Z"}`, `change.kind: "deployment": use one of deploy, rollback`},
		"no service":      {`{"kind":"deploy","started_at":"2026-01-02T03:04:05Z"}`, "change.service: is required"},
		"no time":         {`{"kind":"deploy","service":"a"}`, "change.started_at: is required"},
		"end first":       {`{"kind":"deploy","service":"a","started_at":"2026-01-02T03:04:05Z","finished_at":"2026-01-02T03:04:04Z"}`, "change.finished_at:"},
		"percent":         {`{"kind":"deploy","service":"a","started_at":"2026-01-02T03:04:05Z","rollout_percent":101}`, `change.rollout_percent: "101": must lie between 0 and 100`},
		"milliseconds":    {`{"kind":"deploy","service":"a","started_at":"9999-01-02T03:04:05Z"}`, "check seconds against milliseconds"},
		"two at once (1)": {`{"kind":1,"service":2}`, "change.kind"},
		"two at once (2)": {`{"kind":1,"service":2}`, "change.service"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeChange([]byte(tc.in), "change")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want %q in the error, got %v", tc.want, err)
			}
		})
	}
}

func TestChangeRoundTrips(t *testing.T) {
	in := `{"id":"x:1","kind":"flag","service":"checkout","environment":"production","started_at":"2026-03-01T03:01:30Z","labels":{"flag":"new-pricing","from":"0","to":"100"}}`
	c, err := DecodeChange([]byte(in), "change")
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != in {
		t.Errorf("want %s\n got %s", in, out)
	}
}

// A finish-only event does not know its start: its start interval must reach back a rollout, and say that it was not observed.
func TestStartIntervalOfFinishOnly(t *testing.T) {
	end := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	from, to, observed := Change{FinishedAt: end, TimeUncertaintyS: 30}.StartInterval(10 * time.Minute)
	if observed || !from.Equal(end.Add(-10*time.Minute-30*time.Second)) || !to.Equal(end.Add(30*time.Second)) {
		t.Errorf("got %v – %v, observed %v", from, to, observed)
	}
}

func FuzzDecodeEvent(f *testing.F) {
	f.Add([]byte(`{"change":{"kind":"deploy","service":"a","started_at":"2026-01-02T03:04:05Z"}}`))
	f.Add([]byte(`{"anomaly":{"signal":"errors","service":"a","series":"x","onset":{"best":"2026-01-02T03:04:05Z"}}}`))
	f.Add([]byte(`{"change":null,"anomaly":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ev, err := DecodeEvent(data)
		if err != nil {
			return
		}
		if (ev.Change == nil) == (ev.Anomaly == nil) {
			t.Fatalf("accepted an event that is not exactly one of change and anomaly: %s", data)
		}
		out, err := json.Marshal(ev)
		if err != nil {
			t.Fatalf("accepted but cannot be written: %v", err)
		}
		again, err := DecodeEvent(out)
		if err != nil {
			t.Fatalf("accepted %s but not its own form %s: %v", data, out, err)
		}
		second, _ := json.Marshal(again)
		if string(out) != string(second) {
			t.Fatalf("not stable:\n%s\n%s", out, second)
		}
	})
}

// BenchmarkDecodeEvent reads one ordinary deploy of about 1 kB.
func BenchmarkDecodeEvent(b *testing.B) {
	c := Change{
		ID: "ci:0123456789", Source: "ci", Kind: KindDeploy, Status: StatusSucceeded, Scope: Scope{Service: "checkout", Environment: "production"},
		StartedAt: time.Date(2026, 3, 1, 3, 2, 10, 0, time.UTC), FinishedAt: time.Date(2026, 3, 1, 3, 4, 10, 0, time.UTC), Version: "v812",
		Title: "Deploy to production", URL: "https://ci.example/runs/1", Refs: []Ref{{System: "ci", ID: "1"}},
		Labels: map[string]string{"sha": strings.Repeat("a", 40), "note": strings.Repeat("x", 500)},
	}
	data, err := json.Marshal(Event{Change: &c})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeEvent(data); err != nil {
			b.Fatal(err)
		}
	}
}
