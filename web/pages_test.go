package web_test

import (
	"errors"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/web"
)

// paths are all pages, over the store that rich makes.
func paths(s *store) []string {
	return []string{
		"/", "/incidents", "/incidents?state=past", "/incidents/" + s.incidents[0].ID, "/incidents/" + s.incidents[0].ID + "?report=1",
		"/incidents/" + s.incidents[1].ID, "/incidents/" + s.incidents[2].ID, "/incidents/" + s.incidents[3].ID, "/incidents/" + s.incidents[4].ID,
		"/changes", "/changes?span=24h&kind=deploy", "/changes/" + url.PathEscape(string(s.changes[0].ID)), "/services", "/services/pricing",
		"/sources", "/sources/quarantine", "/deliveries", "/accuracy", "/config",
	}
}

func TestEveryPage(t *testing.T) {
	s := rich(t)
	srv := site(t, s)
	for _, path := range paths(s) {
		status, body := get(t, srv.URL+path)
		if status != http.StatusOK {
			t.Errorf("%s: want 200, got %d", path, status)
		}
		if len(body) > 150<<10 {
			t.Errorf("%s: want at most 150 kB, got %d", path, len(body))
		}
		for _, forbidden := range []string{"<style", " style=", "javascript:", " onclick", "ZgotmplZ", "<no value>", "%!"} {
			if strings.Contains(body, forbidden) {
				t.Errorf("%s: contains %q", path, forbidden)
			}
		}
		if strings.Count(body, "<h1>") != 1 {
			t.Errorf("%s: want one h1, got %d", path, strings.Count(body, "<h1>"))
		}
	}
}

// TestOtherAlerts: what else fires is on the page of the incident, in the order of the report.
func TestOtherAlerts(t *testing.T) {
	s := rich(t)
	_, body := get(t, site(t, s).URL+"/incidents/"+s.incidents[0].ID)
	first, second := strings.Index(body, "CartLatencyHigh"), strings.Index(body, "QueueFillsUp")
	if first < 0 || second < first || !strings.Contains(body, "pending, ticket") {
		t.Errorf("want both alerts in their order, got them at %d and %d", first, second)
	}
}

// Where a report went is said beside it, and in shadow mode where it would have gone.
func TestWherePosted(t *testing.T) {
	s := newStore(t, "flag")
	inc := s.incidents[0]
	n := len(s.reports[inc.ID])
	s.deliveries = []triage.Delivery{
		{ID: "a", IncidentID: inc.ID, ReportNumber: n, Receiver: "oncall/slack", State: triage.DeliveryShadow},
		{ID: "b", IncidentID: inc.ID, ReportNumber: n, Receiver: "log/log", State: triage.DeliveryDelivered},
	}
	_, body := get(t, site(t, s).URL+"/incidents/"+inc.ID)
	for _, want := range []string{"<h3>For customers</h3>", "Next update by", "Shadow mode: would have been posted to oncall/slack", "Posted to log/log"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestEmpty: a daemon that has just been started shows every page, and each says what would fill it.
func TestEmpty(t *testing.T) {
	s := &store{now: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)}
	srv := site(t, s)
	for path, want := range map[string]string{
		"/": "One is opened when", "/changes": "Nothing changed here", "/services": "No service is configured", "/sources": "No source is configured",
		"/sources/quarantine": "Nothing is in quarantine", "/deliveries": "Nothing was to be delivered", "/accuracy": "No label yet",
	} {
		if status, body := get(t, srv.URL+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: want 200 with %q, got %d", path, want, status)
		}
	}
}

func TestErrorsAreHonest(t *testing.T) {
	s := rich(t)
	srv := site(t, s)
	for path, want := range map[string]int{
		"/incidents/unknown": 404, "/nowhere": 404, "/changes/unknown": 404, "/services/unknown": 404,
		"/incidents/" + s.incidents[0].ID + "?report=99": 404, "/incidents/" + s.incidents[0].ID + "?report=x": 404,
		"/changes?from=yesterday": 400, "/changes?kind=party": 400, "/changes?span=-3h": 400, "/incidents/unknown/axis.json": 404,
	} {
		if got, body := get(t, srv.URL+path); got != want || strings.Contains(body, "errNotFound") {
			t.Errorf("%s: want %d, got %d", path, want, got)
		}
	}
	s.broken = errors.New("disk gone: /var/lib/secret")
	for _, path := range []string{"/", "/changes", "/deliveries", "/accuracy", "/incidents/" + s.incidents[0].ID} {
		if got, body := get(t, srv.URL+path); got != 500 || strings.Contains(body, "disk gone") {
			t.Errorf("%s over a broken store: want 500 without its reason, got %d", path, got)
		}
	}
}

func TestHeaders(t *testing.T) {
	s := rich(t)
	srv := site(t, s)
	resp, err := http.Get(srv.URL + "/incidents/" + s.incidents[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	csp := resp.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("content security policy: want %q in %q", want, csp)
		}
	}
	if strings.Contains(csp, "unsafe") {
		t.Errorf("content security policy allows what it should not: %q", csp)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("cache control: want no-store, got %q", got)
	}
}

// TestAssets: every address in a page resolves, compressed, and may be kept for ever because it names its content.
func TestAssets(t *testing.T) {
	s := rich(t)
	srv := site(t, s)
	_, body := get(t, srv.URL+"/incidents/"+s.incidents[0].ID)
	found, weight := 0, len(body)
	for rest := body; ; {
		i := strings.Index(rest, `"/assets/`)
		if i < 0 {
			break
		}
		rest = rest[i+1:]
		path := rest[:strings.IndexByte(rest, '"')]
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "gzip")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		n := len(readAll(t, resp))
		resp.Body.Close()
		if resp.StatusCode != 200 || resp.Header.Get("Content-Encoding") != "gzip" || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: got %d, %v", path, resp.StatusCode, resp.Header)
		}
		found, weight = found+1, weight+n
	}
	if found < 4 {
		t.Errorf("want the icon, the style sheet, the script and uPlot, got %d assets", found)
	}
	if weight > 150<<10 {
		t.Errorf("the incident page with all it loads: want at most 150 kB, got %d", weight)
	}
	if got, _ := get(t, srv.URL+"/assets/app.css"); got != 404 {
		t.Errorf("an asset without its hash: want 404, got %d", got)
	}
}

