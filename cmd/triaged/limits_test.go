package main

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"
)

// What goes wrong with connections is seen at the usual level of the log, and a flood of it does not fill the log.
func TestConnectionLog(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	s := &sparse{log: slog.New(slog.NewTextHandler(&out, nil)), now: func() time.Time { return now }}
	for range 1000 {
		_, _ = s.Write([]byte("http: TLS handshake error from 10.0.0.9:1: remote error: tls: bad certificate\n"))
	}
	now = now.Add(quietFor)
	_, _ = s.Write([]byte("http: TLS handshake error\n"))
	if lines := strings.Count(out.String(), "level=WARN"); lines != 2 || !strings.Contains(out.String(), "more_since_last=999") {
		t.Errorf("want two lines, the second with the count, got %d:\n%s", lines, out.String())
	}
}

// Reloads leave nothing behind: what the configuration before held is let go of.
func TestReloadsLeakNothing(t *testing.T) {
	dir := t.TempDir()
	d := startDaemonIn(t, dir, "sources: {prometheus: [{name: p, url: 'http://127.0.0.1:1'}]}\n")
	reload := func(n int) {
		for range n {
			d.post(t, "/-/reload", nil)
		}
	}
	reload(5)
	settled := func() int { time.Sleep(300 * time.Millisecond); return runtime.NumGoroutine() }
	before := settled()
	reload(40)
	eventually(t, 10*time.Second, "the goroutines of old configurations end", func() error {
		if n := settled(); n > before+20 {
			return &leak{n, before}
		}
		return nil
	})
}

type leak struct{ now, before int }

func (l *leak) Error() string { return "goroutines grew" }
