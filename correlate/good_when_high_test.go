package correlate

import (
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// Every process dead: what counts what works is not read as errors that went away, whether or not its rule says which side is bad.
func TestUpIsGoodWhenHigh(t *testing.T) {
	for _, metric := range []string{"up", "probe_success", "mysql_up"} {
		in := flagScene()
		up := series("checkout", triage.SignalErrors, 1, 0, -1, before("4m50s"))
		up.Metric, up.Better = metric, ""
		in.Symptom.BadDirection, in.Symptom.Series = "", []triage.Series{up}
		r := Rank(in)
		if want := "checkout availability 100 % → 0 %"; !strings.HasPrefix(r.Symptom.Sentence, want) {
			t.Errorf("%s: want %q, got %q", metric, want, r.Symptom.Sentence)
		}
		if r.Symptom.Better != triage.BetterHigher || r.Symptom.Course() == triage.CourseBetter {
			t.Errorf("%s: got %+v", metric, r.Symptom)
		}
		if c := r.Recommendation.Check; strings.Contains(c, "errors back near 100 %") || !strings.Contains(c, "availability back near 100 %") {
			t.Errorf("%s: check %q", metric, c)
		}
	}
}
