package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b); n > 2*tailBytes {
		t.b = append(t.b[:0], t.b[n-tailBytes:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

// daemon is the real program as a process of its own, on a directory that outlives it.
type daemon struct {
	binary  string
	dir     string // holds triaged.yml and data/
	address string
	args    []string // besides those every daemon gets
	token   string   // sent with every request, if there is one
	env     []string // besides ours
	log     tail
	client  *http.Client

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	exit error
}

// newDaemon writes the configuration and starts nothing.
func newDaemon(binary, dir, config string) (*daemon, error) {
	abs, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	d := &daemon{binary: abs, dir: dir, address: address, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 60 * time.Second}}
	return d, d.configure(config)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// configure writes the file. Without tokens of its own, callers on this machine are trusted.
func (d *daemon) configure(config string) error {
	if !strings.Contains(config, "tokens:") {
		if rest, ok := strings.CutPrefix(config, "auth: {"); ok {
			config = "auth: {trust_loopback: true, " + rest
		} else {
			config = "auth: {trust_loopback: true}\n" + config
		}
	}
	return os.WriteFile(filepath.Join(d.dir, "triaged.yml"), []byte(config), 0o600)
}

func (d *daemon) dataDir() string     { return filepath.Join(d.dir, "data") }
func (d *daemon) journalPath() string { return filepath.Join(d.dataDir(), "triaged.db") }

// start starts the process and returns at once.
func (d *daemon) start() error {
	cmd := exec.Command(d.binary, "serve", "--config.file="+filepath.Join(d.dir, "triaged.yml"), "--storage.path="+d.dataDir(), "--web.listen-address="+d.address)
	cmd.Args = append(cmd.Args, d.args...)
	cmd.Env = append(os.Environ(), d.env...)
	cmd.Stdout, cmd.Stderr = &d.log, &d.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	d.mu.Lock()
	d.cmd, d.done = cmd, done
	d.mu.Unlock()
	go func() {
		err := cmd.Wait()
		d.mu.Lock()
		d.exit = err
		d.mu.Unlock()
		close(done)
	}()
	return nil
}

// startReady starts the process, waits until it says it is ready, and returns how long that took.
func (d *daemon) startReady(ctx context.Context, limit time.Duration) (time.Duration, error) {
	began := time.Now()
	if err := d.start(); err != nil {
		return 0, err
	}
	err := d.await(ctx, limit, func() error { return d.get(ctx, "/-/ready", nil) })
	return time.Since(began), err
}

// await asks every few milliseconds until f succeeds, the process ends or the limit passes.
func (d *daemon) await(ctx context.Context, limit time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-d.done:
			return fmt.Errorf("the daemon ended (%v): %s", d.exit, d.log.String())
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", limit, err)
		case <-tick.C:
		}
	}
}

// signal sends a signal and waits for the end of the process.
func (d *daemon) signal(s syscall.Signal) error {
	if err := d.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-d.done:
		return nil
	case <-time.After(30 * time.Second):
		_ = d.cmd.Process.Kill()
		return fmt.Errorf("the daemon did not end 30 s after %s", s)
	}
}

func (d *daemon) kill() error { return d.signal(syscall.SIGKILL) }
func (d *daemon) stop() error { return d.signal(syscall.SIGTERM) }

// close ends the process if it runs.
func (d *daemon) close() {
	if d.cmd != nil {
		_ = d.kill()
	}
	d.client.CloseIdleConnections()
}

// statusError is an answer other than 2xx.
type statusError struct {
	code       int
	body       string
	retryAfter string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.body) }

func (d *daemon) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+d.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = &statusError{resp.StatusCode, string(answer[:min(len(answer), 300)]), resp.Header.Get("Retry-After")}
	}
	return answer, err
}

func (d *daemon) get(ctx context.Context, path string, into any) error {
	answer, err := d.do(ctx, "GET", path, nil)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

func (d *daemon) post(ctx context.Context, path string, body any) error {
	raw, ok := body.([]byte)
	if !ok {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return err
		}
	}
	_, err := d.do(ctx, "POST", path, raw)
	return err
}

// metric sums the samples of one metric whose labels contain the text.
func (d *daemon) metric(ctx context.Context, name, labels string) (float64, error) {
	text, err := d.do(ctx, "GET", "/metrics", nil)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if !ok || (rest[0] != '{' && rest[0] != ' ') || !strings.Contains(rest, labels) {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

// usage is what a process holds.
type usage struct {
	rss         int64 // bytes
	goroutines  int
	descriptors int
}

func (d *daemon) usage(ctx context.Context) (u usage, err error) {
	if u.rss, err = residentBytes(d.cmd.Process.Pid); err != nil {
		return u, err
	}
	n, err := d.metric(ctx, "go_goroutines", "")
	if err != nil {
		return u, err
	}
	u.goroutines = int(n)
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid))
	u.descriptors = len(files)
	return u, err
}

// residentBytes is what a process holds.
func residentBytes(pid int) (int64, error) { return statusBytes(pid, "VmRSS:") }

// statusBytes reads a figure of a process.
func statusBytes(pid int, name string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no " + name + " in the status of the process")
}
