package prometheus

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// query is one question to the server.
type query[T any] struct {
	key   string        // of cache and singleflight: everything the answer depends on
	until time.Time     // end of the range asked for; decides how long the answer stays true
	ttl   time.Duration // where it does not depend on until
	cost  func(T) int64 // bytes in the cache, about
	call  func(ctx context.Context, left time.Duration) (T, error)
}

const (
	settled    = 5 * time.Minute  // ranges that end longer ago than this hardly change any more
	settledTTL = 10 * time.Minute // so their answers are kept this long
)

// errShortTime marks a timeout that says more about the time we had than about the server.
var errShortTime = errors.New("too little time was left")

// fetch answers from the cache, or joins a query that is under way, or asks. It returns when ctx ends, at the latest.
// The question itself outlives its first caller: whoever else waits for it still gets the answer, and so does the cache.
func fetch[T any](ctx context.Context, c *client, q query[T]) (T, error) {
	var none T
	if c.cache != nil {
		if v, ok := c.cache.Get(q.key); ok {
			if t, ok := v.(T); ok {
				c.m.cacheHits.Inc()
				return t, nil
			}
		}
	}
	for try := 0; ; try++ {
		if err := ctx.Err(); err != nil {
			return none, queryError(c.cfg.Name, err)
		}
		// Background work has a flight of its own, or a triage would wait in its queue.
		done := c.flight.DoChan(fmt.Sprint(c.background, q.key), func() (any, error) { return ask(ctx, c, q) })
		select {
		case <-ctx.Done():
			return none, queryError(c.cfg.Name, ctx.Err())
		case r := <-done:
			if r.Err == nil {
				t, _ := r.Val.(T)
				return t, nil
			}
			if r.Shared && try == 0 && errors.Is(r.Err, errShortTime) {
				continue // the caller we joined had less time than we have
			}
			return none, queryError(c.cfg.Name, r.Err)
		}
	}
}

// ask waits for budget and a slot and then puts the question, all before first's deadline.
func ask[T any](first context.Context, c *client, q query[T]) (T, error) {
	var none T
	ctx, cancel := detach(first, c)
	defer cancel()
	if err := c.wait(ctx); err != nil {
		qe := queryError(c.cfg.Name, err)
		c.m.queries.WithLabelValues(string(qe.Reason)).Inc()
		return none, errors.Join(qe, errShortTime)
	}
	defer c.release()

	left := time.Duration(c.cfg.Timeout)
	if d, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(d))
	}
	short := left < min(time.Second, time.Duration(c.cfg.Timeout))
	ctx, cancelCall := context.WithTimeout(ctx, left)
	defer cancelCall()
	v, err := c.breaker.Execute(func() (any, error) {
		start := time.Now()
		c.m.inflight.Inc()
		defer func() {
			c.m.inflight.Dec()
			c.m.seconds.Observe(time.Since(start).Seconds())
		}()
		v, err := guard(func() (T, error) { return q.call(ctx, left) })
		if err != nil {
			qe := queryError(c.cfg.Name, err)
			if short && qe.Reason == ReasonTimeout {
				return v, errors.Join(qe, errShortTime)
			}
			return v, qe
		}
		return v, nil
	})
	if err != nil {
		qe := queryError(c.cfg.Name, err)
		c.m.queries.WithLabelValues(string(qe.Reason)).Inc()
		if errors.Is(err, errShortTime) {
			return none, err
		}
		return none, qe
	}
	c.m.queries.WithLabelValues("ok").Inc()
	t, _ := v.(T)
	if c.cache != nil {
		ttl := q.ttl
		if ttl == 0 {
			ttl = time.Duration(c.cfg.Cache.TTL)
			if c.now().Sub(q.until) > settled {
				ttl = settledTTL
			}
		}
		c.cache.SetWithTTL(q.key, t, q.cost(t), ttl) // may be dropped: then it is asked again
	}
	return t, nil
}

// detach keeps ctx's values and deadline but not its cancellation; it ends with the client.
func detach(ctx context.Context, c *client) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if longest := time.Now().Add(3 * time.Duration(c.cfg.Timeout)); !ok || deadline.After(longest) {
		deadline = longest
	}
	out, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	stop := context.AfterFunc(c.life, cancel)
	return out, func() { stop(); cancel() }
}

// wait takes a slot, in turn, and one query from the budget; release gives the slot back. The slot comes first, so that a budget
// that is nearly spent goes to what is worth most. The background's own bounds come before both: it can never hold the last slot
// or the last of the budget.
func (c *client) wait(ctx context.Context) error {
	if c.background {
		if err := c.spend(ctx, true); err != nil {
			return err
		}
		select {
		case c.bgSlots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := c.slots.acquire(ctx)
	if err == nil {
		if err = c.spend(ctx, false); err == nil {
			return nil
		}
		c.slots.release()
	}
	if c.background {
		<-c.bgSlots
	}
	return err
}

func (c *client) release() {
	c.slots.release()
	if c.background {
		<-c.bgSlots
	}
}

// spare reports whether the budget has enough left for what can be done without.
func (c *client) spare() bool { return c.budget.Tokens() >= float64(c.budget.Burst())/4 }

func (c *client) spend(ctx context.Context, background bool) error {
	l := c.budget
	if background {
		l = c.bg
	}
	if l.Allow() {
		return nil
	}
	c.m.budgetWaits.Inc()
	if err := l.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &QueryError{Server: c.cfg.Name, Reason: ReasonBudget, Detail: "queries_per_minute is spent"}
	}
	return nil
}

// guard turns a panic while decoding a lying answer into an error.
func guard[T any](call func() (T, error)) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &QueryError{Reason: ReasonBadAnswer, Detail: "the answer could not be decoded"}
		}
	}()
	return call()
}
