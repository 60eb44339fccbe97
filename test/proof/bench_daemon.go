package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// liveConfig posts every alert to a webhook as soon as it has its report, and looks again at none.
func liveConfig(url string) string {
	return fmt.Sprintf("incidents: {second_looks: []}\nroute: {mode: live, receiver: sink}\nreceivers: [{name: sink, webhook_configs: [{url: %q}]}]\n", url)
}

// withDaemon runs f on a fresh daemon.
func withDaemon(ctx context.Context, o options, config string, f func(*daemon) error) error {
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := newDaemon(o.binary, dir, config)
	if err != nil {
		return err
	}
	defer d.close()
	if _, err := d.startReady(ctx, 15*time.Second); err != nil {
		return err
	}
	return f(d)
}

// benchPost measures from an alert's webhook going out to the first post about it coming in at a local sink: idle, and while changes
// are pushed at half the rate that the daemon was just seen to take. No metrics are configured.
func benchPost(ctx context.Context, o options, r *results) error {
	s := newSink()
	defer s.server.Close()
	return withDaemon(ctx, o, liveConfig(s.server.URL), func(d *daemon) error {
		n, probe := 1000, 30_000
		if o.short {
			n, probe = 40, 2_000
		}
		most, err := pushRate(ctx, d.address, probe, 100, 8, "probe")
		if err != nil {
			return err
		}
		for _, load := range []string{"idle", "half"} {
			stop, stopped := make(chan struct{}), make(chan error, 1)
			rate := 0.0
			if load == "half" {
				go func() {
					var err error
					rate, err = steady(ctx, d.address, most/2, stop)
					stopped <- err
				}()
			} else {
				stopped <- nil
			}
			took, err := firstPosts(ctx, d, s, load, n)
			close(stop)
			if err := firstOf(err, <-stopped); err != nil {
				return err
			}
			note := fmt.Sprintf("%d alerts, one after the other; metrics: none", len(took))
			if load == "half" {
				note += fmt.Sprintf("; %s changes/s pushed meanwhile, half of %s", figure(rate), figure(most))
			}
			for _, q := range []struct {
				name string
				q    float64
			}{{"p50", .5}, {"p99", .99}, {"p99.9", .999}} {
				l := line{Name: fmt.Sprintf("AlertToPost/load=%s/%s", load, q.name), Ours: ms(quantile(took, q.q)), Unit: "ms", Less: true, Note: note}
				if q.name == "p99" {
					l.Budget = 250
				}
				r.add(l)
				note = ""
			}
		}
		return incidentReads(ctx, d, r)
	})
}

// firstPosts sends n alerts of as many services, or as many as a minute allows, one after the other, and returns how long each took to
// be posted, sorted.
func firstPosts(ctx context.Context, d *daemon, s *sink, prefix string, n int) ([]time.Duration, error) {
	var took []time.Duration
	enough := time.Now().Add(time.Minute)
	for i := range n {
		if time.Now().After(enough) {
			break
		}
		name := fmt.Sprintf("%s-%d", prefix, i)
		body := webhook(name, "post-"+name, time.Now(), name)
		arrived := s.expect(name)
		began := time.Now()
		if err := d.post(ctx, "/api/v1/alerts", body); err != nil {
			return nil, err
		}
		select {
		case <-arrived:
			took = append(took, s.at(name).Sub(began))
		case <-time.After(30 * time.Second):
			return nil, fmt.Errorf("no post about %s within 30 s: %s", name, d.log.String())
		}
	}
	slices.Sort(took)
	return took, nil
}

// steady pushes changes in batches of 100 at the rate, until stop is closed, and returns the rate it reached.
func steady(ctx context.Context, address string, rate float64, stop <-chan struct{}) (float64, error) {
	began, sent := time.Now(), 0
	every := time.NewTicker(time.Duration(float64(time.Second) * 100 / rate))
	defer every.Stop()
	for {
		select {
		case <-stop:
			return float64(sent) / time.Since(began).Seconds(), nil
		case <-every.C:
		}
		if _, err := pushRate(ctx, address, 100, 100, 1, fmt.Sprintf("s%d", sent)); err != nil {
			return 0, err
		}
		sent += 100
	}
}

