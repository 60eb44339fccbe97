package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Timing of the event stream. The heartbeat is below the idle timeouts of common proxies (60 s).
const (
	heartbeat      = 15 * time.Second
	streamDeadline = 10 * time.Second // for one write; a client that does not read is let go
)

// serveEvents streams what is stored from now on, as server-sent events: change, anomaly, incident, report. A client that is too
// slow loses events, and after a gap or a reconnect reads the lists again; nothing is replayed. The stream ends when
// the daemon shuts down.
func (a *API) serveEvents(w *writer, r *request) error {
	if p := query(r); p.err != nil {
		return p.err
	}
	var events <-chan triage.Event
	var updates <-chan Update
	if a.opts.Events != nil {
		ch, stop := a.opts.Events(eventBuffer)
		defer stop()
		events = ch
	}
	if a.opts.Updates != nil {
		ch, stop := a.opts.Updates(eventBuffer)
		defer stop()
		updates = ch
	}
	rc := http.NewResponseController(w.ResponseWriter)
	_ = rc.SetReadDeadline(time.Time{}) // the request is read; only its end is awaited now
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	write := func(b []byte) error {
		_ = rc.SetWriteDeadline(time.Now().Add(streamDeadline))
		if _, err := w.Write(b); err != nil {
			return err
		}
		return rc.Flush()
	}
	if r.Method == http.MethodHead {
		return write(nil)
	}
	if err := write([]byte("retry: 3000\n: connected\n\n")); err != nil {
		return fmt.Errorf("begin event stream: %w", err)
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var msg []byte
		var err error
		select {
		case <-r.Context().Done():
			return nil
		case <-a.draining:
			_ = write([]byte(": shutting down\n\n"))
			return nil
		case <-beat.C:
			msg = []byte(": heartbeat\n\n")
		case ev, ok := <-events:
			switch {
			case !ok:
				return nil
			case ev.Change != nil:
				msg, err = message("change", ev.Change)
			case ev.Anomaly != nil:
				msg, err = message("anomaly", ev.Anomaly)
			default:
				continue
			}
		case u, ok := <-updates:
			if !ok {
				return nil
			}
			if msg, err = message("incident", tidyIncident(u.Incident)); err == nil && u.Report != nil {
				var rep []byte
				rep, err = message("report", tidyReport(*u.Report))
				msg = append(msg, rep...)
			}
		}
		if err != nil {
			return err
		}
		if err := write(msg); err != nil {
			return nil // the client went away or does not read
		}
	}
}

// message is one server-sent event. JSON has no line breaks of its own.
func message(name string, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s event: %w", name, err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", name, data)
	return b.Bytes(), nil
}
