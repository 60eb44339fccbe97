package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// killPoint is a stage of the n-th call to Slack, counted over all lives of the daemon.
type killPoint struct {
	n     int
	stage string
}

// Killed between any two steps of a delivery to Slack, the daemon leaves one visible message of an incident and one reply for
// its change of state, and its journal says delivered. The calls of a life without kills are: 1 the message, 2 to 4 its picture,
// 5 the reply that it is over, 6 the edit of the message.
func TestKillLeavesOneSlackMessage(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some thirty processes")
	}
	t.Parallel()
	for _, kills := range [][]killPoint{
		{{1, stageBefore}},
		{{1, stageAfter}},
		{{1, stageSent}},
		{{2, stageAfter}},
		{{3, stageAfter}},
		{{4, stageAfter}},
		{{5, stageBefore}},
		{{5, stageAfter}},
		{{5, stageSent}},
		{{6, stageBefore}},
		{{6, stageAfter}},
		{{6, stageSent}},
		{{1, stageAfter}, {2, stageBefore}}, // again while looking for the first attempt
		{{1, stageBefore}, {2, stageSent}, {3, stageAfter}},
		{{2, stageAfter}, {3, stageSent}, {4, stageAfter}},
	} {
		t.Run(strings.ReplaceAll(fmt.Sprint(kills), " ", "-"), func(t *testing.T) {
			t.Parallel()
			killDuringSlack(t, kills)
		})
	}
}

func killDuringSlack(t *testing.T, kills []killPoint) {
	slack := startSlack(t)
	dir, address := t.TempDir(), freePort(t)
	config := write(t, filepath.Join(dir, "triaged.yml"), fmt.Sprintf(`
auth: {trust_loopback: true}
incidents: {second_looks: [], min_interval: 0s, recovered_hold: 1s, delivery: {backoff_min: 100ms, backoff_max: 200ms}}
route: {receiver: oncall, mode: live}
receivers:
  - name: oncall
    slack_configs: [{token: xoxb-test, channel: C0123456789, api_url: %q}]
`, slack.URL+"/"))
	args := []string{"serve", "--config.file=" + config, "--storage.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address}
	d := asker("http://" + address)

	var running atomic.Pointer[exec.Cmd]
	dead := make(chan struct{}, len(kills))
	slack.mu.Lock()
	slack.step = func(n int, _, stage string) {
		if !slices.Contains(kills, killPoint{n, stage}) {
			return
		}
		if err := running.Load().Process.Kill(); err != nil {
			t.Errorf("kill: %v", err)
		}
		dead <- struct{}{}
	}
	slack.mu.Unlock()

	var starts atomic.Int32
	starts.Store(1)
	running.Store(startProcess(t, address, args...))
	done := make(chan struct{})
	defer close(done)
	go func() { // the supervisor that every daemon has
		for range kills {
			select {
			case <-dead:
			case <-done:
				return
			}
			_ = running.Load().Wait()
			running.Store(restart(t, args))
			starts.Add(1)
		}
	}()

	// The daemon may be down at any moment: like Alertmanager, the test sends until it is taken.
	send := func(body map[string]any) {
		eventually(t, 20*time.Second, "the alert is taken", func() error {
			code, answer, err := d.do("POST", "/api/v1/alerts", body)
			if err == nil && code != http.StatusOK {
				err = fmt.Errorf("%d: %s", code, answer)
			}
			return err
		})
	}
	began := time.Now().UTC()
	send(alertBody("CheckoutErrorRatioHigh", "checkout", began))
	told := func(reports int) {
		eventually(t, 30*time.Second, fmt.Sprintf("report %d is delivered", reports), func() error {
			var page struct{ Items []triage.Delivery }
			if err := d.get("/api/v1/deliveries", &page); err != nil {
				return err
			}
			for _, del := range page.Items {
				if del.ReportNumber == reports && del.State == triage.DeliveryDelivered {
					return nil
				}
			}
			return fmt.Errorf("deliveries: %+v; calls %v", page.Items, slack.called())
		})
	}
	told(1)
	over := alertBody("CheckoutErrorRatioHigh", "checkout", began)
	over["status"] = "resolved"
	alert, _ := over["alerts"].([]any)[0].(map[string]any)
	alert["status"], alert["endsAt"] = "resolved", time.Now().UTC().Format(time.RFC3339Nano)
	send(over)
	told(2)

	roots, replies := slack.visible()
	if len(roots) != 1 || len(replies) != 1 {
		t.Errorf("want one message and one reply, got %d and %d after the calls %v", len(roots), len(replies), slack.called())
	}
	if len(roots) == 1 && (roots[0].Edits == 0 || !strings.Contains(roots[0].Text, "🟢")) {
		t.Errorf("want the message edited to say that it is over, got %q after %d edits", roots[0].Text, roots[0].Edits)
	}
	slack.mu.Lock()
	pictures := slices.Clone(slack.pictures)
	slack.mu.Unlock()
	if len(pictures) > 1 || len(roots) == 1 && slices.ContainsFunc(pictures, func(ts string) bool { return ts != roots[0].TS }) {
		t.Errorf("want at most one picture, under the message, got them in %v", pictures)
	}
	if n := starts.Load(); int(n) != 1+len(kills) {
		t.Errorf("want the daemon started %d times, got %d: not every kill came", 1+len(kills), n)
	}
	t.Logf("calls over %d lives: %v", starts.Load(), slack.called())
}

// restart starts the program again without waiting for it.
func restart(t *testing.T, args []string) *exec.Cmd {
	cmd, err := program(args...)
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Errorf("start again: %v", err)
		return cmd
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}
