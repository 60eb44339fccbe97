package web_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/triaged-dev/triaged/triage"
)

// shots are the pictures of the docs: what they show, of which recorded moment.
var shots = []struct {
	name, moment, path string
	view               view
	whole              bool
}{
	{"incident-light", "flag", "/incidents/$id", desktop, true},
	{"incident-dark", "flag", "/incidents/$id", desktopDark, true},
	{"incident-phone", "flag", "/incidents/$id", phone, true},
	{"incident-recovered", "recovered", "/incidents/$id", desktop, false},
	{"incident-pair", "pair", "/incidents/$id", desktop, false},
	{"incident-vendor", "vendor", "/incidents/$id", desktop, false},
	{"incident-migration", "migration", "/incidents/$id", desktopDark, false},
	{"incidents-light", "all", "/incidents", desktop, false},
	{"changes-light", "busy", "/changes", desktop, false},
	{"changes-dark", "busy", "/changes?span=24h", desktopDark, false},
	{"changes-phone", "busy", "/changes", phone, false},
	{"services-light", "all", "/services", desktop, false},
	{"service-light", "all", "/services/pricing", desktop, false},
	{"sources-light", "all", "/sources", desktop, false},
	{"quarantine-light", "all", "/sources/quarantine", desktop, false},
	{"deliveries-dark", "all", "/deliveries", desktopDark, false},
	{"accuracy-light", "labelled", "/accuracy", desktop, false},
	{"config-light", "all", "/config", desktop, false},
}

// TestScreenshots writes the pictures of the docs where TRIAGED_SCREENSHOTS names a folder. They are looked at by people.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("TRIAGED_SCREENSHOTS")
	if dir == "" {
		t.Skip("set TRIAGED_SCREENSHOTS to the folder to write the pictures to, as docs/screenshots")
	}
	b := newBrowser(t)
	moments := map[string]func() *store{
		"all":      func() *store { return rich(t) },
		"busy":     func() *store { return busy(t, rich(t), 90) },
		"labelled": func() *store { return labelled(t, 44) },
	}
	for _, shot := range shots {
		t.Run(shot.name, func(t *testing.T) {
			var s *store
			if m, ok := moments[shot.moment]; ok {
				s = m()
			} else {
				s = newStore(t, shot.moment)
				addChanges(s)
			}
			srv := site(t, s)
			p := b.open(t, srv.URL+expand(shot.path, s.incidents[0]), shot.view)
			take := chromedp.CaptureScreenshot()
			if shot.whole {
				take = chromedp.FullScreenshot(100)
			}
			png := run(t, p, take)
			if err := os.WriteFile(filepath.Join(dir, shot.name+".png"), png, 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func expand(path string, inc triage.Incident) string {
	if rest, ok := cutSuffix(path, "$id"); ok {
		return rest + inc.ID
	}
	return path
}
