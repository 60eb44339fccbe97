package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// marks are the positions of one session: where we are in each partition, and where its log ended when last looked at.
type marks struct {
	mu       sync.Mutex
	position map[partition]int64 // next offset to take; for partitions of other members, as it was at the start
	end      map[partition]int64 // highest end seen
	suspect  map[partition]bool  // its log was seen to end before our position once
}

func newMarks() *marks {
	return &marks{position: make(map[partition]int64), end: make(map[partition]int64), suspect: make(map[partition]bool)}
}

// topics lists the topics that have partitions, sorted.
func (m *marks) topics() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	set := make(map[string]bool)
	for p := range m.end {
		set[p.topic] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func (m *marks) read(p partition, next int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.position[p] = max(m.position[p], next)
}

// prepare finds the partitions and gives those without a usable committed offset one, before the group is joined.
func (s *Source) prepare(ctx context.Context, conn *connection) (*marks, error) {
	parts, err := s.partitions(ctx, conn)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("none of the topics exists yet: %s", topicNames(s.cfg.Topics))
	}
	committed, err := s.committed(ctx, conn, parts)
	if err != nil {
		return nil, err
	}
	first, err := listOffsets(ctx, conn, parts, kafka.FirstOffsetOf)
	if err != nil {
		return nil, err
	}
	end, err := listOffsets(ctx, conn, parts, kafka.LastOffsetOf)
	if err != nil {
		return nil, err
	}
	var place []partition // to be given an offset
	reset := false
	for _, p := range parts {
		at, known := committed[p]
		switch {
		case !known:
			place = append(place, p)
		case at > end[p] || s.reseek[p]:
			reset = true
			place = append(place, p)
			s.metrics.resets.WithLabelValues(s.cfg.Name, "past_end").Inc()
			s.log.Warn("the log was emptied or cut behind our position; reading it anew",
				"topic", p.topic, "partition", p.id, "position", at, "log_start", first[p], "log_end", end[p])
		case at < first[p]:
			s.metrics.resets.WithLabelValues(s.cfg.Name, "expired").Inc()
			s.log.Warn("records were deleted by the topic's retention before they were read",
				"topic", p.topic, "partition", p.id, "position", at, "log_start", first[p], "lost", first[p]-at)
		}
	}
	target, err := s.targets(ctx, conn, place, first, end)
	if err != nil {
		return nil, err
	}
	if err := s.place(ctx, conn, target, reset); err != nil {
		return nil, err
	}
	clear(s.reseek)
	m := newMarks()
	maps.Copy(m.end, end)
	maps.Copy(m.position, committed)
	maps.Copy(m.position, target)
	return m, nil
}

// targets says where to begin in partitions without a usable offset.
func (s *Source) targets(ctx context.Context, conn *connection, place []partition, first, end map[partition]int64) (map[partition]int64, error) {
	target := make(map[partition]int64, len(place))
	if len(place) == 0 {
		return target, nil
	}
	var byTime map[partition]int64
	if s.cfg.Start != StartEarliest && s.cfg.Start != StartLatest {
		before, err := s.cfg.Start.before(s.retention)
		if err != nil {
			return nil, fmt.Errorf("start: %q: %w", s.cfg.Start, err)
		}
		from := s.now().Add(-before)
		byTime, err = listOffsets(ctx, conn, place, func(id int) kafka.OffsetRequest { return kafka.TimeOffsetOf(id, from) })
		if err != nil {
			return nil, err
		}
	}
	for _, p := range place {
		at, ok := byTime[p]
		switch {
		case s.cfg.Start == StartEarliest:
			at = first[p]
		case s.cfg.Start == StartLatest && !s.reseek[p]:
			at = end[p]
		case s.cfg.Start == StartLatest: // a log that was reset holds only what we have not seen
			at = first[p]
		case !ok || at < 0: // nothing that young
			at = end[p]
		}
		target[p] = at
	}
	return target, nil
}

