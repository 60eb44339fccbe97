package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/triaged-dev/triaged/triage"
)

// attack is one way to take the daemon's memory, or what others need of it; run says in a few words what was seen.
type attack struct {
	name string
	long bool // not in the short form
	down bool // it ends the process, so nobody sends beside it
	run  func(context.Context, options, *besieged) (string, error)
}

func attacks() []attack {
	return []attack{
		{name: "bodies held by strangers and by slow senders", run: heldBodies},
		{name: "a proxy's Host and a stranger's claim of another source", run: claims},
		{name: "/changes over ten thousand years, thousands of fields nobody knows", run: wideQuestions},
		{name: "a thousand maximal changes, asked for by many", run: maximalPages},
		{name: "Kafka: batches that unpack to hundreds of megabytes", run: bombs},
		{name: "Kafka: NUL, duplicate keys, no JSON, and records past what is read", run: oddRecords},
		{name: "Prometheus: 300 000 small series", run: smallSeries},
		{name: "Slack: answers without an end", long: true, run: endlessSlack},
		{name: "a team file of 200 000 services, and reloads", run: hugeTeam},
		{name: "SIGTERM beside slow clients", long: true, down: true, run: stopBesideSlowClients},
	}
}

// parallel runs f n times at once.
func parallel(n int, f func(i int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = f(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// held opens a connection that announces a body and does not send it.
func (b *besieged) held(head string) (net.Conn, error) {
	c, err := net.Dial("tcp", b.d.address)
	if err == nil {
		_, err = io.WriteString(c, strings.ReplaceAll(head, "\n", "\r\n"))
	}
	return c, err
}

// heldBodies holds bodies open while an alert must be taken at once.
func heldBodies(ctx context.Context, _ options, b *besieged) (string, error) {
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for i := range 80 {
		head := "POST /feedback/x HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\n\n1\nx\n"
		if i%4 == 0 {
			head = "POST /api/v1/changes HTTP/1.1\nHost: localhost\nAuthorization: Bearer " + ciToken + "\nContent-Type: application/json\nContent-Length: 16000000\n\n["
		}
		c, err := b.held(head)
		if err != nil {
			return "", err
		}
		open = append(open, c)
	}
	before := b.refused
	began := time.Now()
	for i := range 5 {
		b.alert(ctx, fmt.Sprintf("Held%d", i))
	}
	if b.refused > before {
		return "", fmt.Errorf("%d of 5 alerts were refused", b.refused-before)
	}
	return fmt.Sprintf("80 held, 5 alerts taken in %s", time.Since(began).Round(time.Millisecond)), nil
}

// claims tries what a proxy in front makes of a stranger, and what a token for pushes may name.
func claims(ctx context.Context, _ options, b *besieged) (string, error) {
	if status, _, err := b.send(ctx, "GET", "/api/v1/changes", "", nil); err != nil || status != http.StatusUnauthorized {
		return "", fmt.Errorf("a stranger from this machine got %d, %w", status, err)
	}
	status, page, err := b.send(ctx, "POST", "/changes", ciToken, strings.NewReader("kind=party"))
	if err != nil || bytes.Contains(page, []byte("service-00")) {
		return "", fmt.Errorf("a token for pushes reads the list: %d, %w", status, err)
	}
	own := makeChange("kafka:own", 1, time.Now(), 512)
	own.Source = "changes"
	if err := b.writer.WriteEvents(ctx, b.broker.topic, triage.Event{Change: &own}); err != nil {
		return "", err
	}
	if err := b.d.await(ctx, patience, func() error { return b.d.get(ctx, "/api/v1/changes/kafka:own", nil) }); err != nil {
		return "", err
	}
	stolen := own
	stolen.Title, stolen.Status = "Overwritten", triage.StatusFailed
	if _, _, err := b.send(ctx, "POST", "/api/v1/changes", ciToken, bytes.NewReader(envelope(stolen))); err != nil {
		return "", err
	}
	var now triage.Change
	if err := b.d.get(ctx, "/api/v1/changes/kafka:own", &now); err != nil || now.Title != own.Title || now.Status != own.Status {
		return "", fmt.Errorf("another source's change is now %q, %s (%w)", now.Title, now.Status, err)
	}
	return "strangers stay outside, another's change is as it was", nil
}

// wideQuestions asks for everything there ever was, and sends what nobody knows.
func wideQuestions(ctx context.Context, _ options, b *besieged) (string, error) {
	var most int
	var mu sync.Mutex
	err := parallel(16, func(i int) error {
		method, path, token, body := "GET", "/changes?from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z", opsToken, ""
		if i%2 == 1 {
			var fields strings.Builder
			for n := range 50_000 {
				fmt.Fprintf(&fields, `,"f%d":%d`, n, n)
			}
			method, path, token, body = "POST", "/api/v1/changes", ciToken, `{"kind":"deploy"`+fields.String()+`}`
		}
		_, answer, err := b.send(ctx, method, path, token, strings.NewReader(body))
		mu.Lock()
		most = max(most, len(answer))
		mu.Unlock()
		return err
	})
	if most > 9<<20 {
		err = errors.Join(err, fmt.Errorf("an answer of %d bytes", most))
	}
	return fmt.Sprintf("largest answer %d KiB", most>>10), err
}

// maximalPages stores changes as large as they may be and asks for a thousand at a time, many at once, some without reading the answer.
func maximalPages(ctx context.Context, o options, b *besieged) (string, error) {
	n := 1000
	if o.short {
		n = 200
	}
	for from := 0; from < n; from += 100 {
		var lines bytes.Buffer
		for i := range 100 {
			c := makeChange(fmt.Sprintf("ci:max%d", from+i), i, time.Now(), 30<<10)
			for p := range 30 {
				c.Size.Paths = append(c.Size.Paths, strings.Repeat("p", 1000)+fmt.Sprint(p))
			}
			lines.Write(envelope(c))
			lines.WriteByte('\n')
		}
		err := retried(ctx, func() error { return b.sendLines(ctx, lines.Bytes()) })
		if err != nil {
			return "", fmt.Errorf("store maximal changes: %w", err)
		}
	}
	for range 20 {
		c, err := b.held("GET /api/v1/changes?limit=1000 HTTP/1.1\nHost: localhost\nAuthorization: Bearer " + opsToken + "\n\n")
		if err != nil {
			return "", err
		}
		defer c.Close()
	}
	var mu sync.Mutex
	most, refused := 0, 0
	err := parallel(32, func(int) error {
		status, answer, err := b.send(ctx, "GET", "/api/v1/changes?limit=1000", opsToken, nil)
		mu.Lock()
		defer mu.Unlock()
		most = max(most, len(answer))
		if status != http.StatusOK {
			refused++
		}
		return err
	})
	if most > 16<<20 {
		err = errors.Join(err, fmt.Errorf("a page of %d bytes", most))
	}
	return fmt.Sprintf("largest page %d KiB, %d of 32 told to come later", most>>10, refused), err
}

func (b *besieged) sendLines(ctx context.Context, lines []byte) error {
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+b.d.address+"/api/v1/changes", bytes.NewReader(lines))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+ciToken)
	resp, err := b.d.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &statusError{resp.StatusCode, string(answer[:min(len(answer), 300)]), resp.Header.Get("Retry-After")}
	}
	return err
}

