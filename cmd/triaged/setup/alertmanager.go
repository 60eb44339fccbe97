package setup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/alerting"
)

// Alertmanager is what one Alertmanager says of itself.
type Alertmanager struct {
	URL      string
	Version  string
	Original string // its configuration, secrets hidden by it
	Route    Route

	integrations map[string][]string // receiver → kinds: pagerduty, slack, webhook, …
	webhooks     map[string][]Webhook
	order        []string
}

// Webhook is one webhook_config of a receiver.
type Webhook struct {
	URL          string // "<secret>" where the Alertmanager hides it
	SendResolved bool
}

// Route is a node of its route tree.
type Route struct {
	Receiver string            `yaml:"receiver"`
	GroupBy  []string          `yaml:"group_by"`
	Match    map[string]string `yaml:"match"`
	MatchRE  map[string]string `yaml:"match_re"`
	Matchers []string          `yaml:"matchers"`
	Continue bool              `yaml:"continue"`
	Routes   []Route           `yaml:"routes"`

	matchers alerting.Matchers
}

// Receiver is a destination of the Alertmanager.
type Receiver struct {
	Name  string
	Kinds []string // sorted: email, opsgenie, pagerduty, slack, webhook, …
}

// pagerKinds wake somebody.
var pagerKinds = []string{"pagerduty", "opsgenie", "victorops", "pushover", "incidentio", "rootly"}

// Pages reports whether the receiver is a pager.
func (r Receiver) Pages() bool {
	return slices.ContainsFunc(r.Kinds, func(k string) bool { return slices.Contains(pagerKinds, k) })
}

// Limits of one question to an Alertmanager.
const (
	askTime   = 10 * time.Second
	maxAnswer = 4 << 20
)

