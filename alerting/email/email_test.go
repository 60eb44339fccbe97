package email

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/alerting/digest"
	"github.com/triaged-dev/triaged/alerting/notifytest"
	"github.com/triaged-dev/triaged/alerting/outbox"
)

// mailbox is a mail server of another make that keeps what it is given.
type mailbox struct {
	mu       sync.Mutex
	messages [][]byte
	to       []string
	users    []string

	refuseUser, refuseRcpt, refuseData error
	hang                               chan struct{} // if set, DATA is not answered before it is closed
	after                              func()        // called when a message was taken, before the answer
}

func (b *mailbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{b}, nil }

type session struct{ b *mailbox }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if s.b.refuseUser != nil {
			return s.b.refuseUser
		}
		if password != notifytest.Secret {
			return smtp.ErrAuthFailed
		}
		s.b.mu.Lock()
		defer s.b.mu.Unlock()
		s.b.users = append(s.b.users, user)
		return nil
	}), nil
}

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.to = append(s.b.to, to)
	return s.b.refuseRcpt
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.b.hang != nil {
		<-s.b.hang
	}
	if s.b.refuseData != nil {
		return s.b.refuseData
	}
	s.b.mu.Lock()
	s.b.messages = append(s.b.messages, raw)
	s.b.mu.Unlock()
	if s.b.after != nil {
		s.b.after()
	}
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// certificate makes a certificate for 127.0.0.1 and writes it to a file.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// startMail serves the mailbox: by STARTTLS, with TLS from the first byte, or without any.
func startMail(t *testing.T, b *mailbox, security string) Config {
	t.Helper()
	s := smtp.NewServer(b)
	s.Domain, s.ErrorLog = "mail.test", discard{}
	cert, ca := certificate(t)
	if security != "none" {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if security == "implicit" {
		l = tls.NewListener(l, s.TLSConfig)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	c := DefaultConfig()
	c.To, c.From, c.Smarthost = `"Call, On" <oncall@example.com>, lead@example.com`, "triaged <triaged@example.com>", address
	c.AuthUsername, c.AuthPassword = "triaged", notifytest.Secret
	c.TLSConfig = &config.TLSConfig{CAFile: ca}
	return c
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

func newNotifier(t *testing.T, c Config, security string) *Notifier {
	t.Helper()
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	n.implicit = security == "implicit" // the test cannot have port 465
	return n
}

// parts takes a message apart: content type → content.
func parts(t *testing.T, header mail.Header, body io.Reader) map[string]string {
	t.Helper()
	out := make(map[string]string)
	var walk func(contentType, encoding string, r io.Reader)
	walk = func(contentType, encoding string, r io.Reader) {
		kind, params, err := mime.ParseMediaType(contentType)
		if err != nil {
			t.Fatalf("content type %q: %v", contentType, err)
		}
		if strings.HasPrefix(kind, "multipart/") {
			for mr := multipart.NewReader(r, params["boundary"]); ; {
				p, err := mr.NextPart()
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				out["id of "+p.Header.Get("Content-Type")] = p.Header.Get("Content-ID")
				walk(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p)
			}
		}
		if encoding == "base64" {
			r = base64.NewDecoder(base64.StdEncoding, r)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[kind] = string(b)
	}
	walk(header.Get("Content-Type"), header.Get("Content-Transfer-Encoding"), body)
	return out
}

var picture = []byte("\x89PNG\r\n\x1a\n and the rest")

func report() outbox.Notification {
	nt := notifytest.Notification()
	nt.Picture = func(context.Context) ([]byte, error) { return picture, nil }
	return nt
}

func TestMessage(t *testing.T) {
	for _, security := range []string{"starttls", "implicit"} {
		t.Run(security, func(t *testing.T) {
			b := &mailbox{}
			n := newNotifier(t, startMail(t, b, security), security)
			nt := report()
			first, err := n.Notify(t.Context(), nt)
			if err != nil || first.Detail != "" {
				t.Fatalf("got %+v, %v", first, err)
			}
			nt.Delivery.ID, nt.Report.Number = "another", 2
			second, err := n.Notify(t.Context(), nt)
			if err != nil || second.RemoteID == first.RemoteID {
				t.Fatalf("want a message of its own, got %+v, %v", second, err)
			}
			if !slices.Equal(b.to, []string{"oncall@example.com", "lead@example.com", "oncall@example.com", "lead@example.com"}) || !slices.Equal(b.users, []string{"triaged", "triaged"}) {
				t.Errorf("told %v, signed in %v", b.to, b.users)
			}
			m, err := mail.ReadMessage(bytes.NewReader(b.messages[0]))
			if err != nil {
				t.Fatal(err)
			}
			subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
			if err != nil || !strings.HasPrefix(subject, "🔴 checkout 5xx 0.2 % → 14 %") {
				t.Errorf("subject %q, %v", subject, err)
			}
			if m.Header.Get("Auto-Submitted") != "auto-generated" || !strings.HasSuffix(first.RemoteID, ".triaged@example.com>") && !strings.HasSuffix(first.RemoteID, ".triaged@example.com") {
				t.Errorf("header %v, id %q", m.Header, first.RemoteID)
			}
			again, err := mail.ReadMessage(bytes.NewReader(b.messages[1]))
			if err != nil || again.Header.Get("References") == "" || again.Header.Get("References") != m.Header.Get("References") || again.Header.Get("Message-Id") == m.Header.Get("Message-Id") {
				t.Errorf("want one thread: %q and %q", m.Header.Get("References"), again.Header.Get("References"))
			}
			p := parts(t, m.Header, m.Body)
			for _, want := range []string{"LIKELY", "flag new-pricing", "set flag new-pricing back to 0 %", nt.Links.Page} {
				if text := strings.Join(strings.Fields(p["text/plain"]), " "); !strings.Contains(text, want) {
					t.Errorf("the text lacks %q:\n%s", want, p["text/plain"])
				}
				if !strings.Contains(p["text/html"], want) {
					t.Errorf("the HTML lacks %q:\n%s", want, p["text/html"])
				}
			}
			if p["image/png"] != string(picture) || !strings.Contains(p["text/html"], `src="cid:timeline.png"`) || !strings.Contains(strings.Join(values(p, "id of image/png"), " "), "<timeline.png>") {
				t.Errorf("picture: %q; ids %v", p["image/png"], values(p, "id of"))
			}
			for _, bad := range []string{"http://", "<script", "<link"} {
				if strings.Contains(p["text/html"], bad) {
					t.Errorf("the HTML holds %q", bad)
				}
			}
		})
	}
}

func values(m map[string]string, prefix string) (out []string) {
	for k, v := range m {
		if strings.HasPrefix(k, prefix) {
			out = append(out, v)
		}
	}
	return out
}

// What comes from outside can neither add a header nor markup.
func TestInjection(t *testing.T) {
	b := &mailbox{}
	n := newNotifier(t, startMail(t, b, "starttls"), "")
	nt := report()
	nt.Card.Headline = "checkout\r\nBcc: everybody@example.com\r\n\r\n<script>alert(1)</script>"
	nt.Card.Lines = append(nt.Card.Lines, card.Line{Word: "X", Text: `<img src="https://evil.example/x">`, URL: "javascript:alert(1)"})
	if _, err := n.Notify(t.Context(), nt); err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(b.messages[0]))
	if err != nil || m.Header.Get("Bcc") != "" || slices.Contains(b.to, "everybody@example.com") {
		t.Fatalf("header injected: %v, %v", m.Header, err)
	}
	html := parts(t, m.Header, m.Body)["text/html"]
	for _, bad := range []string{"<script", `<img src="https`, "javascript:"} {
		if strings.Contains(html, bad) {
			t.Errorf("the HTML holds %q", bad)
		}
	}
}

// Without a picture the message goes all the same, and says so.
func TestNoPicture(t *testing.T) {
	b := &mailbox{}
	cfg := startMail(t, b, "starttls")
	nt := report()
	nt.Picture = func(context.Context) ([]byte, error) { return nil, errors.New("no case") }
	r, err := newNotifier(t, cfg, "").Notify(t.Context(), nt)
	if err != nil || !strings.Contains(r.Detail, "could not be painted") || len(b.messages) != 1 || bytes.Contains(b.messages[0], []byte("cid:")) {
		t.Errorf("got %+v, %v, %d messages", r, err, len(b.messages))
	}
	cfg.Picture = false
	if r, err := newNotifier(t, cfg, "").Notify(t.Context(), report()); err != nil || r.Detail != "" || bytes.Contains(b.messages[1], []byte("image/png")) {
		t.Errorf("picture: false: got %+v, %v", r, err)
	}
}

func TestFailures(t *testing.T) {
	temporary := &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try later " + notifytest.Secret}
	final := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user " + notifytest.Secret}
	for name, tc := range map[string]struct {
		box       *mailbox
		security  string
		config    func(*Config)
		reason    outbox.Reason
		retryable bool
		uncertain bool
		part      string
	}{
		"busy":              {box: &mailbox{refuseData: temporary}, reason: outbox.ReasonServerError, retryable: true, part: "451"},
		"unknown recipient": {box: &mailbox{refuseRcpt: final}, reason: outbox.ReasonClientError, part: "550"},
		"wrong password":    {box: &mailbox{refuseUser: smtp.ErrAuthFailed}, reason: outbox.ReasonAuthError, part: "auth_username and auth_password"},
		"no STARTTLS":       {box: &mailbox{}, security: "none", reason: outbox.ReasonClientError, part: "STARTTLS"},
		"no TLS, so no password": {
			box: &mailbox{}, security: "none", config: func(c *Config) { c.RequireTLS = false }, reason: outbox.ReasonAuthError, part: "auth_password",
		},
		"unknown authority": {box: &mailbox{}, config: func(c *Config) { c.TLSConfig = nil }, reason: outbox.ReasonClientError, part: "certificate is not trusted"},
		"nobody there":      {box: &mailbox{}, config: func(c *Config) { c.Smarthost = "127.0.0.1:1" }, reason: outbox.ReasonOther, retryable: true, part: "no connection"},
		"no password file": {
			box: &mailbox{}, config: func(c *Config) { c.AuthPassword, c.AuthPasswordFile = "", "/nowhere/"+notifytest.Secret }, reason: outbox.ReasonOther, retryable: true, part: "auth_password_file",
		},
		"hangs before its answer": {box: &mailbox{hang: make(chan struct{})}, reason: outbox.ReasonDeadline, retryable: true, uncertain: true, part: "no answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := startMail(t, tc.box, tc.security)
			if tc.config != nil {
				tc.config(&cfg)
			}
			limit := 10 * time.Second
			if tc.box.hang != nil {
				limit = time.Second
				defer close(tc.box.hang)
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			_, err := newNotifier(t, cfg, tc.security).Notify(ctx, report())
			e, ok := errors.AsType[*outbox.DeliveryError](err)
			if !ok || e.Reason != tc.reason || e.Retryable != tc.retryable || e.Uncertain != tc.uncertain || !strings.Contains(e.Error(), tc.part) {
				t.Errorf("want %s, retryable %t, uncertain %t, with %q; got %+v", tc.reason, tc.retryable, tc.uncertain, tc.part, err)
			}
			if err != nil && (strings.Contains(err.Error(), notifytest.Secret) || strings.Contains(err.Error(), "127.0.0.1")) {
				t.Errorf("the error gives something away: %v", err)
			}
		})
	}
}

// The server has taken the message and goes away before it says goodbye: it is delivered.
func TestGoneAfterTheMessage(t *testing.T) {
	b := &mailbox{}
	n := newNotifier(t, startMail(t, b, "starttls"), "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := n.Notify(ctx, report()); err != nil || len(b.messages) != 1 {
		t.Errorf("want one message, got %d, %v", len(b.messages), err)
	}
	cancel()
	if _, err := n.Notify(ctx, report()); err == nil || len(b.messages) != 1 {
		t.Errorf("an ended context: want nothing sent, got %d, %v", len(b.messages), err)
	}
}

func TestDigest(t *testing.T) {
	b := &mailbox{}
	n := newNotifier(t, startMail(t, b, "starttls"), "")
	d := digest.Digest{From: notifytest.At.Add(-24 * time.Hour), To: notifytest.At, Posts: 1, Incidents: []digest.Item{{IncidentID: "x", OpenedAt: notifytest.At, Receivers: []string{"oncall"}, Posts: 1, Mark: "🔴", Headline: "checkout <b> 14 %"}}, Promote: "set mode: live"}
	if _, err := n.Digest(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(b.messages[0]))
	if err != nil {
		t.Fatal(err)
	}
	p := parts(t, m.Header, m.Body)
	if html := p["text/html"]; !strings.Contains(html, "checkout &lt;b&gt; 14 %") || !strings.Contains(html, "set mode: live") || !strings.Contains(p["text/plain"], "1 post about 1 incident") {
		t.Errorf("got %s\n%s", p["text/plain"], html)
	}
}

func TestConfig(t *testing.T) {
	good := "to: a@example.com\nfrom: b@example.com\nsmarthost: smtp.example.com:587\n"
	for text, want := range map[string][]string{
		good: nil,
		good + "auth_username: u\nauth_password_file: p\n":                   nil,
		"from: b@example.com\nsmarthost: smtp.example.com\n":                 {"email_configs.to", "email_configs.smarthost", "host:port"},
		good + "auth_username: u\n":                                          {"email_configs.auth_password", "is needed"},
		good + "auth_password: p\n":                                          {"email_configs.auth_username", "is needed"},
		good + "auth_username: u\nauth_password: p\nauth_password_file: f\n": {"not both"},
		strings.Replace(good, "587", "0", 1):                                 {"smarthost", "smtp.example.com:0"},
		strings.Replace(good, "b@example.com", "nobody", 1):                  {"email_configs.from", "nobody"},
	} {
		var c Config
		err := yaml.Unmarshal([]byte(text), &c)
		if (err == nil) != (want == nil) {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q lacks %q", text, err, part)
			}
		}
		if err == nil && (!c.RequireTLS || !c.Picture) {
			t.Errorf("%s: want the defaults, got %+v", text, c)
		}
	}
	c := DefaultConfig()
	c.AuthPasswordFile, c.TLSConfig = "p", &config.TLSConfig{CAFile: "ca.pem"}
	c.SetDirectory("/etc/triaged")
	if c.AuthPasswordFile != "/etc/triaged/p" || c.TLSConfig.CAFile != "/etc/triaged/ca.pem" {
		t.Errorf("relative files: %+v", c)
	}
}
