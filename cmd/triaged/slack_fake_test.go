package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// slackMessage is one message as a reader of the channel sees it.
type slackMessage struct {
	TS       string         `json:"ts"`
	Thread   string         `json:"thread_ts,omitempty"`
	Text     string         `json:"text"`
	Metadata map[string]any `json:"metadata,omitempty"`
	Blocks   string         `json:"-"`
	Edits    int            `json:"-"`
}

// The stages of one call at which a test may step in.
const (
	stageBefore = "before" // the request has arrived, nothing is done
	stageAfter  = "after"  // it is done, nobody has been told
	stageSent   = "sent"   // the answer is on the wire
)

// slackServer is a Slack that keeps messages, can be read back, and fails the test when a message breaks a documented limit.
type slackServer struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	messages []slackMessage
	calls    []string
	requests []string // bodies of the posts and edits, as they came
	uploads  [][]byte // by file id F0, F1, …; nil until it has come
	pictures []string // threads that were given a picture
	// step, if set, is called at every stage of every call, counted from 1. It holds no lock.
	step func(n int, method, stage string)
	// lie, if set, may answer instead; it reports whether it did.
	lie func(w http.ResponseWriter, r *http.Request) bool
}

// slackLate is how long after the death of whoever asked a post is carried out.
const slackLate = 1500 * time.Millisecond

func startSlack(t *testing.T) *slackServer {
	t.Helper()
	s := &slackServer{t: t}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func (s *slackServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "bad form", http.StatusBadRequest)
		return
	}
	method := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	s.mu.Lock()
	s.calls = append(s.calls, method)
	n, step, lie := len(s.calls), s.step, s.lie
	s.mu.Unlock()
	at := func(stage string) {
		if step != nil {
			step(n, method, stage)
		}
	}
	at(stageBefore)
	if r.Context().Err() != nil { // whoever asked is dead: Slack, which has the request, carries it out all the same, and not at once
		time.Sleep(slackLate)
	}
	if lie != nil && lie(w, r) {
		return
	}
	if strings.HasPrefix(r.URL.Path, "/upload/") {
		s.upload(w, r, method)
		at(stageAfter)
		return
	}
	answer := s.do(method, r.PostForm)
	at(stageAfter)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
	_ = http.NewResponseController(w).Flush()
	at(stageSent)
}

func (s *slackServer) do(method string, form url.Values) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	const channel = "C0123456789"
	no := func(word string) map[string]any { return map[string]any{"ok": false, "error": word} }
	if form.Get("token") != "xoxb-test" { // slack-go sends it in the form, others in a header
		return no("invalid_auth")
	}
	switch method {
	case "chat.postMessage":
		s.check(form)
		m := slackMessage{TS: fmt.Sprintf("%d.%06d", 1772334429+len(s.calls), len(s.calls)), Thread: form.Get("thread_ts"), Text: form.Get("text"), Blocks: form.Get("blocks"), Metadata: slackMetadata(form)}
		s.messages = append(s.messages, m)
		return map[string]any{"ok": true, "channel": channel, "ts": m.TS, "message": m}
	case "chat.update":
		s.check(form)
		for i := range s.messages {
			if m := &s.messages[i]; m.TS == form.Get("ts") {
				m.Text, m.Blocks, m.Metadata = form.Get("text"), form.Get("blocks"), slackMetadata(form)
				m.Edits++
				return map[string]any{"ok": true, "channel": channel, "ts": m.TS, "text": m.Text}
			}
		}
		return no("message_not_found")
	case "chat.delete":
		for i, m := range s.messages {
			if m.TS == form.Get("ts") {
				s.messages = append(s.messages[:i:i], s.messages[i+1:]...)
				return map[string]any{"ok": true, "channel": channel, "ts": m.TS}
			}
		}
		return no("message_not_found")
	case "files.getUploadURLExternal":
		if form.Get("filename") == "" || form.Get("length") == "" {
			return no("invalid_arguments")
		}
		if s.Server == nil { // served by another: it has no address to upload to
			return no("unknown_method")
		}
		s.uploads = append(s.uploads, nil)
		id := fmt.Sprint("F", len(s.uploads)-1)
		return map[string]any{"ok": true, "upload_url": s.URL + "/upload/" + id, "file_id": id}
	case "files.completeUploadExternal":
		if !s.share(form) {
			return no("invalid_arguments")
		}
		return map[string]any{"ok": true, "files": []any{map[string]any{"id": "F0", "title": "timeline"}}}
	case "conversations.history", "conversations.replies":
		out := []slackMessage{}
		for _, m := range s.messages {
			if ts := form.Get("ts"); (ts == "" && m.Thread == "") || (ts != "" && (m.Thread == ts || m.TS == ts)) {
				if form.Get("include_all_metadata") != "1" {
					m.Metadata = nil
				}
				out = append(out, m)
			}
		}
		return map[string]any{"ok": true, "messages": out}
	}
	return no("unknown_method")
}

