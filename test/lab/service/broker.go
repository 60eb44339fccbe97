package service

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// queueBound is the longest a queue gets: about 1 MiB. What comes then is refused with 503.
const queueBound = 20000

// broker holds the queues between orders and its workers, in memory.
type broker struct {
	published, taken *prometheus.CounterVec
	queues           map[string]chan time.Time
}

var queueNames = [...]string{"issue", "notify"}

func (p *process) newBroker() *broker {
	b := &broker{
		published: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "broker_messages_published_total", Help: "Messages in."}, []string{"queue"}),
		taken:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "broker_messages_delivered_total", Help: "Messages out."}, []string{"queue", "consumer"}),
		queues:    make(map[string]chan time.Time),
	}
	p.meter.reg.MustRegister(b.published, b.taken)
	for _, name := range queueNames {
		q := make(chan time.Time, queueBound)
		b.queues[name] = q
		p.meter.gauge("broker_queue_depth", prometheus.Labels{"queue": name}, func() float64 { return float64(len(q)) })
	}
	return b
}

func (b *broker) publish(r *http.Request) int {
	name := r.FormValue("queue")
	select {
	case b.queues[name] <- time.Now(): // of an unknown queue: never ready
		b.published.WithLabelValues(name).Inc()
		return http.StatusAccepted
	default:
		return http.StatusServiceUnavailable
	}
}

// take gives one message, or 204 after a second without one.
func (b *broker) take(r *http.Request) int {
	name := r.FormValue("queue")
	select {
	case <-b.queues[name]:
		b.taken.WithLabelValues(name, r.FormValue("consumer")).Inc()
		return http.StatusOK
	case <-time.After(time.Second):
	case <-r.Context().Done():
	}
	return http.StatusNoContent
}

// consume takes messages of a queue with so many hands until ctx ends, and works on them.
func (p *process) consume(ctx context.Context, queue string, hands float64, work func(context.Context) error) {
	from := p.newClient("broker", nil)
	var running sync.WaitGroup
	for hand := range 8 {
		running.Go(func() {
			for ctx.Err() == nil {
				if float64(hand) >= p.settings().value("hands", hands) {
					sleep(ctx, 250*time.Millisecond)
					continue
				}
				code, _, err := from.do(ctx, http.MethodPost, "/take?queue="+queue+"&consumer="+p.name)
				if err != nil || code >= 500 {
					sleep(ctx, 200*time.Millisecond)
				}
				if err != nil || code != http.StatusOK {
					continue
				}
				began := time.Now()
				if err = p.misbehave(ctx); err == nil {
					err = work(ctx)
				}
				p.meter.worked(queue, err, time.Since(began))
			}
		})
	}
	running.Wait()
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
