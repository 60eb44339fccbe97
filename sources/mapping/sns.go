package mapping

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // SNS signs version 1 with it
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// snsMessage is the part of a message that SNS signs.
type snsMessage struct {
	Type, MessageId, Token, TopicArn, Subject, Message, Timestamp string //nolint:revive // as SNS writes them
	SignatureVersion, Signature, SigningCertURL, SubscribeURL     string
}

// signedText is what SNS signs: names and values, one a line, in the order of the names.
func (m snsMessage) signedText() string {
	fields := [][2]string{{"Message", m.Message}, {"MessageId", m.MessageId}, {"Subject", m.Subject}, {"Timestamp", m.Timestamp}, {"TopicArn", m.TopicArn}, {"Type", m.Type}}
	if m.Type != "Notification" {
		fields = [][2]string{{"Message", m.Message}, {"MessageId", m.MessageId}, {"SubscribeURL", m.SubscribeURL}, {"Timestamp", m.Timestamp}, {"Token", m.Token}, {"TopicArn", m.TopicArn}, {"Type", m.Type}}
	}
	var b strings.Builder
	for _, f := range fields {
		if f[0] == "Subject" && f[1] == "" {
			continue // left out where there is none
		}
		b.WriteString(f[0] + "\n" + f[1] + "\n")
	}
	return b.String()
}

// snsHost is where certificates may come from: whoever could name another host could sign for himself.
var snsHost = regexp.MustCompile(`^sns\.[a-z0-9-]{3,40}\.amazonaws\.com(\.cn)?$`)

// certificates are the signing certificates that were fetched, by URL. There are a handful; a full cache is begun anew.
type certificates struct {
	mu    sync.Mutex
	found map[string]*x509.Certificate
	fetch func(context.Context, string) ([]byte, error)
}

const (
	maxCertificates = 64
	certificateTime = 3 * time.Second
	maxCertificate  = 64 << 10
)

var snsCertificates = &certificates{fetch: fetchCertificate}

// get fetches a certificate once. The lock is not held meanwhile: two may fetch the same, and both are right.
func (c *certificates) get(address string, now time.Time) (*x509.Certificate, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.User != nil || !snsHost.MatchString(u.Host) || !strings.HasSuffix(u.Path, ".pem") {
		return nil, errors.New("the certificate is not at SNS")
	}
	c.mu.Lock()
	cert := c.found[address]
	c.mu.Unlock()
	if cert == nil {
		ctx, cancel := context.WithTimeout(context.Background(), certificateTime)
		defer cancel()
		raw, err := c.fetch(ctx, address)
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(raw)
		if block == nil {
			return nil, errors.New("the certificate is no PEM")
		}
		if cert, err = x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("read the certificate of SNS: %w", err)
		}
		c.mu.Lock()
		if c.found == nil || len(c.found) >= maxCertificates {
			c.found = make(map[string]*x509.Certificate)
		}
		c.found[address] = cert
		c.mu.Unlock()
	}
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return nil, errors.New("the certificate of SNS is out of date")
	}
	return cert, nil
}

// fetchCertificate asks SNS over TLS, whose name the system's authorities vouch for; redirects lead nowhere.
func fetchCertificate(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("ask SNS for its certificate: %w", err)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("ask SNS for its certificate: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("SNS answers %s to the question for its certificate", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxCertificate))
}

// snsFits checks that SNS signed the message and that it is of the topic the secret names: anybody may have a topic of his own.
func snsFits(topic string, body []byte) bool { return snsCertificates.fits(topic, body, time.Now()) }

func (c *certificates) fits(topic string, body []byte, now time.Time) bool {
	var m snsMessage
	if json.Unmarshal(body, &m) != nil || !equal(m.TopicArn, topic) {
		return false
	}
	signature, err := base64.StdEncoding.DecodeString(m.Signature)
	if err != nil {
		return false
	}
	cert, err := c.get(m.SigningCertURL, now)
	if err != nil {
		return false
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return false
	}
	text := []byte(m.signedText())
	switch m.SignatureVersion {
	case "1":
		sum := sha1.Sum(text)
		return rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], signature) == nil
	case "2":
		sum := sha256.Sum256(text)
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	}
	return false
}
