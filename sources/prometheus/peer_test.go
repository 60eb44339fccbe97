package prometheus

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// needPeer finds a real binary, or skips; with REQUIRE_PEERS=1 a missing one is a failure.
func needPeer(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no real peer is started")
	}
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("REQUIRE_PEERS") == "1" {
			t.Fatalf("%s is not installed and REQUIRE_PEERS=1", name)
		}
		t.Skipf("%s is not installed: install Debian's prometheus package to run this test", name)
	}
	return path
}

// recording is text in OpenMetrics form, family by family.
type recording struct{ b strings.Builder }

// family writes one metric family: for every step of [from, to] the samples that each yields for that time.
func (r *recording) family(name string, from, to time.Time, step time.Duration, each func(at time.Time, sample func(labels string, v float64))) {
	fmt.Fprintf(&r.b, "# TYPE %s gauge\n", name)
	for at := from; !at.After(to); at = at.Add(step) {
		each(at, func(labels string, v float64) {
			fmt.Fprintf(&r.b, "%s{%s} %g %d.000\n", name, labels, v, at.Unix())
		})
	}
}

// startPrometheus runs the real server over recorded data (none: empty) until the test ends and returns its URL.
// conf is its configuration; files are written beside it.
func startPrometheus(t *testing.T, rec *recording, conf string, files map[string]string) string {
	t.Helper()
	server := needPeer(t, "prometheus")
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		write(name, text)
	}
	write("p.yml", conf)
	if rec != nil {
		write("data.om", rec.b.String()+"# EOF\n")
		out, err := exec.CommandContext(t.Context(), needPeer(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", filepath.Join(dir, "data.om"), data).CombinedOutput()
		if err != nil {
			t.Fatalf("load recorded data: %v\n%s", err, out)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(server, "--config.file="+filepath.Join(dir, "p.yml"), "--storage.tsdb.path="+data,
		"--storage.tsdb.retention.time=100y", "--web.listen-address="+addr, "--log.level=error")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("prometheus said:\n%s", text)
		}
	})
	base := "http://" + addr
	await(t, 20*time.Second, "prometheus to be ready", func() bool {
		resp, err := http.Get(base + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return base
}

// await polls a real peer, which tells nobody when it is done.
func await(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s for %s", limit, what)
		case <-tick.C:
		}
	}
}

// newSource makes a Source over the URL with defaults changed by edit.
func newSource(t *testing.T, url string, dir *triage.Directory, edit func(*Options)) *Source {
	t.Helper()
	o := Options{Config: DefaultConfig(), Signals: DefaultSignalsConfig(), Directory: dir}
	o.Config.Name, o.Config.URL = "test", url
	if edit != nil {
		edit(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