// hostile is a producer that packs what it is told to.
func (b *besieged) hostile(ctx context.Context, codec kafka.Compression, value []byte) error {
	w := &kafka.Writer{
		Addr: kafka.TCP(b.broker.cluster.ListenAddrs()...), Topic: b.broker.topic, Compression: codec, BatchBytes: 1 << 30,
		BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll, ReadTimeout: patience, WriteTimeout: patience,
	}
	return errors.Join(w.WriteMessages(ctx, kafka.Message{Value: value}), w.Close())
}

// bombs packs hundreds of megabytes of nothing into one batch with each codec. What follows them must be read.
func bombs(ctx context.Context, o options, b *besieged) (string, error) {
	size := 400 << 20
	if o.short {
		size = 64 << 20
	}
	value := bytes.Repeat([]byte("0"), size)
	for _, codec := range []kafka.Compression{kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		if err := b.hostile(ctx, codec, value); err != nil {
			return "", fmt.Errorf("send a bomb (%s): %w", codec, err)
		}
	}
	if err := b.readsOn(ctx, "bombs"); err != nil {
		return "", err
	}
	aside, err := b.d.metric(ctx, "triaged_kafka_records_total", `outcome="quarantined"`)
	if err == nil && aside < 4 {
		err = fmt.Errorf("%v of 4 are in the quarantine", aside)
	}
	return fmt.Sprintf("4 × %d MB set aside, what follows is read", size>>20), err
}

// readsOn sends changes behind what was sent, to every partition, and waits for them.
func (b *besieged) readsOn(ctx context.Context, what string) error {
	var events []triage.Event
	for i := range 8 {
		c := makeChange(fmt.Sprintf("%s:%d", what, i), i, time.Now(), 512)
		events = append(events, triage.Event{Change: &c})
	}
	if err := b.writer.WriteEvents(ctx, b.broker.topic, events...); err != nil {
		return err
	}
	for _, e := range events {
		if err := b.d.await(ctx, patience, func() error { return b.d.get(ctx, "/api/v1/changes/"+string(e.Change.ID), nil) }); err != nil {
			return fmt.Errorf("a record behind it is not read: %w", err)
		}
	}
	return nil
}

// oddRecords are records no sender should send; the second of two equal keys must not slip past what was checked in the first.
func oddRecords(ctx context.Context, _ options, b *besieged) (string, error) {
	good := string(envelope(makeChange("odd:x", 1, time.Now(), 512)))
	for i, value := range []string{
		"\x00", strings.Repeat("\x00", 1<<10), "{", "[[[[" + strings.Repeat("[", 50_000), `"text"`, good + good, "\xff\xfe" + good,
		strings.Replace(good, `"kind":"deploy"`, `"kind":"deploy","kind":"flag"`, 1), strings.Replace(good, "Deploy to", "De\\u0000ploy to", 1),
		`{"change":` + strings.Repeat("9", 1<<20) + "}", strings.Repeat(" ", 6<<20),
	} {
		if err := b.hostile(ctx, kafka.Gzip, []byte(value)); err != nil {
			return "", fmt.Errorf("record %d: %w", i, err)
		}
	}
	return "set aside or read, what follows is read", b.readsOn(ctx, "behind")
}

