package main

import (
	"context"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Without tokens in the configuration nobody gets in by seeming to be local, as everybody does behind a default nginx; what was printed
// at the start gets in, is not in the log's lines, and ends with the run. A first start without a configuration trusts this machine, loudly.
func TestTokenForThisRun(t *testing.T) {
	serveIt := func(t *testing.T, args ...string) (d asker, said *lockedBuffer) {
		t.Helper()
		address := freePort(t)
		ctx, cancel := context.WithCancel(context.Background())
		said = &lockedBuffer{}
		done := make(chan int, 1)
		go func() {
			done <- run(ctx, append([]string{"serve", "--storage.path=" + t.TempDir(), "--web.listen-address=" + address}, args...), streams{strings.NewReader(""), said, said})
		}()
		t.Cleanup(func() { cancel(); <-done })
		d = asker("http://" + address)
		eventually(t, 10*time.Second, "daemon answers", func() error { return d.get("/-/healthy", nil) })
		return d, said
	}
	status := func(d asker) int {
		t.Helper()
		code, _, err := d.do("GET", "/api/v1/incidents", nil)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	t.Run("with a configuration", func(t *testing.T) {
		file := write(t, filepath.Join(t.TempDir(), "triaged.yml"), "incidents: {second_looks: []}\n")
		d, said := serveIt(t, "--config.file="+file)
		if got := status(d); got != http.StatusUnauthorized {
			t.Errorf("without a token: want 401, got %d", got)
		}
		printed := regexp.MustCompile(`(?m)^    ([A-Z2-7]{26})$`).FindStringSubmatch(said.String())
		if printed == nil {
			t.Fatalf("no token was printed:\n%s", said)
		}
		for line := range strings.Lines(said.String()) {
			if strings.Contains(line, "level=") && strings.Contains(line, printed[1]) {
				t.Errorf("the token is in the log: %s", line)
			}
		}
		with := asker(strings.Replace(string(d), "://", "://any:"+printed[1]+"@", 1))
		if got := status(with); got != http.StatusOK {
			t.Errorf("with the token: want 200, got %d", got)
		}
		if _, _, err := with.do("POST", "/-/reload", nil); err != nil || status(with) != http.StatusOK {
			t.Errorf("after a reload that configures none it must still do, got %v", err)
		}
		write(t, file, "incidents: {second_looks: []}\nauth: {tokens: [{name: admin, token: 0123456789abcdef, scopes: [admin]}]}\n")
		with.post(t, "/-/reload", nil)
		if got := status(with); got != http.StatusUnauthorized {
			t.Errorf("once tokens are configured: want 401, got %d", got)
		}
	})
	t.Run("first start", func(t *testing.T) {
		d, said := serveIt(t)
		if got := status(d); got != http.StatusOK {
			t.Errorf("want this machine trusted, got %d", got)
		}
		if !strings.Contains(said.String(), "level=WARN") || !strings.Contains(said.String(), "may do everything without a token") {
			t.Errorf("want it said loudly:\n%s", said)
		}
	})
}