// benchStorm sends 10 000 alerts of 200 groups, each group growing in five posts as Alertmanager sends it, and counts what became
// of them.
func benchStorm(ctx context.Context, o options, r *results) error {
	groups, each := 200, 50
	if o.short {
		groups, each = 20, 50
	}
	s := newSink()
	defer s.server.Close()
	return withDaemon(ctx, o, liveConfig(s.server.URL), func(d *daemon) error {
		before, err := residentBytes(d.cmd.Process.Pid)
		if err != nil {
			return err
		}
		began := time.Now()
		for part := 1; part <= 5; part++ {
			for g := range groups {
				names := make([]string, each*part/5)
				for i := range names {
					names[i] = fmt.Sprintf("Storm%dx%d", g, i)
				}
				if err := d.post(ctx, "/api/v1/alerts", webhook(fmt.Sprint("storm", g), fmt.Sprintf("storm-%d", g), began, names...)); err != nil {
					return err
				}
			}
		}
		taken := time.Since(began)
		err = d.await(ctx, 2*time.Minute, func() error {
			if told, _ := s.counts(); told < groups {
				return fmt.Errorf("%d of %d incidents were posted", told, groups)
			}
			return nil
		})
		if err != nil {
			return err
		}
		all := time.Since(began)
		alerts := 0
		incidents, err := allIncidents(ctx, d)
		if err != nil {
			return err
		}
		for _, inc := range incidents {
			alerts += len(inc.Alerts)
		}
		after, err := residentBytes(d.cmd.Process.Pid)
		if err != nil {
			return err
		}
		told, posts := s.counts()
		name := fmt.Sprintf("Storm/alerts=%d/groups=%d", groups*each, groups)
		r.add(line{
			Name: name + "/accounted", Ours: float64(alerts), Unit: "alerts", Limit: float64(groups * each), By: "what was sent", Budget: float64(groups * each),
			Note: fmt.Sprintf("taken in %s; %d incidents, %d of them posted, %d posts with what followed", taken.Round(time.Millisecond), len(incidents), told, posts),
		})
		r.add(line{Name: name + "/last-post", Ours: all.Seconds(), Unit: "s", Less: true, Budget: 60})
		r.add(line{Name: name + "/rss-growth", Ours: float64(after-before) / (1 << 20), Unit: "MB", Less: true, Note: fmt.Sprintf("from %d MB", before>>20)})
		return nil
	})
}

