package kafka

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/config"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

const (
	mechanismPlain    = "plain"
	mechanismScram256 = "scram-sha-256"
	mechanismScram512 = "scram-sha-512"

	dialTimeout    = 10 * time.Second
	requestTimeout = 10 * time.Second
)

// connection is how one session talks to the cluster: kafka-go's Reader dials by itself, its Client goes through a Transport.
type connection struct {
	dialer    *kafka.Dialer
	transport *kafka.Transport
	client    *kafka.Client
}

// connect builds the means to talk; it opens nothing. Secrets and certificates are read anew each time.
func (c *Config) connect() (*connection, error) {
	boundCodecs()
	var tlsConfig *tls.Config
	if c.TLSConfig != nil {
		var err error
		if tlsConfig, err = config.NewTLSConfig(c.TLSConfig); err != nil {
			return nil, fmt.Errorf("read tls_config: %w", err)
		}
	}
	mechanism, err := c.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	addrs := make([]string, len(c.Brokers))
	copy(addrs, c.Brokers)
	t := &kafka.Transport{
		ClientID: c.ClientID, TLS: tlsConfig, SASL: mechanism,
		DialTimeout: dialTimeout, MetadataTTL: max(time.Duration(c.CheckInterval)/2, 50*time.Millisecond),
	}
	return &connection{
		dialer:    &kafka.Dialer{ClientID: c.ClientID, Timeout: dialTimeout, DualStack: true, TLS: tlsConfig, SASLMechanism: mechanism},
		transport: t,
		client:    &kafka.Client{Addr: kafka.TCP(addrs...), Timeout: requestTimeout, Transport: t},
	}, nil
}

func (c *connection) close() { c.transport.CloseIdleConnections() }

func (c *connection) addr() net.Addr { return c.client.Addr }

func (s *SASLConfig) mechanism() (sasl.Mechanism, error) {
	if s == nil {
		return nil, nil
	}
	password := string(s.Password)
	if s.PasswordFile != "" {
		b, err := os.ReadFile(s.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read sasl.password_file: %w", err)
		}
		password = strings.TrimSpace(string(b))
	}
	switch s.Mechanism {
	case mechanismPlain:
		return plain.Mechanism{Username: s.Username, Password: password}, nil
	case mechanismScram256:
		return scramMechanism(scram.SHA256, s.Username, password)
	case mechanismScram512:
		return scramMechanism(scram.SHA512, s.Username, password)
	}
	return nil, fmt.Errorf("sasl.mechanism: %q: use plain, scram-sha-256 or scram-sha-512", s.Mechanism)
}

func scramMechanism(a scram.Algorithm, user, password string) (sasl.Mechanism, error) {
	m, err := scram.Mechanism(a, user, password)
	if err != nil {
		return nil, fmt.Errorf("prepare sasl credentials of %q: %w", user, err)
	}
	return m, nil
}

// quietFor is how long kafka-go's errors are only counted after one was said.
const quietFor = time.Minute

// clientLog says what kafka-go would otherwise keep to itself: one partition that cannot be read, while others can. Once a minute, with
// how many lines were left out; those are seen at level debug.
func clientLog(log *slog.Logger, now func() time.Time) kafka.Logger {
	var mu sync.Mutex
	var until time.Time
	left := 0
	return kafka.LoggerFunc(func(format string, args ...any) {
		text := strings.TrimSpace(fmt.Sprintf(format, args...))
		mu.Lock()
		say, more := !now().Before(until), left
		if say {
			until, left = now().Add(quietFor), 0
		} else {
			left++
		}
		mu.Unlock()
		if say {
			log.Warn("kafka client", "err", text, "more_since_last", more)
		} else {
			log.Debug("kafka client", "err", text)
		}
	})
}
