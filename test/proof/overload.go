package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// overload sends far more at once than may be worked on. Every request must be answered: taken, or refused with 429 or 503 and a time
// to come again; what was taken is there, what was refused is not and is counted.
func overload(ctx context.Context, o options) error {
	return withDaemon(ctx, o, "auth: {limits: {in_flight: 2, requests_per_second: 2000, burst: 50}}\n", func(d *daemon) error {
		workers, each := 64, 100
		if o.short {
			workers, each = 64, 15
		}
		var mu sync.Mutex
		var taken []string
		refused, bare, other := 0, 0, 0
		var all sync.WaitGroup
		for w := range workers {
			all.Go(func() {
				for i := range each {
					id := fmt.Sprintf("over:%d/%d", w, i)
					err := d.post(ctx, "/api/v1/changes", makeChange(id, i, time.Now(), 2048))
					e, isStatus := errors.AsType[*statusError](err)
					mu.Lock()
					switch {
					case err == nil:
						taken = append(taken, id)
					case isStatus && (e.code == 429 || e.code == 503):
						refused++
						if e.retryAfter == "" {
							bare++
						}
					default:
						other++
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
		var counted float64
		err := d.await(ctx, 5*time.Second, func() error {
			var err error
			if counted, err = d.metric(ctx, "triaged_http_rejected_total", ""); err == nil && int(counted) != refused {
				err = fmt.Errorf("%d requests were refused, %v are counted", refused, counted)
			}
			return err
		})
		for _, id := range taken {
			if e := retried(ctx, func() error { return d.get(ctx, "/api/v1/changes/"+id, nil) }); e != nil {
				return fmt.Errorf("overload: acknowledged %s is lost: %w", id, e)
			}
		}
		if bare+other > 0 || refused == 0 || len(taken) == 0 {
			err = errors.Join(err, fmt.Errorf("%d taken, %d refused, %d of them without Retry-After, %d answered otherwise", len(taken), refused, bare, other))
		}
		if err != nil {
			return fmt.Errorf("overload: %w", err)
		}
		fmt.Fprintf(o.out, "ok    overload: %d sent, %d taken and there, %d refused with 429 or 503 and Retry-After, all counted\n", workers*each, len(taken), refused)
		return nil
	})
}

// retried asks again while it is told to come later.
func retried(ctx context.Context, f func() error) error {
	for {
		err := f()
		if e, ok := errors.AsType[*statusError](err); !ok || e.retryAfter == "" || ctx.Err() != nil {
			return err
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// slowloris opens many connections that send a header a byte at a time, and more that send a body so; pushes must go on, and the
// connections must be gone within the time a header, or a body, may take.
func slowloris(ctx context.Context, o options) error {
	return withDaemon(ctx, o, "auth: {limits: {body_timeout: 3s}}\n", func(d *daemon) error {
		const n = 400 // a quarter of them owe a body: more than may be worked on at once
		before, err := d.usage(ctx)
		if err != nil {
			return err
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		var lasted []time.Duration
		for i := range n {
			c, err := net.Dial("tcp", d.address)
			if err != nil {
				return err
			}
			start := "POST /api/v1/changes HTTP/1.1\r\nHost: " + d.address + "\r\nX-Slow: "
			if i%4 == 0 {
				start = "POST /api/v1/changes HTTP/1.1\r\nHost: " + d.address + "\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
			}
			all.Go(func() {
				defer c.Close()
				began := time.Now()
				gone := make(chan struct{})
				go func() {
					defer close(gone)
					r := bufio.NewReader(c)
					for {
						if _, err := r.ReadByte(); err != nil {
							return
						}
					}
				}()
				for _, b := range []byte(start) {
					if _, err := c.Write([]byte{b}); err != nil {
						break
					}
				}
				tick := time.NewTicker(200 * time.Millisecond)
				defer tick.Stop()
				enough := time.After(20 * time.Second)
				for {
					select {
					case <-gone:
						mu.Lock()
						lasted = append(lasted, time.Since(began))
						mu.Unlock()
						return
					case <-tick.C:
						_, _ = c.Write([]byte("x")) // it may be gone: the reader says so
					case <-enough:
						return
					}
				}
			})
		}
		var took []time.Duration
		for i := range 50 {
			began := time.Now()
			if err := retried(ctx, func() error {
				return d.post(ctx, "/api/v1/changes", makeChange(fmt.Sprintf("loris:%d", i), 1, time.Now(), 512))
			}); err != nil {
				return fmt.Errorf("slowloris: a push failed: %w", err)
			}
			took = append(took, time.Since(began))
		}
		all.Wait()
		slices.Sort(took)
		slices.Sort(lasted)
		after, err := d.usage(ctx)
		if err != nil {
			return err
		}
		if len(lasted) < n || lasted[len(lasted)-1] > 15*time.Second || after.descriptors > before.descriptors+20 {
			return fmt.Errorf("slowloris: %d of %d connections ended, the last after %s; descriptors %d → %d", len(lasted), n, quantile(lasted, 1), before.descriptors, after.descriptors)
		}
		fmt.Fprintf(o.out, "ok    slowloris: %d connections, all closed within %s; pushes beside them p99 %s; descriptors %d → %d\n",
			n, lasted[len(lasted)-1].Round(time.Millisecond), quantile(took, .99).Round(time.Millisecond), before.descriptors, after.descriptors)
		return nil
	})
}

// soak pushes 500 changes a second and an alert now and then, and wants memory, goroutines and descriptors flat once the window has
// reached its size.
func soak(ctx context.Context, o options) error {
	slack := newFakeSlack()
	defer slack.server.Close()
	// The window holds few, so that it is full early and its growth does not hide another.
	config := slackConfig(slack.server.URL) + "window: {max_changes: 5000, cache_bytes: 4194304}\n"
	return withDaemon(ctx, o, config, func(d *daemon) error {
		stop, stopped := make(chan struct{}), make(chan error, 1)
		var rate float64
		go func() {
			var err error
			rate, err = steady(ctx, d.address, 500, stop)
			stopped <- err
		}()
		const samples = 40
		every := o.soak / samples
		var seen []usage
		for i := range samples {
			pause(ctx, every)
			name := fmt.Sprintf("Soak%d", i%10)
			if err := d.post(ctx, "/api/v1/alerts", webhook(name, "soak-"+name, time.Now(), name)); err != nil {
				return err
			}
			u, err := d.usage(ctx)
			if err != nil {
				return err
			}
			seen = append(seen, u)
		}
		close(stop)
		if err := <-stopped; err != nil {
			return fmt.Errorf("soak: %w", err)
		}
		early, late := middle(seen[samples/4:samples/2]), middle(seen[samples*3/4:])
		fmt.Fprintf(o.out, "soak  %s at %.0f changes/s: RSS %d → %d MB, goroutines %d → %d, descriptors %d → %d (medians of the second and the last quarter), load %s\n",
			o.soak, rate, early.rss>>20, late.rss>>20, early.goroutines, late.goroutines, early.descriptors, late.descriptors, load())
		if float64(late.rss) > 1.15*float64(early.rss)+8<<20 || late.goroutines > early.goroutines+10 || late.descriptors > early.descriptors+10 {
			return errors.New("soak: something grows")
		}
		if rate < 450 {
			return fmt.Errorf("soak: only %.0f changes/s were taken", rate)
		}
		return nil
	})
}

// middle is the median of each figure.
func middle(us []usage) usage {
	pick := func(f func(usage) int64) int64 {
		v := make([]int64, len(us))
		for i, u := range us {
			v[i] = f(u)
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return usage{
		rss: pick(func(u usage) int64 { return u.rss }), goroutines: int(pick(func(u usage) int64 { return int64(u.goroutines) })),
		descriptors: int(pick(func(u usage) int64 { return int64(u.descriptors) })),
	}
}
