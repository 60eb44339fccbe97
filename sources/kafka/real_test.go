package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// broker is a real Apache Kafka broker in a process of its own. See tools/kafka/run for its listeners.
type broker struct {
	dir  string
	port int
	env  []string
	cmd  *exec.Cmd
	done chan error
}

// errNoKafka says that the machine has no Java or no Kafka.
var errNoKafka = errors.New("no Apache Kafka here")

func (b *broker) addr(plus int) string { return fmt.Sprint("127.0.0.1:", b.port+plus) }

// start runs the broker and returns when it answers. It may be called again after kill: the data is kept.
func (b *broker) start() error {
	run, err := filepath.Abs("../../tools/kafka/run")
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	b.cmd = exec.Command(run, b.dir, strconv.Itoa(b.port))
	b.cmd.Env = append(os.Environ(), b.env...)
	b.cmd.Stderr = &stderr
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := b.cmd.Start(); err != nil {
		return err
	}
	b.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan<- error) { done <- cmd.Wait() }(b.cmd, b.done)
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	p := newPeer([]string{b.addr(0)})
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-b.done:
			if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 3 {
				return fmt.Errorf("%w: %s", errNoKafka, bytes.TrimSpace(stderr.Bytes()))
			}
			return fmt.Errorf("kafka ended: %w: %s", err, stderr.String())
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("kafka did not answer within 90 s; see " + b.dir)
		}
		if m, err := p.client.Metadata(ctx, &kafka.MetadataRequest{}); err == nil && len(m.Brokers) > 0 {
			return nil
		}
	}
}

func (b *broker) kill() {
	_ = b.cmd.Process.Kill()
	<-b.done
}

// newBroker chooses four free ports in a row.
func newBroker(dir string, env ...string) (*broker, error) {
	for range 100 {
		base := 20000 + rand.N(30000)
		free := true
		for p := base; p < base+4; p++ {
			l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", p))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return &broker{dir: dir, port: base, env: env}, nil
		}
	}
	return nil, errors.New("no four free ports in a row")
}

// shared is the broker that most tests use; it lives until the test binary ends.
var shared struct {
	once sync.Once
	b    *broker
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.b != nil {
		shared.b.kill()
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// realBroker returns the shared broker, or skips the test where there is no Kafka; with REQUIRE_PEERS=1 that is a failure.
func realBroker(t *testing.T) *broker {
	if testing.Short() {
		t.Skip("-short: no real peer is started")
	}
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "triaged-kafka-"); shared.err != nil { //nolint:usetesting // outlives the test
			return
		}
		pem := filepath.Join(shared.dir, "broker.pem")
		if shared.err = os.WriteFile(pem, testCertificate.bundle, 0o600); shared.err != nil {
			return
		}
		b, err := newBroker(filepath.Join(shared.dir, "broker"), "KAFKA_TLS_PEM="+pem)
		if err == nil {
			err = b.start()
		}
		if err != nil {
			shared.err = err
			return
		}
		shared.b = b
	})
	needPeer(t, shared.err)
	return shared.b
}

func needPeer(t *testing.T, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, errNoKafka) && os.Getenv("REQUIRE_PEERS") != "1":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

func realPeer(t *testing.T) *peer {
	return newPeer([]string{realBroker(t).addr(0)})
}
