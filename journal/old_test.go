package journal

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/triaged-dev/triaged/triage"
)

// oldRows reads rows as 0.1.0 wrote them.
func oldRows[T any](t *testing.T, name string) T {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "old", name))
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Reports of 0.1.0, which kept their state and undos in notes and their steps as sentences, read as if they had been written today.
func TestReportsOfAnEarlierVersion(t *testing.T) {
	j := newJournal(t)
	rows := oldRows[map[string]json.RawMessage](t, "reports.json")
	for name, want := range map[string]struct {
		kind  triage.ReportKind
		state triage.IncidentState
		undo  string
	}{
		"watching":   {triage.ReportRanked, triage.IncidentMitigating, "flag new-pricing 0 %"},
		"not-helped": {triage.ReportRanked, triage.IncidentOpen, "flag new-pricing 0 %"},
		"consistent": {triage.ReportChecked, triage.IncidentMitigating, "flag new-pricing 0 %"},
		"recovered":  {triage.ReportRecovered, triage.IncidentRecovered, "flag new-pricing 0 %"},
		"stopped":    {triage.ReportRanked, triage.IncidentRecovered, ""},
	} {
		t.Run(name, func(t *testing.T) {
			insert := func(w *writer) error {
				_, err := w.exec(`INSERT INTO reports (incident_id, number, created_at, body, input) VALUES (?,?,?,?,?)`, name, 1, nanos(t0), []byte(rows[name]), []byte("{}")) // recent: the sweep runs beside
				return err
			}
			if err := j.write(t.Context(), "insert an old row", 1, insert); err != nil {
				t.Fatal(err)
			}
			got, err := j.Report(t.Context(), name, 1)
			if err != nil {
				t.Fatal(err)
			}
			undo := ""
			if len(got.Checked) > 0 {
				undo = got.Checked[0].Undo.Title
			}
			if got.Kind != want.kind || got.State != want.state || undo != want.undo || len(got.Notes) > 0 {
				t.Errorf("want %+v, got %s %s %q with notes %q", want, got.Kind, got.State, undo, got.Notes)
			}
			if name != "watching" {
				return
			}
			steps := []triage.Instruction{
				{Kind: triage.InstructDo, Text: "pause the rollout, it is still going on"},
				{Kind: triage.InstructDo, Text: "set new-pricing back to 0 in production", Does: triage.ActionFlagOff},
				{Kind: triage.InstructRun, Command: "ldcli flags toggle-off --flag new-pricing"},
				{Kind: triage.InstructNote, Text: "tell the owner"},
				{Kind: triage.InstructOpen, URL: "https://flags.example/new-pricing"},
				{Kind: triage.InstructRunbook, URL: "https://r.example/x"},
				{Kind: triage.InstructNoCommand, Text: "its project is not known"},
				{Kind: triage.InstructDo, Text: "hold other rollouts until the symptom is gone"},
			}
			if diff := cmp.Diff(steps, got.Recommendation.Steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// An outbox that 0.1.0 left behind says by fields what may have arrived.
func TestDeliveriesOfAnEarlierVersion(t *testing.T) {
	j := newJournal(t)
	var ids []string
	for _, body := range oldRows[[]json.RawMessage](t, "deliveries.json") {
		var row struct{ ID, State string }
		if err := json.Unmarshal(body, &row); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, row.ID)
		insert := func(w *writer) error {
			_, err := w.exec(`INSERT INTO deliveries (id, incident_id, state, created_at, next_attempt, body) VALUES (?,?,?,?,?,?)`, row.ID, "i", row.State, nanos(t0), nanos(t0), []byte(body)) // recent: the sweep runs beside
			return err
		}
		if err := j.write(t.Context(), "insert an old row", 1, insert); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, id := range ids {
		d, err := j.Delivery(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		word := d.LastError
		if d.Begun {
			word = "begun " + word
		}
		if d.Uncertain {
			word = "uncertain " + word
		}
		got = append(got, word)
	}
	want := []string{
		"begun ", "",
		"the outcome of an earlier attempt is not known and on_uncertain is hold; look at the receiver, then resend",
		"uncertain contextDeadlineExceeded: no answer",
	}
	if !slices.Equal(got, want) {
		t.Errorf("want %q\n got %q", want, got)
	}
}
