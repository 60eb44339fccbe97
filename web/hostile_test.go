package web_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"github.com/triaged-dev/triaged/triage"
)

var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `javascript:alert(1)`, `</title><script>alert(1)</script>`,
	`</svg><script>alert(1)</script>`, "{{.}}", "\u202egnp.exe", "a\x00b", "<!--", "]]>", `https://x.example/"onclick="alert(1)`, "&lt;b&gt;", "data:text/html,<script>alert(1)</script>",
	"x\r\nSet-Cookie: a=b", "../../etc/passwd", "<svg/onload=alert(1)>", "😀" + strings.Repeat("A", 3000),
}

// poison replaces strings that come from outside, throughout v, by hostile ones. Ids that pages are reached by stay.
func poison(draw func() string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			poison(draw, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(draw, v.Index(i))
		}
	case reflect.Map:
		if v.Type().Elem().Kind() == reflect.String && v.CanSet() && !v.IsNil() {
			v.SetMapIndex(reflect.ValueOf(draw()).Convert(v.Type().Key()), reflect.ValueOf(draw()).Convert(v.Type().Elem()))
			for _, k := range v.MapKeys() {
				v.SetMapIndex(k, reflect.ValueOf(draw()).Convert(v.Type().Elem()))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if v.Field(i).CanSet() && v.Type() != reflect.TypeFor[time.Time]() && !keep[name] {
				poison(draw, v.Field(i))
			}
		}
	case reflect.String:
		v.SetString(draw())
	}
}

// keep are fields by which the code branches, which our own code writes, or which name the page.
var keep = map[string]bool{"IncidentID": true, "Kind": true, "State": true, "Verdict": true, "Action": true, "Status": true, "Signal": true, "Stamp": true, "Class": true, "Shape": true}

// TestHostileStrings: whatever strings come from outside, a page has no element, attribute or address that it would not
// have without them.
func TestHostileStrings(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func() string { return rapid.SampledFrom(hostile).Draw(rt, "string") }
		moment := rapid.SampledFrom([]string{"flag", "pair", "vendor", "migration"}).Draw(rt, "moment")
		s := newStore(t, moment)
		id := s.incidents[0].ID
		reports := s.reports[id]
		poison(draw, reflect.ValueOf(&reports).Elem())
		inc := s.incidents[0]
		poison(draw, reflect.ValueOf(&inc).Elem())
		inc.ID = id
		s.incidents[0] = inc
		for i := range s.changes {
			poison(draw, reflect.ValueOf(&s.changes[i]).Elem())
		}
		for i := range s.deliveries {
			s.deliveries[i].State = triage.DeliveryDead
			poison(draw, reflect.ValueOf(&s.deliveries[i]).Elem())
		}
		for i := range s.sources {
			poison(draw, reflect.ValueOf(&s.sources[i]).Elem())
		}
		s.quarantined = []triage.Quarantined{{ID: draw(), Source: draw(), Origin: draw(), Reason: draw(), Body: []byte(draw()), At: s.now}}
		s.services = map[string]triage.Service{draw(): {Owner: draw(), Channel: draw(), Runbook: draw(), Schedule: draw()}}
		s.edges = []triage.Edge{{From: draw(), To: draw()}}
		s.feedback[id] = []triage.Feedback{{IncidentID: id, Verdict: triage.FeedbackConfirm, ChangeID: triage.ChangeID(draw()), Comment: draw(), At: s.now}}
		c := s.cases[id+"/3"]
		poison(draw, reflect.ValueOf(&c.Series).Elem())
		poison(draw, reflect.ValueOf(&c.Changes).Elem())
		s.cases[id+"/3"] = c
		srv := site(t, s)
		for _, path := range []string{"/", "/incidents/" + id, "/changes?span=24h", "/services", "/sources", "/sources/quarantine", "/deliveries", "/accuracy", "/changes?q=" + "%3Cscript%3E"} {
			status, body := get(t, srv.URL+path)
			if status != 200 {
				rt.Fatalf("%s: got %d", path, status)
			}
			inspect(rt, path, body)
		}
	})
}

// elements and attributes that our own pages have nowhere, and what an address may begin with.
func inspect(t *rapid.T, path, body string) {
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatalf("%s: parse: %v", path, err)
	}
	scripts := 0
	for n := range doc.Descendants() {
		if n.Type == html.CommentNode {
			t.Fatalf("%s: a comment got in: %q", path, n.Data)
		}
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "script":
			scripts++
		case "img", "iframe", "object", "embed", "base", "b", "style":
			if n.Data != "b" || !strings.HasPrefix(attr(n, "class"), "badge") {
				t.Fatalf("%s: an element got in: <%s>", path, n.Data)
			}
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" {
				t.Fatalf("%s: an attribute got in: %s", path, a.Key)
			}
			if a.Key == "href" || a.Key == "src" || a.Key == "action" {
				if v := a.Val; !strings.HasPrefix(v, "/") && !strings.HasPrefix(v, "#") && !strings.HasPrefix(v, "https://") && !strings.HasPrefix(v, "http://") {
					t.Fatalf("%s: an address got in: %q", path, v)
				}
			}
		}
	}
	if scripts != 1 {
		t.Fatalf("%s: want one script, got %d", path, scripts)
	}
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}
