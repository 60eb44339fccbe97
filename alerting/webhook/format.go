package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// Format is how a body is written.
type Format string

// The formats. Empty is triaged's own Envelope, or Config.Body where that is set.
const (
	FormatOwn        Format = ""
	FormatDiscord    Format = "discord"
	FormatGoogleChat Format = "google_chat"
	FormatMattermost Format = "mattermost" // Rocket.Chat and others that take Slack's text, too
	FormatNtfy       Format = "ntfy"
	FormatOpsgenie   Format = "opsgenie" // a note on the alert that is there; Jira Service Management, too
)

func formats() []Format {
	return []Format{FormatDiscord, FormatGoogleChat, FormatMattermost, FormatNtfy, FormatOpsgenie}
}

// What the services take, in characters, with room for what is put around it.
const (
	maxDiscord    = 1900
	maxGoogleChat = 3900
	maxMattermost = 12000
	maxNtfy       = 3500
	maxOpsgenie   = 20000
	maxTemplate   = 16 << 10  // bytes of Config.Body
	maxBody       = 256 << 10 // bytes of what it makes
)

// View is what a template sees: what is on the card, and what things are called. No name of a person and no secret is in it.
type View struct {
	Mark, Headline, Text, Stamp string // Text is the whole card
	Lines                       []card.Line
	Page, Yes, No               string // links; empty where there are none
	IncidentID, DeliveryID      string
	Report                      int
	Service, Environment, State string
}

func view(nt outbox.Notification) View {
	c := nt.Card
	return View{
		Mark: c.Mark, Headline: c.Headline, Text: c.Text(), Stamp: c.Stamp, Lines: c.Lines, Page: c.Links.Page, Yes: c.Links.Yes, No: c.Links.No,
		IncidentID: nt.Incident.ID, DeliveryID: nt.Delivery.ID, Report: nt.Report.Number,
		Service: nt.Incident.Service, Environment: nt.Incident.Environment, State: string(nt.Incident.State),
	}
}

// message is a post before it is sent.
type message struct {
	body   []byte
	header http.Header
	path   string // behind the address, already escaped; with its query
	detail string // worth keeping with the delivery
}

// compose writes a notification in a format.
func (c *Config) compose(nt outbox.Notification) (message, error) {
	v := view(nt)
	m := message{header: http.Header{"Content-Type": {"application/json"}}}
	var body any
	switch c.Format {
	case FormatDiscord:
		// No mention is followed, whatever a title says.
		body = map[string]any{"content": fence(v.Text, maxDiscord), "allowed_mentions": map[string]any{"parse": []string{}}}
	case FormatGoogleChat:
		body = map[string]any{"text": fence(v.Text, maxGoogleChat)}
	case FormatMattermost:
		body = map[string]any{"text": fence(v.Text, maxMattermost), "username": "triaged"}
	case FormatNtfy:
		m.header.Set("Content-Type", "text/plain; charset=utf-8")
		m.header.Set("X-Title", mime.QEncoding.Encode("utf-8", clip(v.Mark+" "+v.Headline, 200)))
		if v.Page != "" {
			m.header.Set("X-Click", v.Page)
		}
		m.body = []byte(clip(v.Text, maxNtfy))
		return m, nil
	case FormatOpsgenie:
		alias, err := aliasOf(nt.Incident)
		if err != nil {
			return m, err
		}
		m.path = "/v2/alerts/" + alias + "/notes?identifierType=alias"
		body = map[string]any{"note": clip(v.Text, maxOpsgenie), "user": "triaged", "source": "triaged"}
	default:
		if c.Body != "" {
			text, err := c.execute(v)
			if err == nil {
				m.body = text
				m.header.Set("Content-Type", c.ContentType)
				return m, nil
			}
			m.detail = "posted as triaged's own body: the template failed"
		}
		body = Envelope{Schema: Schema, DeliveryID: v.DeliveryID, Incident: nt.Incident, Report: nt.Report, Card: v.Text, Links: nt.Card.Links}
	}
	var err error
	m.body, err = json.Marshal(body)
	return m, err
}

// aliasOf is what Alertmanager calls the alert at Opsgenie: the hash of the key of its group. It is that of the group we were told of, so
// triaged's webhook has to stand in the receiver that pages.
func aliasOf(inc triage.Incident) (string, error) {
	for _, al := range inc.Alerts {
		if al.GroupKey != "" {
			h := sha256.Sum256([]byte(al.GroupKey))
			return hex.EncodeToString(h[:]), nil
		}
	}
	return "", errors.New("the alerts came without a group key, by which Opsgenie knows them; put triaged's webhook into the receiver that pages")
}

// fence keeps a text from being read as markup: nothing in it is a mention, a link or an emphasis.
func fence(text string, most int) string {
	return "```\n" + clip(strings.ReplaceAll(strings.TrimSpace(text), "```", "'''"), most) + "\n```"
}

func clip(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// functions are what a template can call besides Go's own.
var functions = template.FuncMap{
	"json": func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
	"clip": func(most int, s string) string { return clip(s, max(most, 1)) },
	"path": url.PathEscape,
}

func (c *Config) template() (*template.Template, error) {
	return template.New("body").Option("missingkey=error").Funcs(functions).Parse(c.Body)
}

// execute makes a body from the template.
func (c *Config) execute(v View) ([]byte, error) {
	t, err := c.template()
	if err != nil {
		return nil, err
	}
	var b bounded
	if err := t.Execute(&b, v); err != nil {
		return nil, err
	}
	if c.ContentType == contentJSON && !json.Valid(b.Bytes()) {
		return nil, errors.New("what it makes is no JSON; write values as {{json .Text}}")
	}
	return b.Bytes(), nil
}

// bounded ends a template that writes without end.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxBody {
		return 0, fmt.Errorf("makes more than %d bytes", maxBody)
	}
	return b.Buffer.Write(p)
}

const contentJSON = "application/json"

// checkFormat finds what is wrong with format and body. A template is tried on a card with everything in it, and on one with nothing.
func (c *Config) checkFormat() []error {
	var problems []error
	add := func(field, value, remedy string) {
		problems = append(problems, &triage.FieldError{Field: "webhook_configs." + field, Value: value, Remedy: remedy})
	}
	if c.Format != FormatOwn && !slices.Contains(formats(), c.Format) {
		add("format", string(c.Format), fmt.Sprintf("use one of %v, or leave it out", formats()))
	}
	if c.Format != FormatOwn && c.Body != "" {
		add("body", "", "goes without format: it is one of its own")
	}
	if len(c.Body) > maxTemplate {
		add("body", "", fmt.Sprintf("is %d bytes; at most %d are taken", len(c.Body), maxTemplate))
		return problems
	}
	if c.Body != "" {
		for _, v := range []View{view(sample()), {}} {
			if _, err := c.execute(v); err != nil {
				add("body", "", err.Error())
				break
			}
		}
	}
	return problems
}