func post(t *testing.T, srv, path, origin string, form url.Values) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if origin != "" {
		req.Header.Set("Origin", origin)
		req.Header.Set("Sec-Fetch-Site", "cross-site")
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestFeedbackForm(t *testing.T) {
	s := rich(t)
	srv := site(t, s)
	inc := s.incidents[0]
	path := "/incidents/" + inc.ID + "/feedback"
	for _, tc := range []struct {
		name string
		form url.Values
		want int
	}{
		{"confirm", url.Values{"verdict": {"confirm"}, "change_id": {"flags:new-pricing/181"}, "comment": {"it was"}}, 303},
		{"none", url.Values{"verdict": {"none"}, "change_id": {"flags:new-pricing/181"}}, 303},
		{"confirm nothing", url.Values{"verdict": {"confirm"}}, 422},
		{"unknown verdict", url.Values{"verdict": {"maybe"}, "change_id": {"flags:new-pricing/181"}}, 422},
		{"unknown change", url.Values{"verdict": {"reject"}, "change_id": {"nobody:1"}}, 404},
		{"long comment", url.Values{"verdict": {"none"}, "comment": {strings.Repeat("x", 2000)}}, 422},
	} {
		if resp, body := post(t, srv.URL, path, "", tc.form); resp.StatusCode != tc.want {
			t.Errorf("%s: want %d, got %d: %s", tc.name, tc.want, resp.StatusCode, body)
		}
	}
	if resp, _ := post(t, srv.URL, path, "https://evil.example", url.Values{"verdict": {"none"}}); resp.StatusCode != 403 {
		t.Errorf("from another site: want 403, got %d", resp.StatusCode)
	}
	got := s.feedback[inc.ID]
	if len(got) != 2 || got[0].ChangeID != "flags:new-pricing/181" || got[0].Comment != "it was" || got[1].ChangeID != "" {
		t.Errorf("want a confirmation and a none without a change, got %+v", got)
	}
}

func TestAddByHand(t *testing.T) {
	s := rich(t)
	srv := site(t, s)
	before := len(s.changes)
	resp, body := post(t, srv.URL, "/changes", "", url.Values{"kind": {"command"}, "title": {"restarted cart-db"}, "service": {"cart"}, "environment": {"prod"}, "started_at": {"2026-11-21T00:01"}})
	if resp.StatusCode != 303 || len(s.changes) != before+1 {
		t.Fatalf("want a redirect and one change more, got %d: %s", resp.StatusCode, body)
	}
	to := resp.Header.Get("Location")
	if status, page := get(t, srv.URL+to); status != 200 || !strings.Contains(page, "It is recorded as") || !strings.Contains(page, "restarted cart-db") {
		t.Errorf("%s: want the change in the list, got %d", to, status)
	}
	for _, c := range s.changes {
		if c.Title == "restarted cart-db" && (c.Environment != "production" || c.StartedAt.Format(time.RFC3339) != "2026-11-21T00:01:00Z" || c.Source != "by-hand") {
			t.Errorf("got %+v", c)
		}
	}
	resp, body = post(t, srv.URL, "/changes", "", url.Values{"kind": {"party"}, "title": {""}, "started_at": {"soon"}, "url": {"javascript:alert(1)"}})
	for _, want := range []string{"What happened?", "use one of", "When:", "Link:"} {
		if !strings.Contains(body, want) {
			t.Errorf("want the problem %q said", want)
		}
	}
	if resp.StatusCode != 200 || strings.Contains(body, `"javascript:`) && !strings.Contains(body, `value="javascript:`) {
		t.Errorf("a form with mistakes: want the page again, got %d", resp.StatusCode)
	}
	for _, c := range s.changes { // a token that may only write learns nothing from a mistake
		if c.Title != "" && strings.Contains(body, c.Title) {
			t.Errorf("a form with mistakes: %q of the list is on the page", c.Title)
		}
	}
	s.emitErr = errors.New("disk full")
	if resp, _ := post(t, srv.URL, "/changes", "", url.Values{"kind": {"other"}, "title": {"x"}}); resp.StatusCode != 503 {
		t.Errorf("not stored: want 503, got %d", resp.StatusCode)
	}
}

func TestResend(t *testing.T) {
	s := rich(t)
	srv := site(t, s)
	if resp, _ := post(t, srv.URL, "/deliveries/d-dead/resend", "", nil); resp.StatusCode != 303 || len(s.resent) != 1 || s.resent[0] != "d-dead" {
		t.Errorf("want a redirect and d-dead sent again, got %d, %v", resp.StatusCode, s.resent)
	}
	if resp, _ := post(t, srv.URL, "/deliveries/unknown/resend", "", nil); resp.StatusCode != 404 {
		t.Errorf("unknown: want 404, got %d", resp.StatusCode)
	}
}

func TestRetry(t *testing.T) {
	s := rich(t)
	srv := site(t, s)
	id := s.quarantined[0].ID
	if _, body := get(t, srv.URL+"/sources/quarantine"); !strings.Contains(body, `action="/sources/quarantine/`+id+`/retry"`) {
		t.Errorf("no button for %s on the page", id)
	}
	address := "/sources/quarantine/" + url.PathEscape(id) + "/retry"
	s.emitErr = &triage.FieldError{Field: "record", Value: id, Remedy: "still cannot be read: expression <b>"}
	if resp, body := post(t, srv.URL, address, "", nil); resp.StatusCode != 409 || !strings.Contains(body, "still cannot be read: expression &lt;b&gt;") {
		t.Errorf("refused: want 409 with the reason, got %d\n%s", resp.StatusCode, body)
	}
	s.emitErr = nil
	resp, _ := post(t, srv.URL, address, "", nil)
	if resp.StatusCode != 303 || resp.Header.Get("Location") != "/sources/quarantine?taken=1" {
		t.Fatalf("want a redirect, got %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	if _, body := get(t, srv.URL+"/sources/quarantine?taken=1"); !strings.Contains(body, "brought 1 event.") || strings.Contains(body, id+"/retry") {
		t.Errorf("want it said and gone")
	}
	if resp, _ := post(t, srv.URL, "/sources/quarantine/unknown/retry", "", nil); resp.StatusCode != 404 {
		t.Errorf("unknown: want 404, got %d", resp.StatusCode)
	}
}

// TestProtect: every route asks for its scope, and those that change something ask for more than reading.
func TestProtect(t *testing.T) {
	s := rich(t)
	asked := ""
	srv := site(t, s, func(o *web.Options) {
		o.Protect = func(scope web.Scope, _ http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked = string(scope)
				w.WriteHeader(http.StatusUnauthorized)
			})
		}
	})
	for _, path := range paths(s) {
		want := "read"
		if path == "/config" || path == "/sources/quarantine" {
			want = "admin"
		}
		if status, _ := get(t, srv.URL+path); status != 401 || asked != want {
			t.Errorf("GET %s: want scope %s asked, got %q (%d)", path, want, asked, status)
		}
	}
	for path, want := range map[string]string{"/changes": "write:changes", "/incidents/x/feedback": "feedback", "/deliveries/x/resend": "admin", "/sources/quarantine/x/retry": "admin"} {
		if post(t, srv.URL, path, "", nil); asked != want {
			t.Errorf("POST %s: want scope %s asked, got %q", path, want, asked)
		}
	}
}

