package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/triaged-dev/triaged/triage"
)

// axeFinding is one rule of axe-core that a page breaks.
type axeFinding struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML   string `json:"html"`
		Target []any  `json:"target"`
		Why    string `json:"failureSummary"`
	} `json:"nodes"`
}

// axe runs axe-core on an open page: WCAG 2.2 A and AA, and what it calls best practice.
func axe(t *testing.T, p *tab) []axeFinding {
	t.Helper()
	script, err := os.ReadFile("testdata/axe/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	run(t, p, chromedp.Evaluate[chromedp.Void](string(script)))
	raw := run(t, p, chromedp.Evaluate[string](
		`axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => JSON.stringify(r.violations))`,
		chromedp.EvalAwaitPromise))
	var found []axeFinding
	if err := json.Unmarshal([]byte(raw), &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestAccessible: axe-core finds nothing serious on any page, light and dark, wide and narrow, nor do pages ask for
// anything outside their origin, complain, or scroll sideways.
func TestAccessible(t *testing.T) {
	b := newBrowser(t)
	s := rich(t)
	judged := labelled(t, 35)
	s.incidents = append(s.incidents, judged.incidents[1:]...)
	for id, reports := range judged.reports {
		if s.reports[id] == nil {
			s.reports[id] = reports
		}
	}
	s.feedback = judged.feedback
	srv := site(t, s)
	// The same markup in other colours or at another width is looked at again only where it has them all.
	contrasting := map[string]bool{"/incidents/" + s.incidents[0].ID: true, "/incidents/" + s.incidents[4].ID: true, "/changes": true, "/sources": true, "/deliveries": true, "/accuracy": true}
	for name, v := range map[string]view{"light": desktop, "dark": desktopDark, "phone": phone, "zoomed": zoomed} {
		for _, path := range append(paths(s), "/incidents/none", "/changes?added=x&span=24h") {
			t.Run(name+path, func(t *testing.T) {
				t.Parallel()
				p := b.open(t, srv.URL+path, v)
				eval[bool](t, p, `document.querySelectorAll("details").forEach(d => d.open = true), true`)
				if name == "light" || contrasting[path] && name != "zoomed" {
					for _, f := range axe(t, p) {
						for _, n := range f.Nodes[:min(len(f.Nodes), 3)] {
							t.Errorf("%s (%s): %s\n  %s\n  %s", f.ID, f.Impact, f.Help, n.HTML, n.Why)
						}
					}
				}
				if wide := eval[int](t, p, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
					t.Errorf("the page is %d px wider than the screen", wide)
				}
				if path != "/incidents/none" {
					p.quiet(t, srv.URL)
				}
			})
		}
	}
}

// TestLongNames: a name of 76 characters without a space wraps on a phone and at 200 %, and in the widest of the usual fonts no two
// labels of the axis touch.
func TestLongNames(t *testing.T) {
	b := newBrowser(t)
	s := newStore(t, "flag")
	inc := &s.incidents[0]
	long := strings.Repeat("KubernetesDeploymentReplicasMismatch", 3)[:76]
	inc.Title, inc.Service = long, strings.ToLower(long)
	for i := range inc.Alerts {
		inc.Alerts[i].Labels["alertname"], inc.Alerts[i].Labels["service"] = long, inc.Service
	}
	for i := range s.reports[inc.ID] {
		r := &s.reports[inc.ID][i]
		r.Symptom.Service, r.Recommendation.Owner = inc.Service, long
		for j := range r.Suspects {
			if c := r.Suspects[j].Change; c != nil {
				c.Title = long
			}
		}
	}
	srv := site(t, s)
	for name, v := range map[string]view{"phone": phone, "zoomed": zoomed, "desktop": desktop} {
		for _, path := range []string{"/incidents/" + inc.ID, "/incidents", "/changes", "/sources"} {
			t.Run(name+path, func(t *testing.T) {
				t.Parallel()
				p := b.open(t, srv.URL+path, v)
				eval[bool](t, p, `document.documentElement.style.setProperty("--sans", "DejaVu Sans"), document.querySelectorAll("details").forEach(d => d.open = true), true`)
				if wide := eval[int](t, p, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
					t.Errorf("the page is %d px wider than the screen", wide)
				}
				touching := eval[string](t, p, `(() => {
					const boxes = [...document.querySelectorAll("svg.axis text")].map(e => [e.textContent, e.getBoundingClientRect()]).filter(([, r]) => r.width > 0);
					const out = [];
					boxes.forEach(([a, r], i) => boxes.slice(i + 1).forEach(([b, q]) => {
						if (r.left + 1 < q.right && q.left + 1 < r.right && r.top + 3 < q.bottom && q.top + 3 < r.bottom) out.push(a + " / " + b);
					}));
					return out.join("\n");
				})()`)
				if touching != "" {
					t.Errorf("labels touch:\n%s", touching)
				}
			})
		}
	}
}

// TestMainPath: from the link in a message, over why, to the command, the confirmation and the recovery.
func TestMainPath(t *testing.T) {
	b := newBrowser(t)
	s := newStore(t, "flag")
	id := s.incidents[0].ID
	reports := s.reports[id]
	reports[2].Recommendation.Steps = append(reports[2].Recommendation.Steps, triage.Instruction{
		Kind: triage.InstructRun, Command: "ldcli flags toggle-off --flag new-pricing --environment prod-eu1",
	})
	srv := site(t, s)
	p := b.open(t, srv.URL+"/incidents/"+id, desktop)
	if got := p.text(t, "h1"); got != "checkout errors 0.2 % → 14.5 %" {
		t.Errorf("headline: got %q", got)
	}
	card := p.text(t, ".card")
	for _, want := range []string{"LIKELY", "98 %", "flag new-pricing 0 % → 100 %", "45 s before the errors", "Set flag new-pricing back to 0 %", "Undoes only this change", "Check", "team-pricing"} {
		if !strings.Contains(card, want) {
			t.Errorf("card: want %q in %q", want, card)
		}
	}
	if why := p.text(t, "#suspect-1"); !strings.Contains(why, "callers of pricing that shifted") || !strings.Contains(why, "Against") {
		t.Errorf("why: got %q", why)
	}

	// Focus on a suspect lights its marks, and only those.
	p.do(t, chromedp.Focus(chromedp.CSS("#suspect-1")))
	if lit := eval[int](t, p, `document.querySelectorAll("svg.wide.dimmed .lit").length`); lit < 2 {
		t.Errorf("focus on suspect 1: want its marks lit, got %d", lit)
	}

	// The command is set apart and copied whole.
	if got := p.text(t, ".command"); got != "ldcli flags toggle-off --flag new-pricing --environment prod-eu1" {
		t.Errorf("command: got %q", got)
	}
	eval[bool](t, p, `navigator.clipboard.writeText = (s) => { window.copied = s; return Promise.resolve(); }, true`)
	p.do(t, chromedp.Click(chromedp.CSS(".command + button.copy")), chromedp.WaitVisible(chromedp.CSS(".command + button.copy")))
	if got := eval[string](t, p, `window.copied`); got != "ldcli flags toggle-off --flag new-pricing --environment prod-eu1" {
		t.Errorf("copied: got %q", got)
	}

	p.leave(t, chromedp.Click(chromedp.CSS(`button[value="confirm"]`)))
	if got := s.feedback[id]; len(got) != 1 || got[0].Verdict != triage.FeedbackConfirm || got[0].ChangeID != "flags:new-pricing/181" {
		t.Errorf("feedback: got %+v", got)
	}
	if got := p.text(t, "#feedback"); !strings.Contains(got, "It was flag new-pricing") {
		t.Errorf("feedback shown: got %q", got)
	}
	p.quiet(t, srv.URL)

	after := site(t, newStore(t, "recovered"))
	p = b.open(t, after.URL+"/incidents/"+id, desktop)
	if got := p.text(t, ".loop"); !strings.Contains(got, "Undo seen") || !strings.Contains(got, "Recovered 4 min after the undo") {
		t.Errorf("loop: got %q", got)
	}
	if got := p.text(t, ".crumbs"); !strings.Contains(got, "recovered") {
		t.Errorf("state: got %q", got)
	}
}

// TestWithoutScript: nothing is missing, and forms work.
func TestWithoutScript(t *testing.T) {
	b := newBrowser(t)
	s := rich(t)
	srv := site(t, s)
	p := b.open(t, srv.URL+"/incidents/"+s.incidents[0].ID, view{width: 1360, height: 900, noScript: true})
	for selector, want := range map[string]string{
		".card": "Set flag new-pricing back to 0 %", "svg.wide": "began", "#suspect-1": "began at", ".facts": "00:05:04", ".advice": "LIKELY",
	} {
		if got := p.text(t, selector); !strings.Contains(got, want) {
			t.Errorf("%s: want %q in %q", selector, want, got)
		}
	}
	p.leave(t, chromedp.WaitNotVisible(chromedp.CSS(".zone")), chromedp.Click(chromedp.CSS(`button[value="none"]`)))
	if got := s.feedback[s.incidents[0].ID]; len(got) != 1 || got[0].Verdict != triage.FeedbackNone {
		t.Errorf("feedback without script: got %+v", got)
	}
	p = b.open(t, srv.URL+"/changes", view{width: 1360, height: 900, noScript: true})
	p.leave(
		t, chromedp.Click(chromedp.CSS("#add > summary")), chromedp.SendKeys(chromedp.CSS("#add [name=title]"), "restarted cart-db by hand"),
		chromedp.Click(chromedp.CSS("#add button")),
	)
	if got := p.text(t, "main"); !strings.Contains(got, "restarted cart-db by hand") {
		t.Error("the change added by hand is not in the list")
	}
	p.leave(t, chromedp.SendKeys(chromedp.CSS(".toolbar [name=q]"), "restarted"), chromedp.Click(chromedp.CSS(".toolbar button")))
	if rows := p.text(t, "table.rows tbody"); strings.Contains(rows, "v812") || !strings.Contains(rows, "restarted") {
		t.Errorf("search: got %q", rows)
	}
}

// TestLocalTime: one press shows every time in local time, the axis and the times inside sentences too, and it is kept.
func TestLocalTime(t *testing.T) {
	b := newBrowser(t)
	s := newStore(t, "flag")
	srv := site(t, s)
	p := b.open(t, srv.URL+"/incidents/"+s.incidents[0].ID, desktop)
	p.do(t, chromedp.Click(chromedp.CSS(".zone")))
	for selector, want := range map[string]string{".facts": "01:05:04", "#suspect-1": "began at 01:04:19", "svg.wide": "01:05", ".zone": "Local", ".zone-name": "Europe/Vienna", ".card .zone-word": "local time"} {
		if got := p.text(t, selector); !strings.Contains(got, want) {
			t.Errorf("%s: want %q in %q", selector, want, got)
		}
	}
	// Who hears the button learns what it shows and what pressing does.
	if got := eval[string](t, p, `document.querySelector(".zone").getAttribute("aria-label")`); got != "Local: show times in UTC" {
		t.Errorf("the button's name: got %q", got)
	}
	p.do(t, chromedp.Reload())
	if got := p.text(t, ".facts"); !strings.Contains(got, "01:05:04") {
		t.Errorf("after a reload: want local time kept, got %q", got)
	}
}

// TestZoom: uPlot is loaded when asked for, from here, and zooms all signals together.
func TestZoom(t *testing.T) {
	b := newBrowser(t)
	s := newStore(t, "pair")
	srv := site(t, s)
	p := b.open(t, srv.URL+"/incidents/"+s.incidents[0].ID, desktop)
	if eval[bool](t, p, `"uPlot" in window`) {
		t.Error("uPlot is loaded before it is asked for")
	}
	p.do(t, chromedp.Click(chromedp.CSS("button.zoom")), chromedp.WaitVisible(chromedp.CSS(".zoomed .uplot:nth-of-type(2) canvas")))
	if n := eval[int](t, p, `document.querySelectorAll(".zoomed .uplot").length`); n != 2 {
		t.Errorf("want the symptom and the suspects' signal, got %d charts", n)
	}
	if w := eval[int](t, p, `document.documentElement.scrollWidth - innerWidth`); w > 0 {
		t.Errorf("the charts make the page %d px too wide", w)
	}
	p.quiet(t, srv.URL)
}

// TestLive: a new report is announced by the event stream, without touching what is being read.
func TestLive(t *testing.T) {
	b := newBrowser(t)
	s := newStore(t, "flag")
	id := s.incidents[0].ID
	pages := newPages(t, s).Handler()
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.HandleFunc("GET /api/v1/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "event: report\ndata: {\"incident_id\":%q,\"number\":4}\n\n", id)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	t.Cleanup(srv.CloseClientConnections)
	p := b.open(t, srv.URL+"/incidents/"+id, desktop)
	p.do(t, chromedp.WaitVisible(chromedp.CSS(".live")))
	if got := p.text(t, ".live"); !strings.Contains(got, "Report 4 is there") {
		t.Errorf("got %q", got)
	}
	p.quiet(t, srv.URL)
}

// TestBrush: dragging over the density of changes shows that stretch.
func TestBrush(t *testing.T) {
	b := newBrowser(t)
	s := busy(t, rich(t), 60)
	srv := site(t, s)
	p := b.open(t, srv.URL+"/changes", desktop)
	p.leave(t, chromedp.Evaluate[chromedp.Void](`(() => {
		const svg = document.querySelector(".density-axis"), box = svg.getBoundingClientRect();
		svg.scrollIntoView();
		const fire = (type, part) => svg.dispatchEvent(new PointerEvent(type, {bubbles: true, button: 0, pointerId: 1, clientX: svg.getBoundingClientRect().left + part * box.width, clientY: svg.getBoundingClientRect().top + 10}));
		svg.setPointerCapture = () => {};
		fire("pointerdown", 0.25); fire("pointermove", 0.4); fire("pointerup", 0.5);
	})()`))
	if got := p.text(t, "#line-h"); !strings.Contains(got, "20 Nov") {
		t.Errorf("after brushing: got %q", got)
	}
}

// TestPrint: on paper there is no navigation and no form, and what was folded is there.
func TestPrint(t *testing.T) {
	b := newBrowser(t)
	s := newStore(t, "flag")
	srv := site(t, s)
	p := b.open(t, srv.URL+"/incidents/"+s.incidents[0].ID, view{width: 900, height: 1200, print: true})
	p.do(t, chromedp.WaitNotVisible(chromedp.CSS(".top nav")), chromedp.WaitNotVisible(chromedp.CSS("form")), chromedp.WaitVisible(chromedp.CSS(".card")))
}
