package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// room is where the daemons post: it keeps every card.
type room struct {
	server *http.Server
	url    string

	mu    sync.Mutex
	cards map[string][]string // by knowledge and incident
}

// maxCards bounds the cards kept of one incident.
const maxCards = 60

func openRoom() (*room, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &room{url: "http://" + l.Addr().String(), cards: make(map[string][]string)}
	r.server = &http.Server{Handler: http.HandlerFunc(r.take), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = r.server.Serve(l) }()
	return r, nil
}

func (r *room) take(_ http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(io.LimitReader(req.Body, 4<<20))
	var post struct {
		Incident triage.Incident `json:"incident"`
		Card     string          `json:"card"`
	}
	if err != nil || json.Unmarshal(body, &post) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := strings.TrimPrefix(req.URL.Path, "/") + " " + post.Incident.ID
	if len(r.cards[key]) < maxCards {
		r.cards[key] = append(r.cards[key], time.Now().UTC().Format("15:04:05 ")+post.Card)
	}
}

// of are the cards of an incident, oldest first.
func (r *room) of(knows, incident string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.cards[knows+" "+incident]...)
}
