package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sink takes signed webhooks and notes when the first one of each incident came.
type sink struct {
	server *httptest.Server
	mu     sync.Mutex
	first  map[string]time.Time     // by title of the incident's first alert
	waits  map[string]chan struct{} // closed on arrival
	posts  int
}

func newSink() *sink {
	s := &sink{first: make(map[string]time.Time), waits: make(map[string]chan struct{})}
	s.server = httptest.NewServer(http.HandlerFunc(s.take))
	return s
}

func (s *sink) take(_ http.ResponseWriter, r *http.Request) {
	at := time.Now()
	var e struct {
		Incident struct {
			Alerts []struct{ Labels map[string]string }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil || len(e.Incident.Alerts) == 0 {
		return
	}
	name := e.Incident.Alerts[0].Labels["alertname"]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posts++
	if _, there := s.first[name]; !there {
		s.first[name] = at
		if w := s.waits[name]; w != nil {
			close(w)
		}
	}
}

// expect returns a channel that is closed when the alert's first post arrives.
func (s *sink) expect(name string) <-chan struct{} {
	w := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits[name] = w
	return w
}

func (s *sink) at(name string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first[name]
}

// counts are the incidents posted, and all posts.
func (s *sink) counts() (told, posts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.first), s.posts
}

// fakeSlack keeps messages as Slack does and can be read back. It can be told to lose answers, which is what a kill looks like
// from its side, and to be slow.
type fakeSlack struct {
	server *httptest.Server
	mu     sync.Mutex
	seq    int
	posted []slackMessage
	slow   time.Duration
	calls  int
	refuse func(call int) (status int, retryAfter string) // 0: do it
}

type slackMessage struct {
	TS       string         `json:"ts"`
	Thread   string         `json:"thread_ts,omitempty"`
	Text     string         `json:"text"`
	Metadata *slackMetadata `json:"metadata,omitempty"`
	first    slackMetadata  // as it was when the message was posted; later edits replace Metadata
}

type slackMetadata struct {
	EventType string            `json:"event_type"`
	Payload   map[string]string `json:"event_payload"`
}

func newFakeSlack() *fakeSlack {
	s := &fakeSlack{}
	s.server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

func (s *fakeSlack) serve(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.calls++
	slow, refuse, call := s.slow, s.refuse, s.calls
	s.mu.Unlock()
	if refuse != nil {
		if status, after := refuse(call); status != 0 {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(status)
			return
		}
	}
	answer := s.do(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], r.PostForm)
	if slow > 0 {
		select { // the message is there already; only the answer waits
		case <-time.After(slow):
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // who has gone does not hear
}

func (s *fakeSlack) do(method string, form url.Values) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch method {
	case "chat.postMessage":
		s.seq++
		m := slackMessage{
			TS:     strconv.FormatInt(time.Now().Unix(), 10) + "." + leftPad(s.seq),
			Thread: form.Get("thread_ts"), Text: form.Get("text"),
		}
		if m.Metadata = metadataOf(form.Get("metadata")); m.Metadata != nil {
			m.first = *m.Metadata
		}
		s.posted = append(s.posted, m)
		return map[string]any{"ok": true, "channel": form.Get("channel"), "ts": m.TS, "message": m}
	case "chat.update":
		for i := range s.posted {
			if s.posted[i].TS == form.Get("ts") {
				s.posted[i].Text, s.posted[i].Metadata = form.Get("text"), metadataOf(form.Get("metadata"))
				return map[string]any{"ok": true, "channel": form.Get("channel"), "ts": form.Get("ts"), "text": form.Get("text")}
			}
		}
		return map[string]any{"ok": false, "error": "message_not_found"}
	case "conversations.history", "conversations.replies":
		return s.history(form)
	}
	return map[string]any{"ok": false, "error": "unknown_method"}
}

// history answers newest first, a hundred at a time, as Slack does.
func (s *fakeSlack) history(form url.Values) map[string]any {
	thread, oldest := form.Get("ts"), form.Get("oldest")
	from, _ := strconv.Atoi(form.Get("cursor")) // ours, or empty
	var out []slackMessage
	i := len(s.posted) - 1 - from
	for ; i >= 0 && len(out) < 100; i-- {
		m := s.posted[i]
		if (thread == "" && m.Thread == "" || thread != "" && (m.Thread == thread || m.TS == thread)) && (oldest == "" || m.TS >= oldest) {
			out = append(out, m)
		}
	}
	answer := map[string]any{"ok": true, "messages": out, "has_more": i >= 0}
	if i >= 0 {
		answer["response_metadata"] = map[string]any{"next_cursor": strconv.Itoa(len(s.posted) - 1 - i)}
	}
	return answer
}

func metadataOf(raw string) *slackMetadata {
	m := &slackMetadata{}
	if json.Unmarshal([]byte(raw), m) != nil {
		return nil
	}
	return m
}

func leftPad(n int) string {
	s := strconv.Itoa(n)
	return strings.Repeat("0", max(0, 6-len(s))) + s
}

// doubles are the deliveries that more than one message carries, and the incidents that have more than one message in the channel.
// visible are the messages in the channel by incident; replies are those in threads.
func (s *fakeSlack) doubles() (doubled []string, visible map[string]int, replies int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	deliveries := make(map[string]int)
	visible = make(map[string]int)
	for _, m := range s.posted {
		if id := m.first.Payload["delivery_id"]; id != "" {
			if deliveries[id]++; deliveries[id] == 2 {
				doubled = append(doubled, "delivery "+id)
			}
		} else {
			doubled = append(doubled, "message without a delivery id: "+m.Text)
		}
		if m.Thread != "" {
			replies++
			continue
		}
		incident := m.first.Payload["incident_id"]
		if visible[incident]++; visible[incident] == 2 {
			doubled = append(doubled, "incident "+incident)
		}
	}
	return doubled, visible, replies
}

func (s *fakeSlack) set(f func(*fakeSlack)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}
