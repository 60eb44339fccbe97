package journal

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

func load(text string) (Config, error) {
	var c struct {
		Journal Config `yaml:"journal"`
	}
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	return c.Journal, d.Decode(&c)
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	var c struct {
		Journal Config `yaml:"journal"`
	}
	text := "journal: {path: x.db, retention: {changes: 10d, bodies: 5d}}"
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Path, want.Retention.Changes, want.Retention.Bodies = "x.db", model.Duration(10*day), model.Duration(5*day)
	if c.Journal != want {
		t.Errorf("config: want %+v, got %+v", want, c.Journal)
	}
	c.Journal.SetDirectory("/etc/triaged")
	if c.Journal.Path != "/etc/triaged/x.db" {
		t.Errorf("path: %s", c.Journal.Path)
	}
	for text, want := range map[string][]string{
		"journal: {pth: x}":                                 {"field pth not found"},
		"journal: {retention: {change: 1d}}":                {"field change not found"},
		"journal: {path: ''}":                               {"journal.path: must not be empty"},
		"journal: {retention: {changes: 10d}}":              {"journal.retention.bodies: 30d: must not be longer than retention.changes (10d)"},
		"journal: {retention: {reports: 1h}, path: ''}":     {"journal.retention.reports: 1h: must be at least 1d", "journal.path"},
		"journal: {quarantine_max: 0, sweep_interval: 1ms}": {"journal.quarantine_max: 0: must be at least 1", "journal.sweep_interval: 1ms: must be at least 1s"},
	} {
		_, err := load(text)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: want …%s…, got %v", text, w, err)
			}
		}
	}
}

// Metrics are counted, pass the linter, and are one set per registry.
func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	j := newJournal(t, func(o *Options) { o.Registerer = reg })
	a := anomaly("a", 0)
	e := entry(deploy("b", 0))
	mustAppend(t, j, e, e)
	e.Event.Change, e.Event.Anomaly = nil, &a
	mustAppend(t, j, e)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	err = testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP triaged_journal_entries_total Entries made durable by Append, by what they are.
# TYPE triaged_journal_entries_total counter
triaged_journal_entries_total{type="anomaly"} 1
triaged_journal_entries_total{type="change"} 2
# HELP triaged_journal_damaged 1 if damage was met since the start: restart to have the file moved aside.
# TYPE triaged_journal_damaged gauge
triaged_journal_damaged 0
# HELP triaged_journal_recovered_total Times a damaged journal was moved aside and a fresh one started.
# TYPE triaged_journal_recovered_total counter
triaged_journal_recovered_total 0
`), "triaged_journal_entries_total", "triaged_journal_damaged", "triaged_journal_recovered_total")
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"triaged_journal_append_seconds", "triaged_journal_commit_seconds", "triaged_journal_batch_entries", "triaged_journal_size_bytes"} {
		if n, err := testutil.GatherAndCount(reg, name); n != 1 || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if j.size() <= 0 {
		t.Error("size is not measured")
	}
}

// Times outside of what fits are stored as the nearest, and the zero time is the zero time.
func TestTimes(t *testing.T) {
	for _, want := range []time.Time{{}, t0, t0.Add(time.Nanosecond), time.Unix(0, 1).UTC(), time.Unix(-5, 0).UTC()} {
		if got := instant(nanos(want)); !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("want %v, got %v", want, got)
		}
	}
	if a, b := nanos(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)), nanos(lastTime); a != b {
		t.Errorf("far future: %d, %d", a, b)
	}
	if a, b := nanos(time.Date(2, 1, 1, 0, 0, 0, 0, time.UTC)), nanos(firstTime); a != b {
		t.Errorf("far past: %d, %d", a, b)
	}
}
