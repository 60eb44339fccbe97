package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/mail"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// postbox is a mail server that keeps what it is given.
type postbox struct {
	mu       sync.Mutex
	messages [][]byte
}

func (b *postbox) NewSession(*smtp.Conn) (smtp.Session, error) { return b, nil }
func (b *postbox) Mail(string, *smtp.MailOptions) error        { return nil }
func (b *postbox) Rcpt(string, *smtp.RcptOptions) error        { return nil }
func (b *postbox) Reset()                                      {}
func (b *postbox) Logout() error                               { return nil }

func (b *postbox) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, raw)
	return err
}

// An alert becomes a mail with the time axis in it.
func TestEmail(t *testing.T) {
	t.Parallel()
	box := &postbox{}
	server := smtp.NewServer(box)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	d := startDaemon(t, fmt.Sprintf(`
route: {receiver: oncall, mode: live}
receivers: [{name: oncall, email_configs: [{to: oncall@example.com, from: triaged@example.com, smarthost: %q, require_tls: false}]}]
`, l.Addr()))
	d.post(t, "/api/v1/alerts", alertBody("CheckoutErrorRatioHigh", "checkout", time.Now().UTC()))
	eventually(t, 20*time.Second, "the mail", func() error {
		box.mu.Lock()
		defer box.mu.Unlock()
		if len(box.messages) == 0 {
			return fmt.Errorf("none yet")
		}
		return nil
	})
	box.mu.Lock()
	defer box.mu.Unlock()
	m, err := mail.ReadMessage(bytes.NewReader(box.messages[0]))
	if err != nil || m.Header.Get("To") != "<oncall@example.com>" {
		t.Fatalf("header %v, %v", m.Header, err)
	}
	if raw := box.messages[0]; !bytes.Contains(raw, []byte("image/png")) || !bytes.Contains(raw, []byte("iVBORw0KGgo")) {
		t.Errorf("want the picture within:\n%.2000s", raw)
	}
}
