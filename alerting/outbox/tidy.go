package outbox

import (
	"context"
	"errors"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// Tidier is a Notifier whose other side may carry out a post long after we gave it up, so that a second attempt made a second copy.
// Tidy removes every copy of the notification's delivery but the one that was recorded, and says how many it found.
type Tidier interface {
	Tidy(context.Context, Notification) (removed int, err error)
}

// tidyAfter is when a delivery that took more than one uncertain attempt is looked at again, since it was recorded. What appears
// later than the last of these stays.
var tidyAfter = [...]time.Duration{15 * time.Second, time.Minute, 5 * time.Minute}

// maxTidying bounds the deliveries that are looked at again, about 1 KiB each.
const maxTidying = 1000

// tidying is one delivery on its way through tidyAfter.
type tidying struct {
	del  triage.Delivery
	step int
}

func (t tidying) due() time.Time { return t.del.DeliveredAt.Add(tidyAfter[t.step]) }

// untidy notes a delivered delivery that may have copies.
func (d *Dispatcher) untidy(del triage.Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.tidying) < maxTidying {
		d.tidying = append(d.tidying, tidying{del: del})
	}
}

var errOldEnough = errors.New("older than any that is tidied")

// loadUntidy finds those that an earlier run left.
func (d *Dispatcher) loadUntidy(ctx context.Context) error {
	oldest := d.o.Now().Add(-time.Duration(d.o.Config.MaxAge) - tidyAfter[len(tidyAfter)-1])
	q := triage.DeliveryQuery{States: []triage.DeliveryState{triage.DeliveryDelivered}}
	err := d.each(ctx, q, func(del triage.Delivery) error {
		if del.CreatedAt.Before(oldest) {
			return errOldEnough
		}
		if del.Uncertain {
			d.untidy(del)
		}
		return nil
	})
	if errors.Is(err, errOldEnough) {
		return nil
	}
	return err
}

// tidy looks at those that are due, one after the other: it is never urgent.
func (d *Dispatcher) tidy(ctx context.Context, now time.Time) {
	d.mu.Lock()
	var due, rest []tidying
	for _, t := range d.tidying {
		if t.due().After(now) {
			rest = append(rest, t)
		} else {
			due = append(due, t)
		}
	}
	d.tidying = rest
	d.mu.Unlock()
	for _, t := range due {
		d.tidyOne(ctx, t)
		if t.step++; t.step < len(tidyAfter) {
			d.mu.Lock()
			d.tidying = append(d.tidying, t)
			d.mu.Unlock()
			continue
		}
		if fresh, err := d.o.Store.Delivery(ctx, t.del.ID); err == nil && fresh.State == triage.DeliveryDelivered {
			fresh.Uncertain = false
			d.save(ctx, fresh)
		}
	}
}

func (d *Dispatcher) tidyOne(ctx context.Context, t tidying) {
	d.mu.Lock()
	i := d.integrations[t.del.Receiver]
	d.mu.Unlock()
	if i == nil {
		return
	}
	tidier, ok := i.Notifier.(Tidier)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(d.o.Config.Timeout))
	defer cancel()
	removed, err := tidier.Tidy(ctx, Notification{Delivery: t.del})
	if removed > 0 {
		d.metrics.surplus.WithLabelValues(i.key).Add(float64(removed))
		d.log.Warn("the receiver had carried out an attempt that was given up; the surplus was deleted", "receiver", i.key, "delivery", t.del.ID, "copies", removed)
	}
	if err != nil && ctx.Err() == nil {
		d.log.Warn("look for surplus copies; the delivery itself stands", "receiver", i.key, "delivery", t.del.ID, "err", say.Clean(err.Error(), maxErrorText))
	}
}
