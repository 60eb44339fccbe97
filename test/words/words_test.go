package words

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/correlate"
	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// cases are the files of every set at hand: the repository's own, and those named by TRIAGED_SHARED.
func cases(t *testing.T) []string {
	t.Helper()
	roots := []string{filepath.Join("..", "..", "testdata", "cases")}
	if shared := os.Getenv("TRIAGED_SHARED"); shared != "" {
		roots = append(roots, filepath.Join(shared, "cases"), filepath.Join(shared, "systems"))
	} else {
		t.Log("set TRIAGED_SHARED to the folder with the recorded cases to have those worded too")
	}
	var out []string
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && (strings.HasSuffix(path, ".json") || strings.HasSuffix(path, ".json.gz")) {
				out = append(out, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func readCase(path string) (c triage.Case, err error) {
	f, err := os.Open(path)
	if err != nil {
		return c, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return c, err
		}
		defer z.Close()
		r = z
	}
	return c, json.NewDecoder(r).Decode(&c)
}

// incidentOf is the incident that a case's alerts open.
func incidentOf(c triage.Case, r triage.Report) triage.Incident {
	inc := triage.Incident{ID: r.IncidentID, State: triage.IncidentOpen, Pages: true, Alerts: c.Alerts, OpenedAt: c.ReportTime(), UpdatedAt: c.ReportTime(), Reports: 1}
	inc.Service = r.Symptom.Service
	if len(c.Alerts) > 0 {
		inc.Title = c.Alerts[0].Name()
		inc.Scope, _ = triage.ScopeOf(c.Alerts[0].Labels, triage.SubjectOf(c.Alerts[0].Labels, nil), nil)
		inc.Service = r.Symptom.Service
	}
	return inc
}

// Every case of every set is ranked and said in every room: cards, pages, API, chat, logs, graphs.
func TestWords(t *testing.T) {
	files := cases(t)
	if testing.Short() { // every tenth has most of what the others have
		var some []string
		for i := 0; i < len(files); i += 10 {
			some = append(some, files[i])
		}
		files = some
	}
	todo := make(chan string)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		h := newHouse(t)
		wg.Go(func() {
			for path := range todo {
				c, err := readCase(path)
				if err != nil {
					t.Errorf("%s: %v", path, err)
					continue
				}
				name := filepath.Base(path)
				r := correlate.Rank(correlate.InputOf(c))
				r.IncidentID, r.Number, r.Kind = "i", 1, triage.ReportRanked
				s := h.say(t, incidentOf(c, r), r, c)
				for _, p := range slices.Concat(named(r, s), oncePerCard(s), forms(s), quantities(r, s)) {
					t.Errorf("%s: %s", name, p)
				}
			}
		})
	}
	for _, f := range files {
		todo <- f
	}
	close(todo)
	wg.Wait()
}

// named are the rooms that call a change by another name than the card does.
func named(r triage.Report, s said) []string {
	var out []string
	want := func(room, name string) {
		if name = plain(name); !strings.Contains(s.rooms[room], name) {
			out = append(out, room+" does not name "+strconv.Quote(name))
		}
	}
	for _, n := range r.Standing().Named {
		for _, room := range []string{"card", "page", "postmortem", "timeline", "digest", "slack", "teams", "webhook", "grafana", "log"} {
			want(room, say.Suspect(n))
		}
	}
	for _, sus := range r.Suspects[:min(len(r.Suspects), 3)] {
		want("page", say.Suspect(sus))
	}
	return out
}

// oncePerCard are lines of the card that say what another line of it says.
func oncePerCard(s said) []string {
	var lines []string
	add := func(text string) {
		if text = strings.ToLower(strings.TrimSuffix(text, ".")); text != "" {
			lines = append(lines, text)
		}
	}
	add(s.card.Headline)
	for _, l := range s.card.Lines {
		add(l.Text)
		for _, sub := range l.Sub {
			add(sub)
		}
	}
	var out []string
	for i, a := range lines {
		for j, b := range lines {
			if i != j && len(a) >= 20 && strings.Contains(b, a) && (len(a) < len(b) || i < j) {
				out = append(out, strconv.Quote(a)+" is said again by "+strconv.Quote(b))
			}
		}
	}
	return out
}

// What no room may print: spans as Go prints them, moments as machines write them where people read, signs that units have no space.
var badForms = map[string]*regexp.Regexp{
	"a span as Go prints it": regexp.MustCompile(`\b\d+h\d+m|\b\d+m\d+(\.\d+)?s\b|\b\d+\.\d{3,}s\b`),
	"a moment for machines":  regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d`),
	"a per cent sign alone":  regexp.MustCompile(`\d%`),
	"a number not rounded":   regexp.MustCompile(`(?:^|[ (])\d+\.0*[1-9]\d{2,}(?:[ ,;)]|$)`),
	"a value that is none":   regexp.MustCompile(`\bNaN\b|\bInf\b|%!`),
	"seconds past ten min":   regexp.MustCompile(`\b([6-9]\d\d|\d{4,}) s\b`),
	"minutes past two hours": regexp.MustCompile(`\b(1[2-9]\d|[2-9]\d\d|\d{4,}) min\b`),
	"one of many":            regexp.MustCompile(`(?:^|[^.\d−+,\sf]\s)1 (changes|minutes|services|deploys|samples|sources|alerts|others|instances|requests|calls|callers|times)\b`),
}

func forms(s said) []string {
	var out []string
	for _, room := range []string{"card", "digest", "slack", "teams", "page", "postmortem"} {
		for what, form := range badForms {
			if foreign := room == "page" || room == "postmortem"; foreign && (what == "a moment for machines" || what == "a per cent sign alone") {
				continue // these repeat what alerts say of themselves, and link by time
			}
			if at := form.FindStringIndex(s.rooms[room]); at != nil {
				text := s.rooms[room]
				out = append(out, room+" has "+what+": "+text[max(0, at[0]-60):min(len(text), at[1]+40)])
			}
		}
	}
	return out
}

var (
	shiftForm = regexp.MustCompile(`\b(errors|success|availability|latency|traffic) (?:of \S+ )?(\d[\d.]*) (%|ms|µs|s|/s|k|M)? ?→ (\d[\d.]*) (%|ms|µs|s|/s|k|M)?`)
	percent   = regexp.MustCompile(`(\d[\d.]*) %`)
)

// quantities are shares beyond all, and symptoms that a sentence has going the good way.
func quantities(r triage.Report, s said) []string {
	var out []string
	for _, m := range percent.FindAllStringSubmatch(s.rooms["card"], -1) {
		if v, err := strconv.ParseFloat(m[1], 64); err == nil && v > 100 {
			out = append(out, "more than all: "+m[0])
		}
	}
	for _, m := range shiftForm.FindAllStringSubmatch(r.Symptom.Sentence, -1) {
		before, _ := strconv.ParseFloat(m[2], 64)
		now, _ := strconv.ParseFloat(m[4], 64)
		if m[3] == m[5] && (m[1] == "errors" && now < before || (m[1] == "success" || m[1] == "availability") && now > before) {
			out = append(out, "the symptom goes the good way: "+r.Symptom.Sentence)
		}
	}
	return out
}

// Each check finds what it looks for.
func TestChecksFind(t *testing.T) {
	clean := func() said {
		text := "checkout errors 0.2 % → 14 % since 03:02:10 UTC · LIKELY: deploy pricing v811 → v812, 40 s before the errors"
		s := said{card: card.Card{Headline: "checkout errors", Lines: []card.Line{{Word: "LIKELY", Text: "deploy pricing v811 → v812 at 03:01:30"}}}, rooms: map[string]string{}}
		for _, room := range []string{"card", "page", "postmortem", "timeline", "digest", "slack", "teams", "webhook", "grafana", "log"} {
			s.rooms[room] = text
		}
		return s
	}
	r := triage.Report{Suspects: []triage.Suspect{{Rank: 1, Probability: .9, Change: &triage.Change{
		ID: "d", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "pricing"}, PreviousVersion: "v811", Version: "v812",
	}, For: []triage.Evidence{{Factor: "own", Direct: true, Contribution: 3000, Sentence: "its errors rose"}}}}}
	if found := slices.Concat(named(r, clean()), oncePerCard(clean()), forms(clean()), quantities(r, clean())); len(found) > 0 {
		t.Fatalf("nothing is wrong with it, got %q", found)
	}
	for name, find := range map[string]func(s said) []string{
		"another name": func(s said) []string { s.rooms["slack"] = "deploy of pricing: v812"; return named(r, s) },
		"said twice": func(s said) []string {
			s.card.Lines = append(s.card.Lines, card.Line{Word: "NOTE", Text: "as said: deploy pricing v811 → v812 at 03:01:30"})
			return oncePerCard(s)
		},
		"a span of Go's":  func(s said) []string { s.rooms["card"] = "1m30s before"; return forms(s) },
		"many seconds":    func(s said) []string { s.rooms["card"] = "900 s before"; return forms(s) },
		"one of many":     func(s said) []string { s.rooms["card"] = "did: 1 changes"; return forms(s) },
		"too many digits": func(s said) []string { s.rooms["card"] = "errors 0.14159 now"; return forms(s) },
		"more than all":   func(s said) []string { s.rooms["card"] = "errors 4200 %"; return quantities(r, s) },
		"the good direction": func(s said) []string {
			return quantities(triage.Report{Symptom: triage.SymptomSummary{Sentence: "errors 100 % → 93 %"}}, s)
		},
	} {
		if len(find(clean())) == 0 {
			t.Errorf("%s is not found", name)
		}
	}
}
