// Package email posts reports by SMTP: one message for each report that says something new, in one thread per incident, as
// plain text and as HTML with the time axis as a picture. It neither retries nor queues, and loads nothing from elsewhere.
package email

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/config"
	gomail "github.com/wneessen/go-mail"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/alerting/digest"
	"github.com/triaged-dev/triaged/alerting/outbox"
)

// sendTimeout bounds one message where the context sets no earlier end.
const sendTimeout = 30 * time.Second

// pictureTimeout bounds painting; without the picture the message goes all the same.
const pictureTimeout = 3 * time.Second

// pictureName is the picture's name and its content id.
const pictureName = "timeline.png"

//go:embed message.html
var messageHTML string

var messageTemplate = template.Must(template.New("message").Parse(messageHTML))

// Notifier posts to the addresses of one entry.
type Notifier struct {
	cfg      Config
	host     string
	port     int
	implicit bool // TLS comes first
	from     *mail.Address
	to       []*mail.Address
	domain   string // of our message ids: the sender's
	tls      *tls.Config
}

// New checks the configuration and makes a Notifier. It contacts nobody.
func New(cfg Config) (*Notifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Notifier{cfg: cfg}
	var err error
	if n.host, n.port, err = cfg.server(); err != nil {
		return nil, err
	}
	n.implicit = n.port == implicitTLS
	if n.from, err = mail.ParseAddress(cfg.From); err != nil {
		return nil, err
	}
	if n.to, err = mail.ParseAddressList(cfg.To); err != nil {
		return nil, err
	}
	n.domain = n.from.Address[strings.LastIndexByte(n.from.Address, '@')+1:]
	tlsConfig := cfg.TLSConfig
	if tlsConfig == nil {
		tlsConfig = &config.TLSConfig{}
	}
	if n.tls, err = config.NewTLSConfig(tlsConfig); err != nil {
		return nil, fmt.Errorf("email_configs.tls_config: %w", err)
	}
	if n.tls.ServerName == "" {
		n.tls.ServerName = n.host
	}
	return n, nil
}

// view is what the template shows.
type view struct {
	Title   string
	Lines   []card.Line
	Links   card.Links
	Picture string // content id; "" none
	Body    string
	Stamp   string
}

// Notify posts one report. RemoteID is the message's id, which the same delivery has at every attempt: what came twice can be
// told, though not by every mail server.
func (n *Notifier) Notify(ctx context.Context, nt outbox.Notification) (outbox.Receipt, error) {
	v := view{Title: strings.TrimSpace(nt.Card.Mark + " " + nt.Card.Headline), Lines: nt.Card.Lines, Links: nt.Card.Links, Stamp: nt.Card.Stamp}
	var png []byte
	detail := ""
	if n.cfg.Picture && nt.Picture != nil {
		painting, cancel := context.WithTimeout(ctx, pictureTimeout)
		var err error
		png, err = nt.Picture(painting)
		cancel()
		if err != nil || len(png) == 0 {
			png, detail = nil, "without its picture: it could not be painted"
		} else {
			v.Picture = pictureName
		}
	}
	m, err := n.message(v, nt.Card.Text(), nt.Delivery.ID, nt.Incident.ID, png)
	if err != nil {
		return outbox.Receipt{}, err
	}
	if err := n.send(ctx, m); err != nil {
		return outbox.Receipt{}, err
	}
	return outbox.Receipt{RemoteID: m.GetMessageID(), Detail: detail}, nil
}

// Digest posts a digest.
func (n *Notifier) Digest(ctx context.Context, d digest.Digest) (outbox.Receipt, error) {
	_, rest, _ := strings.Cut(d.Text(), "\n")
	m, err := n.message(view{Title: d.Title(), Body: strings.TrimSpace(rest)}, d.Text(), "digest-"+d.To.UTC().Format("20060102T150405"), "digest", nil)
	if err != nil {
		return outbox.Receipt{}, err
	}
	if err := n.send(ctx, m); err != nil {
		return outbox.Receipt{}, err
	}
	return outbox.Receipt{RemoteID: m.GetMessageID()}, nil
}