// upload takes a file at the address that files.getUploadURLExternal gave, and answers as Slack's file server does: in text.
func (s *slackServer) upload(w http.ResponseWriter, r *http.Request, id string) {
	file, _, err := r.FormFile("file")
	if err != nil {
		http.Error(w, "no file", http.StatusBadRequest)
		return
	}
	defer file.Close()
	raw, err := io.ReadAll(file)
	if err != nil {
		http.Error(w, "cut short", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.uploads {
		if fmt.Sprint("F", i) == id {
			s.uploads[i] = raw
			fmt.Fprintf(w, "OK - %d", len(raw))
			return
		}
	}
	http.Error(w, "unknown file", http.StatusNotFound)
}

// share puts uploaded files into a thread.
func (s *slackServer) share(form url.Values) (ok bool) {
	var files []struct{ ID string }
	if json.Unmarshal([]byte(form.Get("files")), &files) != nil || len(files) != 1 || form.Get("channel_id") == "" || form.Get("thread_ts") == "" {
		return false
	}
	for i, raw := range s.uploads {
		if fmt.Sprint("F", i) == files[0].ID && strings.HasPrefix(string(raw), "\x89PNG") {
			s.pictures = append(s.pictures, form.Get("thread_ts"))
			return true
		}
	}
	return false
}

func slackMetadata(form url.Values) map[string]any {
	var m map[string]any
	_ = json.Unmarshal([]byte(form.Get("metadata")), &m)
	return m
}

// visible are the messages of the channel itself, and the replies in threads.
func (s *slackServer) visible() (roots, replies []slackMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if m.Thread == "" {
			roots = append(roots, m)
		} else {
			replies = append(replies, m)
		}
	}
	return roots, replies
}

func (s *slackServer) called() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

// check holds a message against Slack's documented limits. Needs mu.
func (s *slackServer) check(form url.Values) {
	runes := utf8.RuneCountInString
	bad := func(format string, args ...any) { s.t.Errorf("Slack would refuse this: "+format, args...) }
	s.requests = append(s.requests, form.Encode())
	if n := runes(form.Get("text")); n == 0 || n > 4000 {
		bad("text of %d characters", n)
	}
	var blocks []struct {
		Type, BlockID string
		Text          struct{ Type, Text string }
		Elements      []struct {
			Type, URL, Value, ActionID string
			Text                       json.RawMessage
		}
	}
	if raw := form.Get("blocks"); raw != "" {
		if err := json.Unmarshal([]byte(raw), &blocks); err != nil {
			bad("blocks are not JSON: %v", err)
		}
		if len(raw) > 13_000 {
			bad("blocks of %d bytes", len(raw))
		}
	}
	if len(blocks) > 50 {
		bad("%d blocks", len(blocks))
	}
	for _, b := range blocks {
		switch b.Type {
		case "section":
			if n := runes(b.Text.Text); n == 0 || n > 3000 {
				bad("section of %d characters", n)
			}
		case "header":
			if n := runes(b.Text.Text); b.Text.Type != "plain_text" || n == 0 || n > 150 {
				bad("header of %d characters", n)
			}
		case "context":
			if len(b.Elements) == 0 || len(b.Elements) > 10 {
				bad("context of %d elements", len(b.Elements))
			}
		case "actions":
			if len(b.Elements) == 0 || len(b.Elements) > 25 {
				bad("%d buttons", len(b.Elements))
			}
			for _, e := range b.Elements {
				var label struct{ Text string }
				_ = json.Unmarshal(e.Text, &label)
				if runes(label.Text) > 75 || len(e.URL) > 3000 || len(e.Value) > 2000 || len(e.ActionID) > 255 {
					bad("button %+v", e)
				}
			}
		default:
			bad("block of type %q", b.Type)
		}
	}
}
