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
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const limitEnv = "PROOF_LIMIT_SERVER"

func limitServerWanted() bool { return os.Getenv(limitEnv) != "" }

// serveLimit is what no HTTP intake can beat: net/http, the body read and decoded, an empty answer. It stores nothing.
func serveLimit(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", os.Getenv(limitEnv))
	if err != nil {
		return err
	}
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && bytes.HasPrefix(body, []byte("[")) {
			err = json.Unmarshal(body, new([]triage.Change))
		} else if err == nil {
			err = json.Unmarshal(body, new(triage.Change))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})}
	return s.Serve(l)
}

// pushRate sends n changes in batches from several connections and returns changes per second. The bodies are made beforehand.
func pushRate(ctx context.Context, address string, n, batch, workers int, prefix string) (float64, error) {
	bodies := make([][]byte, 0, n/batch)
	for from := 0; from+batch <= n; from += batch {
		list := make([]triage.Change, batch)
		for i := range list {
			list[i] = makeChange(fmt.Sprintf("%s:%08d", prefix, from+i), (from+i)%2000, time.Now(), 1024)
		}
		var v any = list
		if batch == 1 {
			v = list[0]
		}
		b, err := json.Marshal(v)
		if err != nil {
			return 0, err
		}
		bodies = append(bodies, b)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var all sync.WaitGroup
	failed := make(chan error, workers)
	began := time.Now()
	for range workers {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(bodies)); i = next.Add(1) - 1 {
				if err := push(ctx, client, address, bodies[i]); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	select {
	case err := <-failed:
		return 0, err
	default:
	}
	return float64(len(bodies)*batch) / took.Seconds(), nil
}

func push(ctx context.Context, client *http.Client, address string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+address+"/api/v1/changes", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("push: %s: %.300s", resp.Status, answer)
	}
	return err
}

// benchHTTP measures pushing over HTTP into the real daemon, durable when answered, against a server that only reads and decodes.
func benchHTTP(ctx context.Context, o options, r *results) error {
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := newDaemon(o.binary, dir, "")
	if err != nil {
		return err
	}
	defer d.close()
	if _, err := d.startReady(ctx, 10*time.Second); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	limit := exec.CommandContext(ctx, self)
	limit.Env = append(os.Environ(), limitEnv+"="+address)
	limit.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := limit.Start(); err != nil {
		return err
	}
	defer func() { _ = limit.Process.Kill(); _ = limit.Wait() }()
	if err := d.await(ctx, 10*time.Second, func() error { return dial(address) }); err != nil {
		return fmt.Errorf("the server measured against: %w", err)
	}
	for _, batch := range []int{1, 100} {
		n := 4000 * min(batch, 10)
		if o.short {
			n /= 8
		}
		name := fmt.Sprintf("IngestHTTP/batch=%d", batch)
		bare, err := pushRate(ctx, address, n, batch, 32, "h")
		if err != nil {
			return err
		}
		ours, err := pushRate(ctx, d.address, n, batch, 32, fmt.Sprint("h", batch))
		if err != nil {
			return err
		}
		r.add(line{Name: name, Ours: ours, Unit: "events/s", Limit: bare, By: "net/http and encoding/json, nothing stored", Note: "1 kB, 32 connections"})
	}
	return nil
}

func dial(address string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}
