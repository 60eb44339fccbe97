package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// program is the real program as a process of its own, not yet started; it dies with the test.
func program(args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "TRIAGED_RUN_MAIN=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

// startProcess runs the real program as a process of its own and waits until it answers.
func startProcess(t *testing.T, address string, args ...string) *exec.Cmd {
	t.Helper()
	cmd, err := program(args...)
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("log of the daemon:\n%s", log)
		}
	})
	eventually(t, 15*time.Second, "daemon answers", func() error { return asker("http://"+address).get("/-/healthy", nil) })
	return cmd
}

// kill -9 at any moment must lose nothing that was answered with 200: no change, and no alert's incident and report.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	address := freePort(t)
	config := write(t, filepath.Join(dir, "triaged.yml"), trusting("incidents: {second_looks: []}\n"))
	args := []string{"serve", "--config.file=" + config, "--storage.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address}
	d := asker("http://" + address)
	rng := rand.New(rand.NewPCG(7, 7))

	var mu sync.Mutex
	changes := make(map[string]bool)
	alerts := make(map[string]bool)
	const rounds = 5
	for round := range rounds {
		cmd := startProcess(t, address, args...)
		stop := make(chan struct{})
		var load sync.WaitGroup
		for worker := range 4 {
			load.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					if worker == 0 && n%20 == 0 {
						name := fmt.Sprintf("Alert%dx%d", round, n)
						code, _, err := d.do("POST", "/api/v1/alerts", alertBody(name, "svc-"+name, time.Now().UTC()))
						if err == nil && code == http.StatusOK {
							mu.Lock()
							alerts[name] = true
							mu.Unlock()
						}
						continue
					}
					id := fmt.Sprintf("load:%d/%d/%d", round, worker, n)
					code, _, err := d.do("POST", "/api/v1/changes", triage.Change{
						ID: triage.ChangeID(id), Kind: triage.KindDeploy, Scope: triage.Scope{Service: fmt.Sprintf("s%d", n%50)}, StartedAt: time.Now().UTC(), Version: id,
					})
					if err == nil && code == http.StatusOK {
						mu.Lock()
						changes[id] = true
						mu.Unlock()
					}
				}
			})
		}
		time.Sleep(time.Duration(300+rng.IntN(900)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		close(stop)
		load.Wait()
		_ = cmd.Wait()
	}

	startProcess(t, address, args...)
	for id := range changes {
		if err := d.get("/api/v1/changes/"+id, nil); err != nil {
			t.Errorf("acknowledged change is lost: %v", err)
		}
	}
	eventually(t, 30*time.Second, "every acknowledged alert has its report", func() error {
		seen := make(map[string]bool)
		for after := ""; ; {
			var page struct {
				Items []triage.Incident
				Next  string
			}
			if err := d.get("/api/v1/incidents?limit=200&after="+after, &page); err != nil {
				return err
			}
			for _, inc := range page.Items {
				for _, a := range inc.Alerts {
					seen[a.Name()] = inc.Reports > 0
				}
			}
			if page.Next == "" {
				break
			}
			after = page.Next
		}
		var missing []error
		for name := range alerts {
			if reported, there := seen[name]; !there {
				missing = append(missing, fmt.Errorf("alert %s is lost", name))
			} else if !reported {
				missing = append(missing, fmt.Errorf("alert %s has no report", name))
			}
		}
		return errors.Join(missing...)
	})
	if len(changes) < 50 || len(alerts) < rounds {
		t.Errorf("too little load to mean anything: %d changes, %d alerts", len(changes), len(alerts))
	}
	t.Logf("%d changes and %d alerts acknowledged over %d kills, all there", len(changes), len(alerts), rounds)
}

// A second daemon on the same journal must be refused, and say what to do.
func TestSecondDaemonIsRefused(t *testing.T) {
	dir := t.TempDir()
	address := freePort(t)
	startProcess(t, address, "serve", "--storage.path="+dir, "--web.listen-address="+address)
	log := &lockedBuffer{}
	code := run(t.Context(), []string{"serve", "--storage.path=" + dir, "--web.listen-address=" + freePort(t)}, streams{nil, log, log})
	if code != 1 {
		t.Errorf("want exit code 1, got %d: %s", code, log)
	}
	t.Log(log)
}
