package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// degrees are how much of the call graph a daemon may know.
var degrees = []string{"declared", "partly", "none"}

// daemon is a real triaged with a journal of its own.
type daemon struct {
	knows   string
	address string
	child   *child
	client  *http.Client
}

// daemonConfig is short of time as the lab is: what takes minutes in production takes seconds here.
const daemonConfig = `
auth: {trust_loopback: true}
sources:
  prometheus:
    - name: prometheus
      url: "http://%s"
      external_url: http://prometheus.office.example/
      scope: {environment: production}
      queries_per_minute: 600
      cache: {ttl: 2s}
      discovery_interval: 20s
      topology: {interval: 30s, lookback: 2m}
      anomalies: {interval: 15s, baseline: 10m}
      changes: {interval: 10s}
signals: {range: 15s}
incidents:
  join_within: 30s
  second_looks: [10s, 25s]
  min_interval: 4s
  recovered_hold: 8s
  reopen_within: 5s
  close_after: 10s
  verify: {interval: 3s, retry_cycle: 10s, give_up: 50s, move_on: 80s}
correlate: {assume: {scrape_interval: 2s, evaluation_interval: 2s, range: 15s}}
route: {mode: live, receiver: room}
receivers: [{name: room, webhook_configs: [{url: "%s"}]}]
`

// knowledge is what a daemon is told about the office.
func knowledge(degree string) string {
	var b strings.Builder
	switch degree {
	case "declared":
		b.WriteString("topology:\n  calls:\n")
		for _, s := range office {
			if len(s.calls) > 0 {
				fmt.Fprintf(&b, "    %s: [%s]\n", s.name, strings.Join(s.calls, ", "))
			}
		}
		b.WriteString("services:\n  gate: {owner: team-front, tier: 1, user_facing: true}\n  orders: {owner: team-sales, tier: 1}\n  acquirer: {external: true}\n  postbox: {external: true}\n  tickets-db: {aliases: [tickets]}\n")
	case "partly": // what somebody once wrote down
		b.WriteString("topology: {calls: {gate: [search, orders], orders: [pay]}}\nservices:\n  gate: {user_facing: true}\n  pay: {owner: team-money}\n")
	}
	return b.String()
}

func startDaemon(ctx context.Context, binary, dir, degree, prometheus, address, room string) (*daemon, error) {
	dir = filepath.Join(dir, "triaged-"+degree)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "triaged.yml")
	if err := os.WriteFile(config, []byte(fmt.Sprintf(daemonConfig, prometheus, room+"/"+degree)+knowledge(degree)), 0o600); err != nil {
		return nil, err
	}
	c, err := spawn("triaged "+degree, exec.Command(binary, "serve", "--config.file="+config, "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+address), false)
	if err != nil {
		return nil, err
	}
	d := &daemon{knows: degree, address: address, child: c, client: &http.Client{Timeout: 10 * time.Second}}
	if err := eventually(ctx, 20*time.Second, "the daemon lives", func() error {
		if c.ended() {
			return errors.New("it ended")
		}
		return answers(ctx, "http://"+address+"/-/healthy")
	}); err != nil {
		d.close()
		return nil, fmt.Errorf("%w: %s", err, c.said())
	}
	if _, err := d.incidents(ctx, time.Now()); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *daemon) close() { d.child.stop(syscall.SIGTERM) }

func (d *daemon) do(ctx context.Context, method, path string, body any) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+d.address+path, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: status %d: %s", method, path, resp.StatusCode, answer[:min(len(answer), 300)])
	}
	return answer, err
}

func (d *daemon) get(ctx context.Context, path string, into any) error {
	answer, err := d.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// incidents are those opened since then.
func (d *daemon) incidents(ctx context.Context, since time.Time) ([]triage.Incident, error) {
	var page struct {
		Items []triage.Incident `json:"items"`
	}
	err := d.get(ctx, "/api/v1/incidents?limit=100&from="+since.UTC().Format("2006-01-02T15:04:05.999Z"), &page)
	return page.Items, err
}

// reports are all reports of an incident, oldest first.
func (d *daemon) reports(ctx context.Context, id string) ([]triage.Report, error) {
	var page struct {
		Items []triage.Report `json:"items"`
	}
	err := d.get(ctx, "/api/v1/incidents/"+id+"/reports", &page)
	return page.Items, err
}
