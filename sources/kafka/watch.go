package kafka

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

// watch looks at the cluster every check interval: lag, new partitions, and logs that ended before our position. It
// returns errResubscribe when the session must begin anew, and nil when ctx ends.
func (s *Source) watch(ctx context.Context, conn *connection, marks *marks) error {
	t := time.NewTicker(time.Duration(s.cfg.CheckInterval))
	defer t.Stop()
	for {
		s.lives.look(ctx, s.now())
		err := s.check(ctx, conn, marks)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errResubscribe):
			return err
		case err != nil:
			s.trouble(err)
		default:
			s.reached()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// check compares positions with the ends of the log. A log that ends before our position on two checks running was reset;
// once may be a broker that has just become leader.
func (s *Source) check(ctx context.Context, conn *connection, marks *marks) error {
	parts, err := s.partitions(ctx, conn)
	if err != nil {
		return err
	}
	if added := marks.added(parts); len(added) > 0 {
		s.log.Info("partitions were added; joining the group anew", "partitions", len(added), "first", added[0].topic)
		return errResubscribe
	}
	if len(parts) == 0 {
		s.state.setLag(0, s.now())
		return nil
	}
	// Positions before ends: the log goes on growing, and so do positions, in between.
	committed, err := s.committed(ctx, conn, parts)
	if err != nil {
		return err
	}
	at := marks.reached(committed)
	end, err := listOffsets(ctx, conn, parts, kafka.LastOffsetOf)
	if err != nil {
		return err
	}
	lag, reset := marks.compare(at, end)
	if len(reset) > 0 {
		for _, p := range reset {
			s.reseek[p] = true
		}
		return errResubscribe
	}
	now := s.now()
	s.state.setLag(lag, now)
	s.metrics.lagRecords.WithLabelValues(s.cfg.Name).Set(float64(lag))
	s.metrics.lagSeconds.WithLabelValues(s.cfg.Name).Set(s.Status().LagS)
	return nil
}

// added returns the partitions that were not there when the session began.
func (m *marks) added(parts []partition) []partition {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []partition
	for _, p := range parts {
		if _, known := m.end[p]; !known {
			out = append(out, p)
		}
	}
	return out
}

// reached returns how far the group has come: partitions of other members count by what was committed.
func (m *marks) reached(committed map[partition]int64) map[partition]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := maps.Clone(m.position)
	for p, offset := range committed {
		at[p] = max(at[p], offset)
	}
	return at
}

// compare returns the lag in records over all partitions and those whose log was reset. at must be older than end.
func (m *marks) compare(at, end map[partition]int64) (lag int64, reset []partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range slices.SortedFunc(maps.Keys(end), comparePartitions) {
		before := max(at[p], m.end[p])
		switch {
		case end[p] >= before:
			m.end[p] = end[p]
			delete(m.suspect, p)
		case m.suspect[p]:
			reset = append(reset, p)
		default:
			m.suspect[p] = true
		}
		lag += max(0, end[p]-at[p])
	}
	return lag, reset
}

func comparePartitions(a, b partition) int {
	return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.id, b.id))
}

func topicNames(topics []TopicConfig) string {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Topic
	}
	return strings.Join(names, ", ")
}
