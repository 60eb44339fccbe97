package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/triaged-dev/triaged/sources/kafka"
)

const (
	memoryLimit = 1 << 30                // what the shipped unit and manifests allow
	goLimit     = memoryLimit / 100 * 85 // what the daemon would tell its runtime within such a cgroup
)

// patience is how long anything is waited for: only what never comes is a finding.
const patience = 5 * time.Minute

// Tokens of the besieged: only the operator's may read.
const (
	opsToken = "siege-operator-0123456789abcdef0123456789abcdef"
	ciToken  = "siege-ci-0123456789abcdef0123456789abcdef"
	amToken  = "siege-alertmanager-0123456789abcdef0123456789abcdef"
)

// siege attacks one daemon in every way that once took its memory or silenced it, each beside a sender of changes and one of alerts
// that behave well; then it harms the journal's files at random moments. The peak of what the process holds is the kernel's own count.
func siege(ctx context.Context, o options) error {
	fmt.Fprintf(o.out, "seed %d, load %s, limit %d MiB\n", o.seed, load(), memoryLimit>>20)
	err := storming(ctx, o)
	if e := filesHarmed(ctx, o); e != nil {
		fmt.Fprintf(o.out, "FAIL  %v\n", e)
		err = errors.Join(err, e)
	}
	return err
}

// besieged is a daemon with peers that can turn hostile.
type besieged struct {
	d       *daemon
	broker  *broker
	writer  *kafka.Writer
	series  atomic.Int64 // that Prometheus answers with
	endless atomic.Bool  // Slack's answers have no end
	closers []func()

	sent            atomic.Int64
	mu              sync.Mutex
	acked           []string // changes
	alerts, refused int      // alerts taken, and those that were answered otherwise or not at all
	later           int      // alerts that the store had no time for
}

func newBesieged(ctx context.Context, o options) (*besieged, error) {
	b := &besieged{}
	slack := newFakeSlack()
	b.closers = append(b.closers, slack.server.Close)
	chat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.endless.Load() {
			flood(w, r)
			return
		}
		slack.serve(w, r)
	}))
	b.closers = append(b.closers, func() { chat.CloseClientConnections(); chat.Close() })
	honest := &liar{}
	prom := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := int(b.series.Load()); n > 0 && strings.Contains(r.URL.Path, "/query") {
			manySeries(w, strings.HasSuffix(r.URL.Path, "_range"), n)
			return
		}
		honest.ServeHTTP(w, r)
	}))
	b.closers = append(b.closers, func() { prom.CloseClientConnections(); prom.Close() })
	var err error
	if b.broker, err = newBroker(2, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "104857600"})); err != nil {
		return b, err
	}
	b.closers = append(b.closers, b.broker.cluster.Close)
	if b.writer, err = kafka.NewWriter(b.broker.config("writer")); err != nil {
		return b, err
	}
	b.closers = append(b.closers, func() { _ = b.writer.Close() })
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		return b, err
	}
	b.closers = append(b.closers, func() { _ = os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "team.yml"), []byte("services: {checkout: {}}\n"), 0o600); err != nil {
		return b, err
	}
	b.d, err = newDaemon(o.binary, dir, fmt.Sprintf(`auth:
  tokens:
    - {name: ops, token: %s, scopes: [admin, read, feedback]}
    - {name: ci, token: %s, scopes: ["write:changes"]}
    - {name: am, token: %s, scopes: ["write:alerts"]}
%steam_files: [team.yml]
correlate: {deadline: 3s}
sources:
  prometheus: [{name: prometheus, url: %q, timeout: 5s, breaker: {failures: 1000, open: 1s}}]
  kafka: [{name: changes, brokers: [%q], topics: [{topic: changes, format: triaged}], start: earliest, check_interval: 500ms}]
window: {ready_wait: 1s}
`, opsToken, ciToken, amToken, slackConfig(chat.URL), prom.URL, b.broker.cluster.ListenAddrs()[0]))
	if err != nil {
		return b, err
	}
	b.d.client.Timeout = patience // a busy machine is no finding
	b.d.token, b.d.env = opsToken, []string{"GOMEMLIMIT=" + strconv.Itoa(goLimit)}
	b.closers = append(b.closers, b.d.close)
	_, err = b.d.startReady(ctx, patience)
	return b, err
}

