package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/config"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/triaged-dev/triaged/triage"
)

// testCertificate is a self-signed certificate for 127.0.0.1.
var testCertificate = makeCertificate()

type certificate struct {
	cert, bundle []byte // PEM; bundle holds the key (PKCS#8) and the certificate
	pair         tls.Certificate
}

func makeCertificate() certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kafka"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	pair, err := tls.X509KeyPair(cert, keyPEM)
	if err != nil {
		panic(err)
	}
	return certificate{cert: cert, bundle: append(keyPEM, cert...), pair: pair}
}

// readOne writes one record through the configuration under test and reads it back through it.
func readOne(t *testing.T, cfg Config, topic string) {
	t.Helper()
	w, err := NewWriter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.WriteEvents(t.Context(), topic, change("a", 1)); err != nil {
		t.Fatal(err)
	}
	r := start(t, Options{Config: cfg}, nil)
	r.take(t, 1)
	r.none(t)
}

func TestSASL(t *testing.T) {
	mechanisms := map[string]string{mechanismPlain: "PLAIN", mechanismScram256: "SCRAM-SHA-256", mechanismScram512: "SCRAM-SHA-512"}
	check := func(t *testing.T, mechanism, topic string, cfg Config) {
		cfg.SASL = &SASLConfig{Mechanism: mechanism, Username: "alice", Password: "alice-secret"}
		readOne(t, cfg, topic)

		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte("alice-secret\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg.SASL = &SASLConfig{Mechanism: mechanism, Username: "alice", PasswordFile: "password"}
		cfg.SetDirectory(filepath.Dir(file))
		readOne(t, cfg, topic)

		cfg.SASL = &SASLConfig{Mechanism: mechanism, Username: "alice", Password: "wrong-secret"}
		r := start(t, Options{Config: cfg}, nil)
		st := waitDown(t, r)
		if strings.Contains(st.Detail, "wrong-secret") {
			t.Errorf("the password is in the status: %s", st.Detail)
		}
	}
	for mechanism, name := range mechanisms {
		t.Run("kfake "+mechanism, func(t *testing.T) {
			p, _ := fakePeer(t, kfake.EnableSASL(), kfake.Superuser(name, "alice", "alice-secret"), kfake.SeedTopics(1, "t"))
			check(t, mechanism, "t", p.config(t, FormatTriaged, "t"))
		})
		t.Run("kafka "+mechanism, func(t *testing.T) {
			b := realBroker(t)
			p := realPeer(t)
			topic := unique(t, "t")
			p.createTopic(t, topic, 1)
			cfg := p.config(t, FormatTriaged, topic)
			cfg.Brokers = []string{b.addr(2)}
			check(t, mechanism, topic, cfg)
		})
	}
}

// waitDown returns the status once a session has failed.
func waitDown(t *testing.T, r *run) triage.SourceStatus {
	t.Helper()
	limit := time.After(waitLimit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		st := r.src.Status()
		if st.State == triage.SourceDown && strings.HasPrefix(st.Detail, "cannot read: ") {
			return st
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the source never said that it is down: %+v", st)
		}
	}
}

func TestTLS(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, testCertificate.cert, 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, topic string, cfg Config) {
		cfg.TLSConfig = &config.TLSConfig{CAFile: ca}
		readOne(t, cfg, topic)
		cfg.TLSConfig = &config.TLSConfig{} // the system does not know this authority
		r := start(t, Options{Config: cfg}, nil)
		if st := waitDown(t, r); !strings.Contains(st.Detail, "certificate") {
			t.Errorf("want the status to name the certificate, got %s", st.Detail)
		}
	}
	t.Run("kfake", func(t *testing.T) {
		p, _ := fakePeer(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{testCertificate.pair}}), kfake.SeedTopics(1, "t"))
		check(t, "t", p.config(t, FormatTriaged, "t"))
	})
	t.Run("kafka", func(t *testing.T) {
		b, p := realBroker(t), realPeer(t)
		topic := unique(t, "t")
		p.createTopic(t, topic, 1)
		cfg := p.config(t, FormatTriaged, topic)
		cfg.Brokers = []string{b.addr(3)}
		check(t, topic, cfg)
	})
}
