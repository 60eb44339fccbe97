package slack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/alerting/notifytest"
)

// fakeSlack keeps messages as Slack would, and fails the test when a request breaks a documented limit.
type fakeSlack struct {
	t        *testing.T
	mu       sync.Mutex
	messages []fakeMessage
	posts    int
	files    [][]byte
	shared   []url.Values
	calls    []string
	fail     func(call int, method string) *http.Response // instead of doing it; nil: do it
	lose     int                                          // the answer to this call, counted from 1, never arrives
	late     time.Duration                                // posts are carried out that long after they came, whether anybody still waits or not
}

type fakeMessage struct {
	TS       string         `json:"ts"`
	Thread   string         `json:"thread_ts,omitempty"`
	Text     string         `json:"text"`
	Blocks   string         `json:"-"`
	Metadata map[string]any `json:"metadata,omitempty"`
	Edits    int            `json:"-"`
}

const fakeChannel = "C0123456789"

func ok(v map[string]any) *http.Response {
	v["ok"] = true
	b, _ := json.Marshal(v)
	return notifytest.Respond(200, http.Header{"Content-Type": {"application/json"}}, string(b))
}

func no(word string) *http.Response {
	return notifytest.Respond(200, http.Header{"Content-Type": {"application/json"}}, fmt.Sprintf(`{"ok":false,"error":%q}`, word))
}

func (f *fakeSlack) RoundTrip(r *http.Request) (*http.Response, error) {
	return notifytest.Transport(f.answer).RoundTrip(r)
}

func (f *fakeSlack) answer(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	method := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	form := url.Values{}
	if r.URL.Host == "files.slack.com" {
		method = "upload"
		if body, err = uploaded(r, body); err != nil {
			return nil, err
		}
		form.Set("file", string(body))
	} else if form, err = url.ParseQuery(string(body)); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, method)
	if f.fail != nil {
		if resp := f.fail(len(f.calls), method); resp != nil {
			return resp, nil
		}
	}
	if f.late > 0 && method == "chat.postMessage" {
		done := make(chan *http.Response, 1)
		time.AfterFunc(f.late, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			done <- f.do(method, form)
		})
		f.mu.Unlock()
		defer f.mu.Lock()
		select {
		case resp := <-done:
			return resp, nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	resp := f.do(method, form)
	if f.lose == len(f.calls) {
		return nil, io.ErrUnexpectedEOF
	}
	return resp, nil
}

func (f *fakeSlack) do(method string, form url.Values) *http.Response {
	switch method {
	case "chat.postMessage":
		f.check(form)
		m := fakeMessage{TS: fmt.Sprintf("%d.%06d", 1772334429+f.posts, f.posts), Thread: form.Get("thread_ts"), Text: form.Get("text"), Blocks: form.Get("blocks")}
		m.Metadata = metadata(form)
		f.messages = append(f.messages, m)
		f.posts++
		return ok(map[string]any{"channel": fakeChannel, "ts": m.TS, "message": m})
	case "chat.update":
		f.check(form)
		for i := range f.messages {
			if m := &f.messages[i]; m.TS == form.Get("ts") {
				m.Text, m.Blocks, m.Metadata = form.Get("text"), form.Get("blocks"), metadata(form)
				m.Edits++
				return ok(map[string]any{"channel": fakeChannel, "ts": m.TS, "text": m.Text})
			}
		}
		return no("message_not_found")
	case "chat.delete":
		for i, m := range f.messages {
			if m.TS == form.Get("ts") {
				f.messages = slices.Delete(f.messages, i, i+1)
				return ok(map[string]any{"channel": fakeChannel, "ts": m.TS})
			}
		}
		return no("message_not_found")
	case "files.getUploadURLExternal":
		f.files = append(f.files, nil)
		id := fmt.Sprint("F", len(f.files)-1)
		return ok(map[string]any{"upload_url": "https://files.slack.com/upload/v1/" + id, "file_id": id})
	case "upload":
		f.files[len(f.files)-1] = []byte(form.Get("file"))
		return notifytest.Respond(200, nil, "OK - 1")
	case "files.completeUploadExternal":
		f.shared = append(f.shared, form)
		return ok(map[string]any{"files": []any{map[string]any{"id": "F0"}}})
	case "conversations.history", "conversations.replies":
		var out []fakeMessage
		for _, m := range f.messages {
			if ts := form.Get("ts"); (ts == "" && m.Thread == "") || (ts != "" && (m.Thread == ts || m.TS == ts)) {
				if form.Get("include_all_metadata") != "1" {
					m.Metadata = nil
				}
				out = append(out, m)
			}
		}
		return ok(map[string]any{"messages": out})
	}
	return no("unknown_method")
}

// uploaded is the file in a multipart body.
func uploaded(r *http.Request, body []byte) ([]byte, error) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	p, err := multipart.NewReader(bytes.NewReader(body), params["boundary"]).NextPart()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(p)
}

func metadata(form url.Values) map[string]any {
	var m map[string]any
	_ = json.Unmarshal([]byte(form.Get("metadata")), &m)
	return m
}

// check holds a message against the documented limits.
func (f *fakeSlack) check(form url.Values) {
	f.t.Helper()
	checkBlocks(f.t, form.Get("blocks"))
	if text := form.Get("text"); text == "" || len([]rune(text)) > maxText {
		f.t.Errorf("text has %d characters; want 1 to %d", len([]rune(text)), maxText)
	}
}

func checkBlocks(t *testing.T, raw string) {
	t.Helper()
	if raw == "" {
		return
	}
	var blocks []struct {
		Type string
		Text struct {
			Type, Text string
		}
		Elements []struct {
			Type, URL, Value string
			Text             json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(raw), &blocks); err != nil {
		t.Fatalf("blocks: %v", err)
	}
	if len(blocks) == 0 || len(blocks) > 50 {
		t.Errorf("%d blocks; want 1 to 50", len(blocks))
	}
	for i, b := range blocks {
		switch b.Type {
		case "section":
			if n := len([]rune(b.Text.Text)); n == 0 || n > 3000 {
				t.Errorf("block %d: section of %d characters; want 1 to 3000", i, n)
			}
		case "context":
			if len(b.Elements) == 0 || len(b.Elements) > 10 {
				t.Errorf("block %d: %d context elements; want 1 to 10", i, len(b.Elements))
			}
		case "actions":
			if len(b.Elements) == 0 || len(b.Elements) > 25 {
				t.Errorf("block %d: %d buttons; want 1 to 25", i, len(b.Elements))
			}
			for _, e := range b.Elements {
				if e.Type != "button" || e.URL == "" || e.Value != "" || len(e.URL) > 3000 {
					t.Errorf("block %d: want buttons that are links only, got %+v", i, e)
				}
			}
		default:
			t.Errorf("block %d: unexpected type %q", i, b.Type)
		}
	}
	if len(raw) > 13000 {
		t.Errorf("blocks are %d bytes", len(raw))
	}
}

// onceSaying refuses the first call with a word.
func onceSaying(word string) func(int, string) *http.Response {
	return func(call int, _ string) *http.Response {
		if call == 1 {
			return no(word)
		}
		return nil
	}
}
