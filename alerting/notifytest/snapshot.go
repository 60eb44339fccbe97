package notifytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Recorder is a transport that keeps every request as text, before next answers it.
type Recorder struct {
	t    *testing.T
	next http.RoundTripper
	text strings.Builder
}

// Record wraps a transport.
func Record(t *testing.T, next http.RoundTripper) *Recorder { return &Recorder{t: t, next: next} }

// RoundTrip implements http.RoundTripper.
func (r *Recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	fmt.Fprintf(&r.text, "%s %s\n", req.Method, req.URL)
	for _, name := range slices.Sorted(maps.Keys(req.Header)) {
		fmt.Fprintf(&r.text, "%s: %s\n", name, strings.Join(req.Header[name], ", "))
	}
	r.text.WriteString("\n" + readable(req.Header.Get("Content-Type"), body) + "\n\n")
	return r.next.RoundTrip(req)
}

// readable is a body as people can review it: JSON indented, forms one field a line.
func readable(kind string, body []byte) string {
	if strings.HasPrefix(kind, "application/x-www-form-urlencoded") {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return string(body)
		}
		var lines []string
		for _, name := range slices.Sorted(maps.Keys(form)) {
			for _, v := range form[name] {
				lines = append(lines, name+": "+readable("", []byte(v)))
			}
		}
		return strings.Join(lines, "\n")
	}
	var out bytes.Buffer
	if len(body) > 0 && (body[0] == '{' || body[0] == '[') && json.Indent(&out, body, "", "  ") == nil {
		return out.String()
	}
	return string(body)
}

// Compare holds what was sent against testdata/<name>. With UPDATE_SNAPSHOTS=1 it writes the file instead: read the difference
// before committing it. Secret shows as <secret>.
func (r *Recorder) Compare(name string) {
	r.t.Helper()
	path := filepath.Join("testdata", name)
	got := strings.ReplaceAll(r.text.String(), Secret, "<secret>")
	if os.Getenv("UPDATE_SNAPSHOTS") == "1" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil { //nolint:gosec // committed for all to read
			r.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatalf("%v; UPDATE_SNAPSHOTS=1 writes it", err)
	}
	if string(want) != got {
		r.t.Errorf("what is sent differs from %s; UPDATE_SNAPSHOTS=1 writes it anew.\nwant:\n%s\ngot:\n%s", path, want, got)
	}
}

// Answering is a transport that answers every request alike.
func Answering(status int, body string) http.RoundTripper {
	return Transport(func(*http.Request) (*http.Response, error) { return Respond(status, nil, body), nil })
}
