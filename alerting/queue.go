package alerting

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// queue holds the incidents that wait for triage, each once: asking again while one waits only makes it come sooner.
// No incident is given out twice at the same time. A full queue refuses, and the caller tells.
type queue struct {
	limit int
	wake  chan struct{} // capacity 1: something may be due

	mu    sync.Mutex
	heap  jobHeap
	byID  map[string]*job
	busy  map[string]bool
	order uint64
}

type job struct {
	id    string
	cause string
	due   time.Time
	order uint64 // ties go by arrival
	index int
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, wake: make(chan struct{}, 1), byID: make(map[string]*job), busy: make(map[string]bool)}
}

// add reports false if the queue is full. The weightier of two causes stays.
func (q *queue) add(id, cause string, due time.Time) bool {
	q.mu.Lock()
	j, ok := q.byID[id]
	switch {
	case ok:
		if due.Before(j.due) {
			j.due = due
		}
		if causeWeight(cause) > causeWeight(j.cause) {
			j.cause = cause
		}
		heap.Fix(&q.heap, j.index)
	case len(q.heap) >= q.limit:
		q.mu.Unlock()
		return false
	default:
		q.order++
		j = &job{id: id, cause: cause, due: due, order: q.order}
		q.byID[id] = j
		heap.Push(&q.heap, j)
	}
	q.mu.Unlock()
	q.signal()
	return true
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) has(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, waits := q.byID[id]
	return waits || q.busy[id]
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.heap)
}

// next blocks until an incident is due, and marks it busy until done. ok is false when ctx ends.
func (q *queue) next(ctx context.Context, now func() time.Time) (j job, ok bool) {
	for ctx.Err() == nil {
		j, wait, found := q.pop(now())
		if found {
			q.signal() // another one may be due, for another worker
			return j, true
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	return job{}, false
}

// pop takes the earliest due incident that is not busy, or says how long to wait for one.
func (q *queue) pop(now time.Time) (job, time.Duration, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var skipped []*job
	defer func() {
		for _, j := range skipped {
			heap.Push(&q.heap, j)
		}
	}()
	for len(q.heap) > 0 {
		j := q.heap[0]
		if wait := j.due.Sub(now); wait > 0 {
			return job{}, wait, false
		}
		heap.Pop(&q.heap)
		if q.busy[j.id] {
			skipped = append(skipped, j) // done wakes us
			continue
		}
		delete(q.byID, j.id)
		q.busy[j.id] = true
		return *j, 0, true
	}
	return job{}, time.Hour, false
}

func (q *queue) done(id string) {
	q.mu.Lock()
	delete(q.busy, id)
	q.mu.Unlock()
	q.signal()
}

type jobHeap []*job

func (h jobHeap) Len() int { return len(h) }
func (h jobHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].order < h[j].order
}

func (h jobHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *jobHeap) Push(x any) {
	j := x.(*job)
	j.index = len(*h)
	*h = append(*h, j)
}

func (h *jobHeap) Pop() any {
	old := *h
	j := old[len(old)-1]
	*h = old[:len(old)-1]
	return j
}
