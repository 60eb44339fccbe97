package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/segmentio/kafka-go"

	"github.com/triaged-dev/triaged/triage"
)

// Records of one key come in order, and what the store took is committed when the source stops.
func TestOrderAndCommit(t *testing.T) {
	onPeers(t, func(t *testing.T, p *peer) {
		topic := unique(t, "t")
		p.createTopic(t, topic, 3)
		w := p.writer(t)
		const services, each = 5, 40
		for n := range each {
			var es []triage.Event
			for s := range services {
				es = append(es, change(fmt.Sprint("s", s), n))
			}
			if err := w.WriteEvents(t.Context(), topic, es...); err != nil {
				t.Fatal(err)
			}
		}
		cfg := p.config(t, FormatTriaged, topic)
		r := start(t, Options{Config: cfg}, nil)
		next := make(map[string]int)
		for _, id := range r.take(t, services*each) {
			service, n, _ := strings.Cut(strings.TrimPrefix(id, "test:"), "/")
			if want := fmt.Sprint(next[service]); n != want {
				t.Fatalf("%s: want number %s next, got %s", service, want, n)
			}
			next[service]++
		}
		r.none(t)
		res, err := p.client.OffsetFetch(t.Context(), &kafka.OffsetFetchRequest{GroupID: cfg.GroupID, Topics: map[string][]int{topic: {0, 1, 2}}})
		if err != nil {
			t.Fatal(err)
		}
		var sum int64
		for _, o := range res.Topics[topic] {
			sum += max(0, o.CommittedOffset)
		}
		if sum != services*each {
			t.Errorf("want %d records committed, got %d", services*each, sum)
		}
	})
}

func TestRestartContinues(t *testing.T) {
	onPeers(t, func(t *testing.T, p *peer) {
		topic := unique(t, "t")
		p.createTopic(t, topic, 1)
		w := p.writer(t)
		cfg := p.config(t, FormatTriaged, topic)
		for round := range 3 {
			for n := range 10 {
				if err := w.WriteEvents(t.Context(), topic, change("a", 10*round+n)); err != nil {
					t.Fatal(err)
				}
			}
			r := start(t, Options{Config: cfg}, nil)
			ids := r.take(t, 10)
			if want := fmt.Sprintf("test:a/%d", 10*round); ids[0] != want {
				t.Errorf("round %d: want %s first, got %v", round, want, ids)
			}
			r.none(t)
		}
	})
}

// While the store refuses, nothing is committed, the same events are offered again, and the status says so.
func TestStoreThatRefuses(t *testing.T) {
	onPeers(t, func(t *testing.T, p *peer) {
		topic := unique(t, "t")
		p.createTopic(t, topic, 1)
		if err := p.writer(t).WriteEvents(t.Context(), topic, change("a", 1), change("a", 2)); err != nil {
			t.Fatal(err)
		}
		cfg := p.config(t, FormatTriaged, topic)
		refused := make(chan string)
		var tries atomic.Int32
		r := start(t, Options{Config: cfg}, func(es []triage.Event) error {
			if tries.Add(1) <= 3 {
				refused <- string(es[0].Change.ID)
				return errors.New("disk full")
			}
			return nil
		})
		for range 3 {
			if id := <-refused; id != "test:a/1" {
				t.Errorf("want the first event offered again, got %s", id)
			}
			if at := p.committed(t, cfg.GroupID, topic); at > 0 {
				t.Errorf("committed %d although the store refused", at)
			}
		}
		if st := r.src.Status(); st.State != triage.SourceLate || !strings.Contains(st.Detail, "disk full") {
			t.Errorf("want it late because of the disk, got %+v", st)
		}
		r.take(t, 2)
		r.none(t)
		if at := p.committed(t, cfg.GroupID, topic); at != 2 {
			t.Errorf("want 2 committed in the end, got %d", at)
		}
	})
}