func allIncidents(ctx context.Context, d *daemon) ([]triage.Incident, error) {
	var all []triage.Incident
	for after := ""; ; {
		var page struct {
			Items []triage.Incident
			Next  string
		}
		if err := d.get(ctx, "/api/v1/incidents?limit=200&after="+after, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if after = page.Next; after == "" {
			return all, nil
		}
	}
}

// slackConfig posts to a Slack that can be read back.
func slackConfig(url string) string {
	return fmt.Sprintf(`incidents: {second_looks: [], delivery: {timeout: 2s, backoff_min: 300ms, backoff_max: 1s, max_attempts: 1000}}
route: {mode: live, receiver: slack}
receivers: [{name: slack, slack_configs: [{token: xoxb-proof-0123456789, channel: C0123456789, api_url: %q}]}]
`, url+"/api/")
}

// benchSize measures the binary, an empty start, and what the process holds at rest.
func benchSize(ctx context.Context, o options, r *results) error {
	info, err := os.Stat(o.binary)
	if err != nil {
		return err
	}
	r.add(line{Name: "Binary", Ours: float64(info.Size()) / (1 << 20), Unit: "MB", Less: true, Budget: 60})
	runs := 11
	if o.short {
		runs = 3
	}
	var took []time.Duration
	for range runs {
		dir, err := os.MkdirTemp("", "proof")
		if err != nil {
			return err
		}
		d, err := newDaemon(o.binary, dir, "")
		if err != nil {
			return err
		}
		t, err := d.startReady(ctx, 15*time.Second)
		if err == nil && len(took) == 0 {
			var u usage
			if u, err = d.usage(ctx); err == nil {
				r.add(line{Name: "Memory/at-rest", Ours: float64(u.rss) / (1 << 20), Unit: "MB", Less: true, Note: fmt.Sprintf("%d goroutines, %d descriptors", u.goroutines, u.descriptors)})
			}
		}
		d.close()
		if err := firstOf(err, os.RemoveAll(dir)); err != nil {
			return err
		}
		took = append(took, t)
	}
	slices.Sort(took)
	r.add(line{Name: "EmptyStartToReady", Ours: ms(quantile(took, .5)), Unit: "ms", Less: true, Budget: 200, Note: fmt.Sprintf("slowest of %d: %s ms", runs, figure(ms(took[len(took)-1])))})
	return nil
}

// benchRestart fills a journal with changes of the last three hours, starts the daemon on it after a clean stop and after a kill,
// and measures memory and lists there.
func benchRestart(ctx context.Context, o options, r *results) error {
	sizes := []int{100_000, 1_000_000}
	if o.short {
		sizes = []int{20_000}
	}
	for _, n := range sizes {
		if err := restartLines(ctx, o, r, n); err != nil {
			return err
		}
	}
	return nil
}

func restartLines(ctx context.Context, o options, r *results, n int) error {
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
	if err := os.Mkdir(d.dataDir(), 0o700); err != nil {
		return err
	}
	if err := prefill(ctx, d.journalPath(), n); err != nil {
		return err
	}
	budget := 0.0
	if n >= 1_000_000 {
		budget = 5
	}
	for _, how := range []string{"clean", "killed"} {
		took, err := d.startReady(ctx, time.Minute)
		if err != nil {
			return err
		}
		r.add(line{Name: fmt.Sprintf("Restart/changes=%d/%s", n, how), Ours: took.Seconds(), Unit: "s", Less: true, Budget: budget, Note: "from starting the process to 200 on /-/ready"})
		if how == "clean" {
			if err := d.kill(); err != nil {
				return err
			}
		}
	}
	if err := d.settled(ctx); err != nil {
		return err
	}
	u, err := d.usage(ctx)
	if err != nil {
		return err
	}
	l := line{Name: fmt.Sprintf("Memory/changes=%d", n), Ours: float64(u.rss) / (1 << 20), Unit: "MB", Less: true}
	if n >= 1_000_000 {
		l.Budget = 512
	}
	r.add(l)
	return lists(ctx, d, r, n)
}

// settled waits until the work after a start is done: memory says little before.
func (d *daemon) settled(ctx context.Context) error {
	last := -1.0
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for range 120 {
		cpu, err := d.metric(ctx, "process_cpu_seconds_total", "")
		if err != nil {
			return err
		}
		if last >= 0 && cpu-last < 0.05 {
			return nil
		}
		last = cpu
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return errors.New("the daemon is still busy a minute after its start")
}

// prefill writes n changes spread over the last 2 h 50 min.
func prefill(ctx context.Context, path string, n int) error {
	j, err := openJournal(ctx, path)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	now := time.Now()
	entries := make([]triage.Entry, 0, 1000)
	for i := range n {
		c := makeChange(fmt.Sprintf("p:%08d", i), i*7919%2000, now.Add(-time.Duration(n-i)*170*time.Minute/time.Duration(n)), 1024)
		if entries = append(entries, triage.Entry{Event: triage.Event{Change: &c}}); len(entries) == cap(entries) || i == n-1 {
			if err := j.Append(ctx, entries); err != nil {
				return err
			}
			entries = entries[:0]
		}
	}
	return firstOf(j.Close(), <-done)
}