func changeAddress(c triage.Change) string { return "/changes/" + url.PathEscape(string(c.ID)) + `"` }

// TestManyChanges: ten thousand changes make a page that is still small and quick.
func TestManyChanges(t *testing.T) {
	s := busy(t, rich(t), 10500)
	srv := site(t, s)
	status, body := get(t, srv.URL+"/changes?span=24h")
	if status != 200 || len(body) > 150<<10 {
		t.Errorf("want 200 and at most 150 kB, got %d and %d bytes", status, len(body))
	}
	if !strings.Contains(body, "10 5") && !strings.Contains(body, "105") {
		t.Error("want it said how many there are in all")
	}
	latest := s.changes[len(s.changes)-1]
	for _, c := range s.changes {
		if !c.OccurredAt().After(s.now) {
			latest = c
		}
	}
	if !strings.Contains(body, changeAddress(latest)) {
		t.Errorf("the latest change, %s, is not on the first page", latest.ID)
	}
	older := regexp.MustCompile(`<a href="(/changes\?[^"]*after=[^"]*)">Older</a>`).FindStringSubmatch(body)
	if older == nil {
		t.Fatal("no way to the older ones")
	}
	if status, second := get(t, srv.URL+html.UnescapeString(older[1])); status != 200 || !strings.Contains(second, ">Newest</a>") || strings.Contains(second, changeAddress(latest)) {
		t.Errorf("second page: got %d", status)
	}
}