// manySeries answers a query with very many series of one sample.
func manySeries(w http.ResponseWriter, matrix bool, n int) {
	w.Header().Set("Content-Type", "application/json")
	kind, sample := "vector", `"value":[1,"1"]`
	if matrix {
		kind, sample = "matrix", `"values":[[1,"1"]]`
	}
	_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":%q,"result":[`, kind) // who has heard enough hangs up
	part := strings.Repeat(`{"metric":{"a":"1"},`+sample+`},`, 1000)
	for range n / 1000 {
		if _, err := io.WriteString(w, part); err != nil {
			return
		}
	}
	_, _ = fmt.Fprintf(w, `{"metric":{},%s}]}}`, sample)
}

func smallSeries(ctx context.Context, _ options, b *besieged) (string, error) {
	b.series.Store(300_000)
	defer b.series.Store(0)
	err := parallel(6, func(i int) error {
		b.alert(ctx, fmt.Sprintf("Series%d", i))
		_, err := b.d.do(ctx, "POST", "/api/v1/triage", fmt.Appendf(nil, `{"service":"service-%04d","at":%q}`, i, time.Now().UTC().Format(time.RFC3339)))
		if e, ok := errors.AsType[*statusError](err); ok && e.retryAfter != "" {
			return nil
		}
		return err
	})
	return "six questions at once, answered", err
}

// flood writes until the other side has had enough.
func flood(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"ok":true,"messages":[`)
	part := strings.Repeat(`{"ts":"1"},`, 6000)
	for i := 0; i < 1<<15 && r.Context().Err() == nil; i++ {
		if _, err := io.WriteString(w, part); err != nil {
			return
		}
	}
}

func endlessSlack(ctx context.Context, _ options, b *besieged) (string, error) {
	b.endless.Store(true)
	defer b.endless.Store(false)
	for i := range 5 {
		b.alert(ctx, fmt.Sprintf("Endless%d", i))
	}
	pause(ctx, 10*time.Second)
	return "ten seconds of them", nil
}

// hugeTeam reloads with a file that takes the decoder minutes, and then some more; the old configuration's goroutines must be gone.
func hugeTeam(ctx context.Context, o options, b *besieged) (string, error) {
	var many strings.Builder
	many.WriteString("services:\n")
	for i := range 200_000 {
		fmt.Fprintf(&many, "  svc-%d: {}\n", i)
	}
	team := filepath.Join(b.d.dir, "team.yml")
	if err := os.WriteFile(team, []byte(many.String()), 0o600); err != nil {
		return "", err
	}
	began := time.Now()
	if _, err := b.d.do(ctx, "POST", "/-/reload", nil); err != nil {
		return "", err
	}
	took := time.Since(began)
	if err := os.WriteFile(team, []byte("services: {checkout: {}}\n"), 0o600); err != nil {
		return "", err
	}
	reloads := 100
	if o.short {
		reloads = 5
	}
	before, err := b.d.usage(ctx)
	if err != nil {
		return "", err
	}
	for range reloads {
		if err := b.d.post(ctx, "/-/reload", []byte(nil)); err != nil {
			return "", err
		}
	}
	var after usage
	err = b.d.await(ctx, patience, func() error {
		if after, err = b.d.usage(ctx); err == nil && after.goroutines > before.goroutines+20 {
			err = fmt.Errorf("goroutines %d → %d", before.goroutines, after.goroutines)
		}
		return err
	})
	return fmt.Sprintf("left out in %s; %d reloads: goroutines %d → %d", took.Round(100*time.Millisecond), reloads, before.goroutines, after.goroutines), err
}

// stopBesideSlowClients ends the process while clients hold it, and starts it again.
func stopBesideSlowClients(ctx context.Context, _ options, b *besieged) (string, error) {
	for _, head := range []string{
		"GET / HTTP/1.1\nHo", "POST /api/v1/changes HTTP/1.1\nHost: localhost\nAuthorization: Bearer " + ciToken + "\nContent-Type: application/json\nContent-Length: 1000\n\n[",
		strings.Repeat("GET /api/openapi.yaml HTTP/1.1\nHost: localhost\n\n", 200),
	} {
		c, err := b.held(head)
		if err != nil {
			return "", err
		}
		defer c.Close()
	}
	began := time.Now()
	if err := b.d.signal(syscall.SIGTERM); err != nil {
		return "", err
	}
	took := time.Since(began)
	_, err := b.d.startReady(ctx, patience)
	return "ended in " + took.Round(100*time.Millisecond).String(), err
}