// id makes a message id from a name of ours.
func (n *Notifier) id(name string) string {
	sum := sha256.Sum256([]byte(name + "\x00" + n.cfg.To))
	return hex.EncodeToString(sum[:12]) + ".triaged@" + n.domain
}

// message writes one message; thread names what it belongs to.
func (n *Notifier) message(v view, text, name, thread string, png []byte) (*gomail.Msg, error) {
	var html bytes.Buffer
	if err := messageTemplate.Execute(&html, v); err != nil {
		return nil, &outbox.DeliveryError{Reason: outbox.ReasonOther, Err: fmt.Errorf("write message: %w", err)}
	}
	m := gomail.NewMsg()
	m.FromMailAddress(n.from)
	m.ToMailAddress(n.to...)
	m.SetMessageIDWithValue(n.id(name))
	root := "<" + n.id("incident "+thread) + ">" // of no message: mail readers put together what refers to the same
	m.SetGenHeader(gomail.HeaderInReplyTo, root)
	m.SetGenHeader(gomail.HeaderReferences, root)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's out-of-office note answers
	m.SetDate()
	m.Subject(oneLine(v.Title))
	m.SetBodyString(gomail.TypeTextPlain, text)
	m.AddAlternativeString(gomail.TypeTextHTML, html.String())
	if png != nil {
		if err := m.EmbedReader(pictureName, bytes.NewReader(png), gomail.WithFileContentID("<"+pictureName+">"), gomail.WithFileContentType("image/png")); err != nil {
			return nil, &outbox.DeliveryError{Reason: outbox.ReasonOther, Err: fmt.Errorf("write message: %w", err)}
		}
	}
	return m, nil
}

// maxSubject keeps the subject on a phone's screen, characters.
const maxSubject = 160

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxSubject {
		return string(r[:maxSubject-1]) + "…"
	}
	return s
}

// send hands one message to the server. From the moment the server has the last byte until it has answered nobody knows
// whether it took the message.
func (n *Notifier) send(ctx context.Context, m *gomail.Msg) error {
	const doing = "send e-mail"
	if err := ctx.Err(); err != nil {
		return outbox.TransportError(doing, err)
	}
	left := sendTimeout
	if end, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	client, err := n.client(ctx, left+time.Second) // the library's own deadline comes second: its errors do not say that it was one
	if err != nil {
		return err
	}
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return dialFailed(ctx, err)
	}
	defer func() { _ = client.CloseWithSMTPClient(conn) }() // the message is out, or is not: a failed QUIT changes nothing
	err = client.SendWithSMTPClient(conn, m)
	if m.IsDelivered() || err == nil {
		return nil
	}
	return refusal(ctx, err)
}

// client is made for every message: the password may have been rotated.
func (n *Notifier) client(ctx context.Context, timeout time.Duration) (*gomail.Client, error) {
	opts := []gomail.Option{
		gomail.WithPort(n.port), gomail.WithTimeout(timeout), gomail.WithTLSConfig(n.tls),
	}
	if !n.implicit {
		opts = append(opts, gomail.WithDialContextFunc(dial(ctx)))
	}
	switch {
	case n.implicit: // by the library's own dialler, or it does not know that the connection is encrypted
		opts = append(opts, gomail.WithSSL())
	case n.cfg.RequireTLS:
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSMandatory))
	default:
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	}
	if n.cfg.Hello != "" {
		opts = append(opts, gomail.WithHELO(n.cfg.Hello))
	}
	if n.cfg.AuthUsername != "" {
		password, err := outbox.Secret(n.cfg.AuthPassword, n.cfg.AuthPasswordFile, "auth_password_file")
		if err != nil {
			return nil, &outbox.DeliveryError{Reason: outbox.ReasonOther, Retryable: true, Err: err}
		}
		opts = append(opts, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(n.cfg.AuthUsername), gomail.WithPassword(password))
	}
	client, err := gomail.NewClient(n.host, opts...)
	if err != nil {
		return nil, &outbox.DeliveryError{Reason: outbox.ReasonOther, Err: errors.New("send e-mail: the smarthost cannot be used")}
	}
	return client, nil
}