func (b *besieged) close() {
	for _, f := range slices.Backward(b.closers) {
		f()
	}
}

// send is a request with another token than the operator's; the body of the answer is returned as far as it is of interest.
func (b *besieged) send(ctx context.Context, method, path, token string, body io.Reader) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+b.d.address+path, body)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := b.d.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// wellBehaved sends a change and now and then an alert, as others do meanwhile, until stop is closed.
func (b *besieged) wellBehaved(ctx context.Context, stop <-chan struct{}) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		n := b.sent.Add(1)
		id := fmt.Sprintf("ci:%d", n)
		status, _, err := b.send(ctx, "POST", "/api/v1/changes", ciToken, bytes.NewReader(envelope(makeChange(id, int(n%50), time.Now(), 512))))
		b.mu.Lock()
		if err == nil && status == http.StatusOK {
			b.acked = append(b.acked, id)
		}
		b.mu.Unlock()
		if n%5 == 0 {
			b.alert(ctx, fmt.Sprintf("Siege%d", n%20))
		}
	}
}

func (b *besieged) alert(ctx context.Context, name string) {
	status, answer, err := b.send(ctx, "POST", "/api/v1/alerts", amToken, bytes.NewReader(webhook(name, "service-0001", time.Now(), name)))
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil && status == http.StatusOK:
		b.alerts++
	case err == nil && status == http.StatusServiceUnavailable && bytes.Contains(answer, []byte("#unavailable")):
		b.later++ // the disk of a busy machine; Alertmanager sends it again
	default:
		b.refused++
	}
}

// storming lets each attack loose, and looks what it did.
func storming(ctx context.Context, o options) error {
	b, err := newBesieged(ctx, o)
	defer b.close()
	if err != nil {
		return err
	}
	var bad error
	for _, a := range attacks() {
		if o.short && a.long {
			continue
		}
		if err := b.attack(ctx, o, a); err != nil {
			fmt.Fprintf(o.out, "FAIL  %s: %v\n", a.name, err)
			bad = errors.Join(bad, fmt.Errorf("%s: %w", a.name, err))
		}
		select {
		case <-b.d.done:
			return errors.Join(bad, fmt.Errorf("the daemon has ended: %w: %s", b.d.exit, b.d.log.String()))
		default:
		}
	}
	lost := 0
	for _, id := range b.acked {
		if e := retried(ctx, func() error { return b.d.get(ctx, "/api/v1/changes/"+id, nil) }); e != nil {
			lost++
			bad = errors.Join(bad, fmt.Errorf("acknowledged %s is lost: %w", id, e))
		}
	}
	fmt.Fprintf(o.out, "siege %d changes acknowledged, %d lost; %d alerts taken, %d refused, %d told to come later\n", len(b.acked), lost, b.alerts, b.refused, b.later)
	if b.refused > 0 {
		bad = errors.Join(bad, fmt.Errorf("%d alerts were refused", b.refused))
	}
	return bad
}

// attack runs one, with the peak of the process's memory counted from its beginning.
func (b *besieged) attack(ctx context.Context, o options, a attack) error {
	pid := b.d.cmd.Process.Pid
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("count the peak anew: %w", err)
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	if !a.down {
		others.Go(func() { b.wellBehaved(ctx, stop) })
	}
	began := time.Now()
	said, err := a.run(ctx, o, b)
	took := time.Since(began)
	close(stop)
	others.Wait()
	peak, e := peakBytes(b.d.cmd.Process.Pid)
	if err = errors.Join(err, e); err != nil {
		return err
	}
	if peak >= memoryLimit {
		return fmt.Errorf("the process held %d MiB", peak>>20)
	}
	if err := b.d.await(ctx, patience, func() error { return b.d.get(ctx, "/-/ready", nil) }); err != nil {
		return fmt.Errorf("not ready after it: %w", err)
	}
	fmt.Fprintf(o.out, "ok    %s: %s; peak %d MiB, %s\n", a.name, said, peak>>20, took.Round(100*time.Millisecond))
	return nil
}

// peakBytes reads VmHWM of a process.
func peakBytes(pid int) (int64, error) {
	return statusBytes(pid, "VmHWM:")
}
