package digest

import (
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

func TestPeriods(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse("2 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return v.AddDate(2026, 0, 0)
	}
	day := Config{Every: model.Duration(24 * time.Hour), At: "08:00"}
	for from, want := range map[string]string{"3 07:59": "3 08:00", "3 08:00": "4 08:00", "3 23:00": "4 08:00"} {
		if got := day.after(at(from)); !got.Equal(at(want)) {
			t.Errorf("after %s: want %s, got %s", from, want, got)
		}
	}
}