// dial connects so that the end of ctx ends the whole conversation, not the dialling alone.
func dial(whole context.Context) gomail.DialContextFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(whole, func() { _ = conn.Close() })
		return conn, nil
	}
}

// dialFailed classifies what went wrong before the message: it has not arrived for certain. The text of the library and of the
// server is not repeated: it may hold what was sent.
func dialFailed(ctx context.Context, err error) *outbox.DeliveryError {
	const doing = "connect to the mail server"
	code := statusOf(err)
	switch {
	case ctx.Err() != nil:
		e := outbox.TransportError(doing, ctx.Err())
		e.Uncertain = false
		return e
	case code == 530 || code == 534 || code == 535 || errors.Is(err, gomail.ErrNoSupportedAuthDiscovered) || strings.Contains(err.Error(), "not support SMTP AUTH"):
		return &outbox.DeliveryError{Reason: outbox.ReasonAuthError, Err: fmt.Errorf("%s: it does not accept auth_username and auth_password%s", doing, codeText(code))}
	case code/100 == 4:
		return &outbox.DeliveryError{Reason: outbox.ReasonServerError, Retryable: true, Err: fmt.Errorf("%s: it is not ready%s", doing, codeText(code))}
	case code/100 == 5:
		return &outbox.DeliveryError{Reason: outbox.ReasonClientError, Err: fmt.Errorf("%s: it refuses us%s", doing, codeText(code))}
	case strings.Contains(err.Error(), "STARTTLS"):
		return &outbox.DeliveryError{Reason: outbox.ReasonClientError, Err: fmt.Errorf("%s: it offers no STARTTLS; use port 465, or require_tls: false in a network you trust", doing)}
	}
	if cert, bad := errors.AsType[*tls.CertificateVerificationError](err); bad {
		return &outbox.DeliveryError{Reason: outbox.ReasonClientError, Err: fmt.Errorf("%s: its certificate is not trusted: %w", doing, cert.Err)}
	}
	e := outbox.TransportError(doing, err)
	e.Uncertain = false
	return e
}

// refusal classifies what went wrong with the message.
func refusal(ctx context.Context, err error) *outbox.DeliveryError {
	e := &outbox.DeliveryError{Reason: outbox.ReasonOther, Retryable: true}
	sent, ok := errors.AsType[*gomail.SendError](err)
	if !ok {
		return outbox.TransportError("send e-mail", err)
	}
	code := sent.ErrorCode()
	switch code / 100 {
	case 4:
		e.Reason, e.Err = outbox.ReasonServerError, fmt.Errorf("send e-mail: not now, says the server, when %s%s", sent.Reason, codeText(code))
	case 5:
		e.Reason, e.Retryable, e.Err = outbox.ReasonClientError, false, fmt.Errorf("send e-mail: refused when %s%s", sent.Reason, codeText(code))
	default:
		if ctx.Err() != nil {
			e = outbox.TransportError("send e-mail", ctx.Err())
		} else {
			e.Err = fmt.Errorf("send e-mail: the connection broke when %s", sent.Reason)
		}
		e.Uncertain = sent.Reason == gomail.ErrSMTPDataClose
	}
	return e
}

// statusOf is the server's answer in an error, 0 if it is none.
func statusOf(err error) int {
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		return e.Code
	}
	return 0
}

func codeText(code int) string {
	if code == 0 {
		return ""
	}
	return " (SMTP status " + strconv.Itoa(code) + ")"
}