// place commits offsets on behalf of the group, which works only while it has no members. One that crashed counts until its
// session times out: that is waited for. After that the group is alive elsewhere; its unset partitions then begin at the
// first record, which loses nothing, but a reset log cannot be mended from here.
func (s *Source) place(ctx context.Context, conn *connection, target map[partition]int64, reset bool) error {
	if len(target) == 0 {
		return nil
	}
	topics := make(map[string][]kafka.OffsetCommit)
	for p, at := range target {
		topics[p.topic] = append(topics[p.topic], kafka.OffsetCommit{Partition: p.id, Offset: at})
	}
	res, err := conn.client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{Addr: conn.addr(), GroupID: s.cfg.GroupID, GenerationID: -1, Topics: topics})
	if err == nil {
		for _, ps := range res.Topics {
			for _, p := range ps {
				err = errors.Join(err, p.Error)
			}
		}
	}
	if err == nil {
		s.blockedSince = time.Time{}
		s.log.Info("start offsets set for the consumer group", "group", s.cfg.GroupID, "partitions", len(target), "start", string(s.cfg.Start))
		return nil
	}
	inUse := errors.Is(err, kafka.UnknownMemberId) || errors.Is(err, kafka.RebalanceInProgress) || errors.Is(err, kafka.IllegalGeneration)
	if !inUse {
		return fmt.Errorf("commit start offsets of group %q: %w", s.cfg.GroupID, err)
	}
	if s.blockedSince.IsZero() {
		s.blockedSince = s.now()
	}
	if reset || s.now().Sub(s.blockedSince) < time.Duration(s.cfg.SessionTimeout)+5*time.Second {
		return fmt.Errorf("group %q has members besides us, so its offsets cannot be set; stop them or choose another group_id: %w", s.cfg.GroupID, err)
	}
	s.log.Warn("group has other members, so start offsets cannot be set; its unset partitions begin at their first record", "group", s.cfg.GroupID)
	return nil
}

// partitions lists the partitions of those configured topics that exist, sorted. A missing topic is not an error: it may
// be made later, and the others are read meanwhile.
func (s *Source) partitions(ctx context.Context, conn *connection) ([]partition, error) {
	names := make([]string, len(s.cfg.Topics))
	for i, t := range s.cfg.Topics {
		names[i] = t.Topic
	}
	res, err := conn.client.Metadata(ctx, &kafka.MetadataRequest{Addr: conn.addr(), Topics: names})
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	var parts []partition
	for _, t := range res.Topics {
		if errors.Is(t.Error, kafka.UnknownTopicOrPartition) {
			continue
		}
		if t.Error != nil {
			return nil, fmt.Errorf("list partitions of topic %q: %w", t.Name, t.Error)
		}
		for _, p := range t.Partitions {
			parts = append(parts, partition{t.Name, p.ID})
		}
	}
	slices.SortFunc(parts, comparePartitions)
	return parts, nil
}

// committed returns the group's offsets; partitions without one are absent.
func (s *Source) committed(ctx context.Context, conn *connection, parts []partition) (map[partition]int64, error) {
	topics := make(map[string][]int)
	for _, p := range parts {
		topics[p.topic] = append(topics[p.topic], p.id)
	}
	res, err := conn.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{Addr: conn.addr(), GroupID: s.cfg.GroupID, Topics: topics})
	if err == nil {
		err = res.Error
	}
	if errors.Is(err, kafka.GroupIdNotFound) { // some brokers say this, others −1 for every partition
		return map[partition]int64{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read offsets of group %q: %w", s.cfg.GroupID, err)
	}
	out := make(map[partition]int64)
	for topic, ps := range res.Topics {
		for _, p := range ps {
			if p.Error != nil {
				return nil, fmt.Errorf("read offset of topic=%s partition=%d: %w", topic, p.Partition, p.Error)
			}
			if p.CommittedOffset >= 0 {
				out[partition{topic, p.Partition}] = p.CommittedOffset
			}
		}
	}
	return out, nil
}

// listOffsets asks for one offset of each partition: first, last, or that of a time (−1 where there is none so young).
func listOffsets(ctx context.Context, conn *connection, parts []partition, of func(id int) kafka.OffsetRequest) (map[partition]int64, error) {
	topics := make(map[string][]kafka.OffsetRequest)
	var at int64
	for _, p := range parts {
		r := of(p.id)
		at = r.Timestamp
		topics[p.topic] = append(topics[p.topic], r)
	}
	res, err := conn.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Addr: conn.addr(), Topics: topics})
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	out := make(map[partition]int64, len(parts))
	for topic, ps := range res.Topics {
		for _, p := range ps {
			if p.Error != nil {
				return nil, fmt.Errorf("list offsets of topic=%s partition=%d: %w", topic, p.Partition, p.Error)
			}
			switch at {
			case kafka.FirstOffset:
				out[partition{topic, p.Partition}] = p.FirstOffset
			case kafka.LastOffset:
				out[partition{topic, p.Partition}] = p.LastOffset
			default:
				for offset := range p.Offsets { // one was asked for
					out[partition{topic, p.Partition}] = offset
				}
			}
		}
	}
	for _, p := range parts {
		if _, ok := out[p]; !ok {
			return nil, fmt.Errorf("list offsets: no answer for topic=%s partition=%d", p.topic, p.id)
		}
	}
	return out, nil
}
