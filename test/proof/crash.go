package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/triaged-dev/triaged/sources/kafka"
	"github.com/triaged-dev/triaged/triage"
)

// crash kills the daemon at random moments under mixed load and then looks for everything it had acknowledged. After that it
// damages what the daemon stands on, one thing at a time.
func crash(ctx context.Context, o options) error {
	fmt.Fprintf(o.out, "seed %d, %d kills, load %s\n", o.seed, o.kills, load())
	tally, err := killRounds(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintln(o.out, tally)
	bad := tally.bad()
	for _, f := range diskFaults() {
		began := time.Now()
		detail, err := f.run(ctx, o)
		switch {
		case errors.Is(err, errNotHere):
			fmt.Fprintf(o.out, "skip  %-22s %v\n", f.name, err)
		case err != nil:
			fmt.Fprintf(o.out, "FAIL  %-22s %v\n", f.name, err)
			bad = errors.Join(bad, fmt.Errorf("%s: %w", f.name, err))
		default:
			fmt.Fprintf(o.out, "ok    %-22s %s (%s)\n", f.name, detail, time.Since(began).Round(time.Millisecond))
		}
	}
	return bad
}

// errNotHere means that this machine cannot be made to fail in that way.
var errNotHere = errors.New("cannot be tried on this machine")

// tally is what a run of kills found.
type tally struct {
	kills, early                                 int // early: before the daemon had answered at all
	kafka, pushed, alerts, feedback              int // acknowledged
	incidents, messages, replies, checks, damage int
	lost, doubled                                []string
}

func (t *tally) String() string {
	return fmt.Sprintf("%d kills (%d of them before it answered), %d integrity checks, %d damaged\n"+
		"acknowledged: %d changes by Kafka, %d pushed, %d alerts, %d feedback; lost: %d\n"+
		"incidents: %d, messages in the channel: %d, replies in threads: %d; visible twice: %d",
		t.kills, t.early, t.checks, t.damage, t.kafka, t.pushed, t.alerts, t.feedback, len(t.lost), t.incidents, t.messages, t.replies, len(t.doubled))
}

func (t *tally) bad() error {
	if len(t.lost)+len(t.doubled)+t.damage == 0 {
		return nil
	}
	some := append(t.lost[:min(5, len(t.lost))], t.doubled[:min(5, len(t.doubled))]...)
	return fmt.Errorf("%d lost, %d visible twice, %d damaged: %s", len(t.lost), len(t.doubled), t.damage, strings.Join(some, "; "))
}

// killing is one run: the daemon, its peers, and what it has acknowledged so far.
type killing struct {
	d     *daemon
	b     *broker
	slack *fakeSlack
	rng   *rand.Rand
	tally tally

	mu        sync.Mutex
	kafka     map[triage.ChangeID]bool
	last      []triage.ChangeID // of the last batch that the broker acknowledged
	pushed    map[triage.ChangeID]bool
	alerts    map[string]bool   // by name
	feedback  map[string]string // comment → incident
	incidents []triage.Incident
}

func killRounds(ctx context.Context, o options) (*tally, error) {
	dir, err := os.MkdirTemp("", "proof")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b, err := newBroker(4, kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		return nil, err
	}
	defer b.cluster.Close()
	slack := newFakeSlack()
	defer slack.server.Close()
	slack.slow = 20 * time.Millisecond // so that kills come between the message and its answer
	d, err := newDaemon(o.binary, dir, slackConfig(slack.server.URL)+fmt.Sprintf(
		"sources: {kafka: [{name: changes, brokers: [%q], topics: [{topic: changes, format: triaged}], start: earliest, max_wait: 50ms, join_group_backoff: 50ms}]}\n",
		b.cluster.ListenAddrs()[0]))
	if err != nil {
		return nil, err
	}
	defer d.close()
	k := &killing{
		d: d, b: b, slack: slack, rng: rand.New(rand.NewPCG(o.seed, o.seed)),
		kafka: make(map[triage.ChangeID]bool), pushed: make(map[triage.ChangeID]bool), alerts: make(map[string]bool), feedback: make(map[string]string),
	}
	stopKafka := make(chan struct{})
	var producing sync.WaitGroup
	producing.Go(func() { k.produce(ctx, stopKafka) })
	for round := range o.kills {
		if err := k.round(ctx, round); err != nil {
			close(stopKafka)
			return nil, fmt.Errorf("round %d: %w", round, err)
		}
		if round%25 == 24 {
			fmt.Fprintf(o.log, "%d kills, %d pushed, %d alerts\n", round+1, len(k.pushed), len(k.alerts))
		}
	}
	close(stopKafka)
	producing.Wait()
	return &k.tally, k.settle(ctx)
}

// round starts the daemon, loads it and kills it at a random moment, some of them while it still starts.
func (k *killing) round(ctx context.Context, round int) error {
	if err := k.d.start(); err != nil {
		return err
	}
	stop := make(chan struct{})
	var loading sync.WaitGroup
	answered := make(chan struct{})
	var once sync.Once
	worker := func(f func(n int) error) {
		loading.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := f(n); err == nil {
					once.Do(func() { close(answered) })
				} else {
					pause(ctx, 5*time.Millisecond) // it starts, or is dead already
				}
			}
		})
	}
	for w := range 2 {
		worker(func(n int) error { return k.push(ctx, fmt.Sprintf("push:%d/%d/%d", round, w, n)) })
	}
	worker(func(n int) error {
		pause(ctx, 150*time.Millisecond)
		return k.alert(ctx, fmt.Sprintf("Alert%dx%d", round, n))
	})
	worker(func(n int) error {
		pause(ctx, 60*time.Millisecond)
		return k.say(ctx, fmt.Sprintf("feedback %d/%d", round, n))
	})
	most := 900 * time.Millisecond
	switch round % 5 {
	case 0:
		most = 150 * time.Millisecond
	case 4:
		most = 3 * time.Second
	}
	pause(ctx, time.Duration(k.rng.Int64N(int64(most))))
	err := k.d.kill()
	close(stop)
	loading.Wait()
	k.tally.kills++
	select {
	case <-answered:
	default:
		k.tally.early++
	}
	return errors.Join(err, k.afterKill(ctx, round), ctx.Err())
}