// ReadAlertmanager asks the Alertmanager for its status. No error holds credentials.
func ReadAlertmanager(ctx context.Context, address string, hc config.HTTPClientConfig) (Alertmanager, error) {
	am := Alertmanager{URL: strings.TrimRight(address, "/")}
	client, err := config.NewClientFromConfig(hc, "alertmanager")
	if err != nil {
		return am, fmt.Errorf("set up the connection: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, am.URL+"/api/v2/status", nil)
	if err != nil {
		return am, fmt.Errorf("alertmanager URL: %w", bare(err))
	}
	resp, err := client.Do(req)
	if err != nil {
		return am, fmt.Errorf("ask the Alertmanager: %w", bare(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return am, fmt.Errorf("read the Alertmanager's answer: %w", bare(err))
	}
	if resp.StatusCode != http.StatusOK {
		return am, fmt.Errorf("ask the Alertmanager: %s", resp.Status)
	}
	var status struct {
		Config      struct{ Original string }
		VersionInfo struct{ Version string }
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return am, fmt.Errorf("read the Alertmanager's status: %w", err)
	}
	am.Version, am.Original = status.VersionInfo.Version, status.Config.Original
	return am, am.parse()
}

// bare takes the URL out of an error of net/http.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// parse reads route and receivers; everything else in the configuration is left as it is.
func (am *Alertmanager) parse() error {
	var c struct {
		Route     Route            `yaml:"route"`
		Receivers []map[string]any `yaml:"receivers"`
	}
	if err := yaml.Unmarshal([]byte(am.Original), &c); err != nil {
		return fmt.Errorf("read the Alertmanager's configuration: %w", err)
	}
	am.Route = c.Route
	am.integrations, am.webhooks = make(map[string][]string), make(map[string][]Webhook)
	for _, r := range c.Receivers {
		name, _ := r["name"].(string)
		am.order = append(am.order, name)
		for _, key := range slices.Sorted(maps.Keys(r)) {
			kind, ok := strings.CutSuffix(key, "_configs")
			if !ok {
				continue
			}
			am.integrations[name] = append(am.integrations[name], kind)
			if list, isList := r[key].([]any); isList && kind == "webhook" {
				for _, w := range list {
					m, _ := w.(map[string]any)
					u, _ := m["url"].(string)
					resolved, given := m["send_resolved"].(bool)
					am.webhooks[name] = append(am.webhooks[name], Webhook{u, resolved || !given})
				}
			}
		}
	}
	return am.Route.compile()
}

func (r *Route) compile() error {
	add := func(s string) error {
		m, err := alerting.ParseMatcher(s)
		if err != nil {
			return fmt.Errorf("read the Alertmanager's route: %w", err)
		}
		r.matchers = append(r.matchers, m)
		return nil
	}
	for _, k := range slices.Sorted(maps.Keys(r.Match)) {
		if err := add(fmt.Sprintf("%s=%q", k, r.Match[k])); err != nil {
			return err
		}
	}
	for _, k := range slices.Sorted(maps.Keys(r.MatchRE)) {
		if err := add(fmt.Sprintf("%s=~%q", k, r.MatchRE[k])); err != nil {
			return err
		}
	}
	for _, s := range r.Matchers {
		for _, one := range splitMatchers(s) {
			if err := add(one); err != nil {
				return err
			}
		}
	}
	for i := range r.Routes {
		if err := r.Routes[i].compile(); err != nil {
			return err
		}
	}
	return nil
}

var betweenMatchers = regexp.MustCompile(`,\s*([a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=))`)

// splitMatchers splits `{a="b", c=~"d"}` into its parts.
func splitMatchers(s string) []string {
	s = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "{"), "}"))
	return strings.Split(betweenMatchers.ReplaceAllString(s, "\x00$1"), "\x00")
}

// Receivers are those an alert with these labels reaches, in the order of the tree.
func (am Alertmanager) Receivers(ls map[string]string) []Receiver {
	var out []Receiver
	for _, name := range am.Route.reach(ls, "") {
		if !slices.ContainsFunc(out, func(r Receiver) bool { return r.Name == name }) {
			out = append(out, am.receiver(name))
		}
	}
	return out
}

func (r Route) reach(ls map[string]string, inherited string) []string {
	if r.Receiver != "" {
		inherited = r.Receiver
	}
	var out []string
	for _, child := range r.Routes {
		if !child.matchers.All(ls) {
			continue
		}
		out = append(out, child.reach(ls, inherited)...)
		if !child.Continue {
			return out
		}
	}
	if len(out) == 0 {
		return []string{inherited}
	}
	return out
}

func (am Alertmanager) receiver(name string) Receiver {
	return Receiver{Name: name, Kinds: am.integrations[name]}
}

// Pagers are the receivers that wake somebody, in the order of the file.
func (am Alertmanager) Pagers() []Receiver {
	var out []Receiver
	for _, name := range am.order {
		if r := am.receiver(name); r.Pages() {
			out = append(out, r)
		}
	}
	return out
}

// Webhooks are all webhooks, by receiver in the order of the file.
func (am Alertmanager) Webhooks() map[string][]Webhook { return maps.Clone(am.webhooks) }

// FindAlertmanagers are the base URLs of the Alertmanagers that the Prometheus sends to. No error holds credentials.
func FindAlertmanagers(ctx context.Context, prometheus string, hc config.HTTPClientConfig) ([]string, error) {
	client, err := config.NewClientFromConfig(hc, "prometheus")
	if err != nil {
		return nil, fmt.Errorf("set up the connection: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	c, err := api.NewClient(api.Config{Address: prometheus, Client: client})
	if err != nil {
		return nil, fmt.Errorf("prometheus URL: %w", bare(err))
	}
	found, err := v1.NewAPI(c).AlertManagers(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the Alertmanagers: %w", bare(err))
	}
	var out []string
	for _, a := range found.Active {
		base, _, _ := strings.Cut(a.URL, "/api/")
		if !slices.Contains(out, base) {
			out = append(out, base)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Telling is whether and how an Alertmanager posts to triaged.
type Telling struct {
	Found     bool
	Hidden    bool     // it hides the addresses of webhooks
	Resolved  bool     // every webhook found tells of resolved alerts, too
	Receivers []string // with such a webhook, sorted
}

// Tells looks for webhooks whose address ends as triaged's does.
func (am Alertmanager) Tells() Telling {
	out := Telling{Resolved: true}
	for _, name := range slices.Sorted(maps.Keys(am.webhooks)) {
		for _, w := range am.webhooks[name] {
			if w.URL == "<secret>" {
				out.Hidden = true
			}
			u, err := url.Parse(w.URL)
			if err != nil || !strings.HasSuffix(u.Path, "/api/v1/alerts") {
				continue
			}
			out.Found = true
			out.Resolved = out.Resolved && w.SendResolved
			out.Receivers = append(out.Receivers, name)
		}
	}
	return out
}
