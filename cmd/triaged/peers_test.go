package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// peer returns the path of a real peer's program. Without it the test is skipped, or fails where REQUIRE_PEERS=1.
func peer(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no real peer is started")
	}
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("REQUIRE_PEERS") == "1" {
		t.Fatalf("REQUIRE_PEERS=1, and %s is not installed", name)
	}
	t.Skipf("%s is not installed: nothing is tested against the real one", name)
	return ""
}

// freePort returns an address nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// process is a peer that runs for the length of a test.
type process struct {
	cmd *exec.Cmd
	log *lockedBuffer
}

func start(t *testing.T, path string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(path, args...), log: &lockedBuffer{}}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("log of %s:\n%s", filepath.Base(path), p.log)
		}
	})
	return p
}

// lockedBuffer keeps the end of what is written to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.b.String()
	return s[max(0, len(s)-8000):]
}

// eventually asks every 50 ms until f succeeds.
func eventually(t *testing.T, limit time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
		<-tick.C
	}
}

// asker speaks to a daemon or a peer over HTTP.
type asker string

func (a asker) do(method, path string, body any) (int, []byte, error) {
	var payload io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		payload = strings.NewReader(b)
	default:
		j, err := json.Marshal(b)
		if err != nil {
			return 0, nil, err
		}
		payload = bytes.NewReader(j)
	}
	req, err := http.NewRequest(method, string(a)+path, payload)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// get decodes a 200 answer into v.
func (a asker) get(path string, v any) error {
	code, body, err := a.do("GET", path, nil)
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return fmt.Errorf("GET %s: %d: %s", path, code, body)
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(body, v)
}

func (a asker) post(t *testing.T, path string, body any) []byte {
	t.Helper()
	code, answer, err := a.do("POST", path, body)
	if err != nil || code/100 != 2 {
		t.Fatalf("POST %s: %d %v: %s", path, code, err, answer)
	}
	return answer
}

// daemon runs the real command in this process until the test ends or stop is called.
type daemonProcess struct {
	asker
	stop func()
	log  *lockedBuffer
}

func startDaemon(t *testing.T, config string) *daemonProcess {
	t.Helper()
	return startDaemonIn(t, t.TempDir(), config)
}

// trusting lets tests do everything without a token, where they do not say who may do what.
func trusting(config string) string {
	if strings.HasPrefix(config, "auth:") || strings.Contains(config, "\nauth:") {
		return config
	}
	return "auth: {trust_loopback: true}\n" + config
}

// startDaemonIn is startDaemon with a directory of the test's own, for files that the configuration names.
func startDaemonIn(t *testing.T, dir, config string) *daemonProcess {
	t.Helper()
	file := write(t, filepath.Join(dir, "triaged.yml"), trusting(config))
	address := freePort(t)
	ctx, cancel := context.WithCancel(context.Background())
	d := &daemonProcess{asker: asker("http://" + address), log: &lockedBuffer{}}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{
			"serve", "--config.file=" + file, "--storage.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address,
		}, streams{strings.NewReader(""), d.log, d.log})
	}()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("the daemon ended with %d", code)
		}
	})
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			t.Logf("log of the daemon:\n%s", d.log)
		}
	})
	eventually(t, 10*time.Second, "daemon answers", func() error { return d.get("/-/healthy", nil) })
	return d
}
