package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// A journal that is removed, cut or overwritten under a running daemon: it acknowledges nothing after that, starts itself again, and
// what it acknowledges from then on is there. A removed database loses nothing at all.
func TestJournalIsTakenAwayWhileServing(t *testing.T) {
	for name, tc := range map[string]struct {
		harm func(path string) error
		lost bool // some of what was acknowledged before may be gone
	}{
		"removed":     {func(p string) error { return os.Remove(p) }, false},
		"log removed": {func(p string) error { return os.Remove(p + "-wal") }, false},
		"log cut":     {func(p string) error { return os.Truncate(p+"-wal", 0) }, true},
		"overwritten": {func(p string) error {
			return os.WriteFile(p, []byte(strings.Repeat("not a database ", 20000)), 0o600)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			address := freePort(t)
			cmd := startProcess(t, address, "serve", "--storage.path="+dir, "--web.listen-address="+address)
			d := asker("http://" + address)
			send := func(id string) bool {
				code, _, err := d.do("POST", "/api/v1/changes", triage.Change{ID: triage.ChangeID(id), Kind: triage.KindDeploy, Scope: triage.Scope{Service: "a"}, StartedAt: time.Now().UTC()})
				return err == nil && code == http.StatusOK
			}
			var before, after []string
			for i := range 50 {
				if id := fmt.Sprintf("before:%d", i); send(id) {
					before = append(before, id)
				}
			}
			if len(before) != 50 {
				t.Fatalf("acknowledged %d of 50", len(before))
			}
			if err := tc.harm(filepath.Join(dir, "triaged.db")); err != nil {
				t.Fatal(err)
			}
			n := 0
			eventually(t, 20*time.Second, "daemon takes changes again", func() error {
				n++
				if id := fmt.Sprintf("after:%d", n); send(id) {
					if after = append(after, id); len(after) == 20 {
						return nil
					}
				}
				return fmt.Errorf("%d taken", len(after))
			})
			if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
				t.Errorf("the process itself must live on: %v", err)
			}
			for _, id := range after {
				if err := d.get("/api/v1/changes/"+id, nil); err != nil {
					t.Errorf("acknowledged after it and lost: %v", err)
				}
			}
			for _, id := range before {
				if err := d.get("/api/v1/changes/"+id, nil); err != nil && !tc.lost {
					t.Errorf("acknowledged before it and lost: %v", err)
				}
			}
		})
	}
}

// Slow clients do not hold up the end: one that does not ask, one whose body does not come, one that does not read.
func TestSlowClientsDoNotHoldUpShutdown(t *testing.T) {
	address := freePort(t)
	cmd := startProcess(t, address, "serve", "--storage.path="+t.TempDir(), "--web.listen-address="+address)
	var open sync.WaitGroup
	for _, text := range []string{
		"", "GET / HTTP/1.1\r\nHo",
		"POST /api/v1/changes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n[",
		"POST /api/v1/alerts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[",
		strings.Repeat("GET /api/openapi.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
	} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open.Go(func() { _, _ = io.WriteString(c, text) })
	}
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("end: %v", err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("want it ended within seconds, took %v", took)
	}
	open.Wait()
}