func TestBadRecordsAreQuarantinedAndPassed(t *testing.T) {
	onPeers(t, func(t *testing.T, p *peer) {
		topic, mapped := unique(t, "t"), unique(t, "mapped")
		p.createTopic(t, topic, 1)
		p.createTopic(t, mapped, 1)
		w := p.writer(t)
		big := bytes.Repeat([]byte("x"), 900<<10) // kept whole: it can be read again
		for _, v := range [][]byte{[]byte(`{"change":{"kind":"deploy"}}`), nil, []byte("not json"), big} {
			if err := w.Write(t.Context(), Record{Topic: topic, Value: v}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Write(t.Context(), Record{Topic: mapped, Value: []byte("panic")}, Record{Topic: mapped, Value: []byte("ignore")},
			Record{Topic: mapped, Value: []byte("take"), Headers: []Header{{Key: "h", Value: []byte("v")}}}); err != nil {
			t.Fatal(err)
		}
		if err := w.WriteEvents(t.Context(), topic, change("a", 1)); err != nil {
			t.Fatal(err)
		}
		cfg := p.config(t, FormatTriaged, topic)
		cfg.Topics = append(cfg.Topics, TopicConfig{Topic: mapped, Format: "mapping:x"})
		reg := prometheus.NewRegistry()
		r := start(t, Options{Config: cfg, Registerer: reg, Decoders: map[string]Decoder{
			"mapping:x": func(hs []Header, value []byte, at time.Time) ([]triage.Event, error) {
				switch string(value) {
				case "panic":
					panic("index out of range")
				case "ignore":
					return nil, &triage.Ignored{Reason: "a build"}
				}
				if len(hs) != 1 || hs[0].Key != "h" || at.IsZero() {
					return nil, fmt.Errorf("headers %v, time %v", hs, at)
				}
				return []triage.Event{{Change: &triage.Change{Kind: triage.KindFlag, Scope: triage.Scope{Service: "b"}, StartedAt: at}}}, nil
			},
		}}, nil)
		ids := r.take(t, 2)
		slices.Sort(ids)
		if ids[1] != "test:a/1" || !strings.HasPrefix(ids[0], "deploys:") {
			t.Errorf("want the good records, the one without an id under a derived one; got %v", ids)
		}
		r.none(t)
		var origins []string
		for range 4 {
			q := <-r.bad
			origins = append(origins, q.Origin)
			if q.ID == "" || q.Source != "deploys" || q.Reason == "" || len(q.Body) == 0 || q.Cut || q.Origin == "topic="+topic+" partition=0 offset=3" && !bytes.Equal(q.Body, big) {
				t.Errorf("quarantined %+v", q)
			}
		}
		slices.Sort(origins)
		if want := []string{
			"topic=" + mapped + " partition=0 offset=0", "topic=" + topic + " partition=0 offset=0",
			"topic=" + topic + " partition=0 offset=2", "topic=" + topic + " partition=0 offset=3",
		}; !slices.Equal(sorted(want), origins) {
			t.Errorf("want %v, got %v", want, origins)
		}
		if st := r.src.Status(); st.Quarantined != 4 || st.Events != 2 {
			t.Errorf("status %+v", st)
		}
		for outcome, want := range map[string]float64{outcomeDecoded: 2, outcomeIgnored: 1, outcomeQuarantined: 4, outcomeTombstone: 1} {
			if got := testutil.ToFloat64(r.src.metrics.records.WithLabelValues("deploys", outcome)); got != want {
				t.Errorf("%s: want %v, got %v", outcome, want, got)
			}
		}
	})
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// On the first start only what is young enough is read; the group's own offsets count ever after.
func TestFirstStart(t *testing.T) {
	onPeers(t, func(t *testing.T, p *peer) {
		topic := unique(t, "t")
		p.createTopic(t, topic, 1)
		w := p.writer(t)
		for n, age := range []time.Duration{5 * time.Hour, 4 * time.Hour, 2 * time.Hour, time.Hour, time.Minute} {
			e := change("a", n)
			value := fmt.Sprintf(`{"change":{"id":%q,"kind":"deploy","service":"a","started_at":"2026-03-01T03:00:00Z"}}`, e.Change.ID)
			if err := w.Write(t.Context(), Record{Topic: topic, Value: []byte(value), Time: time.Now().Add(-age)}); err != nil {
				t.Fatal(err)
			}
		}
		for from, want := range map[Start]int{StartRetention: 3, StartEarliest: 5, "90m": 2, "1s": 0, StartLatest: 0} {
			t.Run(string(from), func(t *testing.T) {
				cfg := p.config(t, FormatTriaged, topic)
				cfg.Start = from
				r := start(t, Options{Config: cfg, Retention: 3 * time.Hour}, nil)
				if want == 0 { // a record that is written now tells that the source has begun, and is the first to come
					waitJoined(t, p, cfg.GroupID, topic)
					r.none(t)
					return
				}
				ids := r.take(t, want)
				if wantFirst := fmt.Sprintf("test:a/%d", 5-want); ids[0] != wantFirst {
					t.Errorf("want %s first, got %v", wantFirst, ids)
				}
				r.none(t)
			})
		}
	})
}

// waitJoined returns when the group's start offset is committed.
func waitJoined(t *testing.T, p *peer, group, topic string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	for p.committed(t, group, topic) < 0 {
		if ctx.Err() != nil {
			t.Fatal("no start offset was committed")
		}
	}
}

func TestCodecs(t *testing.T) {
	onPeers(t, func(t *testing.T, p *peer) {
		topic := unique(t, "t")
		p.createTopic(t, topic, 1)
		w := p.writer(t)
		codecs := []kafka.Compression{0, kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd}
		for n, codec := range codecs {
			w.w.Compression = codec
			if err := w.WriteEvents(t.Context(), topic, change("a", 2*n), change("a", 2*n+1)); err != nil {
				t.Fatalf("%s: %v", codec, err)
			}
		}
		r := start(t, Options{Config: p.config(t, FormatTriaged, topic)}, nil)
		ids := r.take(t, 2*len(codecs))
		for n, id := range ids {
			if want := fmt.Sprintf("test:a/%d", n); id != want {
				t.Errorf("want %s, got %s", want, id)
			}
		}
	})
}

// A stored offset past the end of the log, as after a restored or emptied cluster, must not stall the source.
func TestStoredOffsetPastTheEnd(t *testing.T) {
	onPeers(t, func(t *testing.T, p *peer) {
		topic := unique(t, "t")
		p.createTopic(t, topic, 1)
		if err := p.writer(t).WriteEvents(t.Context(), topic, change("a", 1), change("a", 2)); err != nil {
			t.Fatal(err)
		}
		cfg := p.config(t, FormatTriaged, topic)
		p.commitOffset(t, cfg.GroupID, topic, 1000)
		r := start(t, Options{Config: cfg}, nil)
		if ids := r.take(t, 2); ids[0] != "test:a/1" {
			t.Errorf("got %v", ids)
		}
		if n := testutil.ToFloat64(r.src.metrics.resets.WithLabelValues("deploys", "past_end")); n != 1 {
			t.Errorf("want one reset counted, got %v", n)
		}
	})
}

// A topic that is deleted and made anew while we read starts from 0 again, far behind our position.
func TestLogResetWhileReading(t *testing.T) {
	onPeers(t, func(t *testing.T, p *peer) {
		topic := unique(t, "t")
		p.createTopic(t, topic, 1)
		w := p.writer(t)
		for n := range 20 {
			if err := w.WriteEvents(t.Context(), topic, change("a", n)); err != nil {
				t.Fatal(err)
			}
		}
		r := start(t, Options{Config: p.config(t, FormatTriaged, topic)}, nil)
		r.take(t, 20)
		del, err := p.client.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{topic}})
		if err != nil || del.Errors[topic] != nil {
			t.Fatalf("%v, %v", err, del)
		}
		p.createTopic(t, topic, 1)
		if err := p.writer(t).WriteEvents(t.Context(), topic, change("new", 1), change("new", 2)); err != nil {
			t.Fatal(err)
		}
		if ids := r.take(t, 2); ids[0] != "test:new/1" {
			t.Errorf("got %v", ids)
		}
	})
}

// Topics and partitions that appear later are read from their first record.
func TestTopicsAndPartitionsThatComeLater(t *testing.T) {
	onPeers(t, func(t *testing.T, p *peer) {
		now, later := unique(t, "now"), unique(t, "later")
		p.createTopic(t, now, 1)
		w := p.writer(t)
		r := start(t, Options{Config: p.config(t, FormatTriaged, now, later)}, nil)
		if err := w.WriteEvents(t.Context(), now, change("a", 1)); err != nil {
			t.Fatal(err)
		}
		r.take(t, 1)
		p.createTopic(t, later, 2)
		if err := p.writer(t).WriteEvents(t.Context(), later, change("b", 1), change("c", 1), change("d", 1)); err != nil {
			t.Fatal(err)
		}
		ids := sorted(r.take(t, 3))
		if want := []string{"test:b/1", "test:c/1", "test:d/1"}; !slices.Equal(want, ids) {
			t.Errorf("want %v, got %v", want, ids)
		}
	})
}

// Two members share a group: after the rebalance every record has come to one of them.
func TestRebalance(t *testing.T) {
	onPeers(t, func(t *testing.T, p *peer) {
		topic := unique(t, "t")
		p.createTopic(t, topic, 4)
		w := p.writer(t)
		cfg := p.config(t, FormatTriaged, topic)
		seen := make(map[string]bool)
		write := func(from, to int) {
			for n := from; n < to; n++ {
				if err := w.WriteEvents(t.Context(), topic, change(fmt.Sprint("s", n%16), n)); err != nil {
					t.Fatal(err)
				}
			}
		}
		write(0, 50)
		a := start(t, Options{Config: cfg}, nil)
		for _, id := range a.take(t, 50) {
			seen[id] = true
		}
		b := start(t, Options{Config: cfg}, nil)
		limit := time.After(waitLimit)
		for n := 50; len(b.events) == 0; n++ { // until the second one has got its share
			write(n, n+1)
			select {
			case <-limit:
				t.Fatal("the second member was never given a record")
			default:
			}
		}
		b.stop()
		write(100_000, 100_020)
		want := make(map[string]bool)
		for n := range 20 {
			want[fmt.Sprintf("test:s%d/%d", (100_000+n)%16, 100_000+n)] = true
		}
		for len(want) > 0 { // the first one takes all over again
			for _, id := range a.take(t, 1) {
				delete(want, id)
			}
		}
	})
}

// A member that the coordinator has thrown out, as it does with one that was silent for too long, joins anew and goes on: what comes
// meanwhile arrives, and what was committed does not come again.
func TestFencedMemberJoinsAnew(t *testing.T) {
	onPeers(t, func(t *testing.T, p *peer) {
		topic := unique(t, "t")
		p.createTopic(t, topic, 1)
		cfg := p.config(t, FormatTriaged, topic)
		w := p.writer(t)
		r := start(t, Options{Config: cfg}, nil)
		thrown := 0
		for round := range 3 {
			for n := range 10 {
				if err := w.WriteEvents(t.Context(), topic, change("a", 10*round+n)); err != nil {
					t.Fatal(err)
				}
			}
			last := fmt.Sprintf("test:a/%d", 10*round+9)
			for seen := ""; seen != last; { // at least once, in order
				seen = r.take(t, 1)[0]
			}
			for deadline := time.Now().Add(time.Minute); thrown <= round && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) { // it may be joining just now
				res, err := p.client.DescribeGroups(t.Context(), &kafka.DescribeGroupsRequest{GroupIDs: []string{cfg.GroupID}})
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range res.Groups {
					for _, m := range g.Members {
						out, err := p.client.LeaveGroup(t.Context(), &kafka.LeaveGroupRequest{
							GroupID: cfg.GroupID, Members: []kafka.LeaveGroupRequestMember{{ID: m.MemberID}},
						})
						if err != nil || out.Error != nil {
							t.Fatalf("throw the member out: %v, %v", err, out)
						}
						thrown++
					}
				}
			}
		}
		if thrown < 3 {
			t.Errorf("only %d members were thrown out", thrown)
		}
	})
}