// pause waits, or ends with ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// afterKill tells the broker that the member is gone, as the session timeout would some seconds later, and checks the file.
func (k *killing) afterKill(ctx context.Context, round int) error {
	client := &kafkago.Client{Addr: kafkago.TCP(k.b.cluster.ListenAddrs()...), Timeout: 5 * time.Second}
	groups, err := client.DescribeGroups(ctx, &kafkago.DescribeGroupsRequest{GroupIDs: []string{"triaged"}})
	if err != nil {
		return err
	}
	for _, g := range groups.Groups {
		var members []kafkago.LeaveGroupRequestMember
		for _, m := range g.Members {
			members = append(members, kafkago.LeaveGroupRequestMember{ID: m.MemberID})
		}
		if len(members) > 0 {
			if _, err := client.LeaveGroup(ctx, &kafkago.LeaveGroupRequest{GroupID: "triaged", Members: members}); err != nil {
				return err
			}
		}
	}
	if round%20 == 19 {
		return k.check(ctx)
	}
	return nil
}

func (k *killing) push(ctx context.Context, id string) error {
	c := makeChange(id, len(id)*31%50, time.Now(), 600)
	if err := k.d.post(ctx, "/api/v1/changes", c); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pushed[c.ID] = true
	return nil
}

func (k *killing) alert(ctx context.Context, name string) error {
	if err := k.d.post(ctx, "/api/v1/alerts", webhook(name, "svc-"+name, time.Now(), name)); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.alerts[name] = true
	return nil
}

// say gives feedback about one of the newest incidents.
func (k *killing) say(ctx context.Context, comment string) error {
	var page struct{ Items []triage.Incident }
	if err := k.d.get(ctx, "/api/v1/incidents?limit=5", &page); err != nil || len(page.Items) == 0 {
		return err
	}
	id := page.Items[len(page.Items)-1].ID
	if err := k.d.post(ctx, "/api/v1/incidents/"+id+"/feedback", map[string]string{"verdict": triage.FeedbackNone, "comment": comment}); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.feedback[comment] = id
	return nil
}

// produce writes changes to Kafka until stop is closed. They are acknowledged once the broker has them: from there on it is on us.
func (k *killing) produce(ctx context.Context, stop <-chan struct{}) {
	w, err := kafka.NewWriter(k.b.config("producer"))
	if err != nil {
		return
	}
	defer w.Close()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		default:
		}
		var records []kafka.Record
		var ids []triage.ChangeID
		for i := range 5 {
			c := makeChange(fmt.Sprintf("kafka:%d/%d", n, i), i, time.Now(), 600)
			ids, records = append(ids, c.ID), append(records, kafka.Record{Topic: k.b.topic, Key: []byte(c.Service), Value: envelope(c)})
		}
		if w.Write(ctx, records...) == nil {
			k.mu.Lock()
			for _, id := range ids {
				k.kafka[id] = true
			}
			k.last = ids
			k.mu.Unlock()
		}
		pause(ctx, 10*time.Millisecond)
	}
}
