package prometheus

import (
	"context"
	"sync"

	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/triage"
)

// collect takes events as the collector would.
type collect struct {
	mu     sync.Mutex
	events []triage.Event
	err    error // what emit answers
}

func (c *collect) emit(_ context.Context, es []triage.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.events = append(c.events, es...)
	return nil
}

func toLabelSet(kv ...string) model.LabelSet {
	ls := make(model.LabelSet)
	for i := 0; i+1 < len(kv); i += 2 {
		ls[model.LabelName(kv[i])] = model.LabelValue(kv[i+1])
	}
	return ls
}
