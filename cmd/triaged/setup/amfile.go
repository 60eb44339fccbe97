package setup

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// alertmanager is a whole configuration of the Alertmanager that posts to triaged, too, and the steps that are left to do. Where
// its own could be read, it is that one with our webhook added: into the receivers that page, since then both know an alert under
// the same group key and notes reach the incident at PagerDuty; where none pages, as a receiver and a first route of its own.
func (f *found) alertmanager() (text string, steps []string, err error) {
	if len(f.ams) == 0 {
		return f.fresh(), []string{fmt.Sprintf("add the receiver and the first route of %s to your Alertmanager's configuration, then reload it", f.path(AlertmanagerFile)), doctorStep(f)}, nil
	}
	am := f.ams[0]
	if t := am.Tells(); t.Found {
		return am.Original, []string{"nothing for the Alertmanager: it posts to triaged already", doctorStep(f)}, nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(am.Original), &doc); err != nil || len(doc.Content) != 1 {
		return "", nil, fmt.Errorf("read the Alertmanager's configuration: %w", err)
	}
	root := doc.Content[0]
	hook, err := f.webhook()
	if err != nil {
		return "", nil, err
	}
	var where string
	if pagers := am.Pagers(); len(pagers) > 0 {
		var names []string
		for _, r := range pagers {
			addWebhook(root, r.Name, hook)
			names = append(names, r.Name)
		}
		where = "the receiver " + strings.Join(names, ", ")
	} else {
		addReceiver(root, hook)
		where = "a receiver and a first route named triaged"
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return "", nil, fmt.Errorf("write the Alertmanager's configuration: %w", err)
	}
	out := "# The Alertmanager's configuration as it runs, with triaged's webhook added in " + where + ".\n"
	step := fmt.Sprintf("take %s over into your Alertmanager's configuration (%s differs), then reload it:\n%s", f.path(AlertmanagerFile), where, indent(f.snippet()))
	if strings.Contains(am.Original, "<secret>") {
		out += "# It hides its secrets as <secret>: keep your own file, and take over only the lines about triaged.\n"
		step = fmt.Sprintf("add this to %s of your Alertmanager's configuration (%s shows where), then reload it:\n%s", where, f.path(AlertmanagerFile), indent(f.snippet()))
	}
	step += fmt.Sprintf("\n   %s belongs beside that file.", alertsToken)
	return out + b.String(), []string{step, doctorStep(f)}, nil
}

func doctorStep(f *found) string {
	return fmt.Sprintf("triaged doctor --config.file=%s --url=%s --token-file=%s", f.path(ConfigFile), f.o.Triaged, f.path(adminToken))
}

func (f *found) path(name string) string { return filepath.Join(f.o.Output, name) }

func indent(s string) string {
	return "     " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n     ")
}

// webhook is our entry of webhook_configs.
func (f *found) webhook() (*yaml.Node, error) {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(f.entry()), &n); err != nil {
		return nil, fmt.Errorf("write the webhook: %w", err)
	}
	return n.Content[0], nil
}

// entry is the webhook as text. max_alerts 0 sends whole groups.
func (f *found) entry() string {
	return "url: " + quote(f.o.Triaged+"/api/v1/alerts") + "\nsend_resolved: true\nmax_alerts: 0\n" +
		"http_config:\n  authorization: {credentials_file: " + alertsToken + "}\n"
}

func (f *found) snippet() string {
	return "webhook_configs:\n  - " + strings.ReplaceAll(strings.TrimSpace(f.entry()), "\n", "\n    ")
}

// fresh is a configuration where nothing is known of the present one.
func (f *found) fresh() string {
	return "# A complete Alertmanager configuration that does nothing but tell triaged. In yours, put the webhook into the receiver that\n" +
		"# pages: both then know an alert under the same group key, and notes reach the incident at PagerDuty.\n" +
		"route:\n  receiver: triaged\n  group_by: [alertname, service, namespace]\n  group_wait: 10s\n  group_interval: 1m\n  repeat_interval: 4h\n" +
		"receivers:\n  - name: triaged\n    " + strings.ReplaceAll(f.snippet(), "\n", "\n    ") + "\n"
}

// child is the value of a key; nil where it is not there.
func child(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

func set(m *yaml.Node, key string, v *yaml.Node) {
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, v)
}

// addWebhook adds to the receiver of that name.
func addWebhook(root *yaml.Node, receiver string, webhook *yaml.Node) {
	rs := child(root, "receivers")
	if rs == nil {
		return
	}
	for _, r := range rs.Content {
		if n := child(r, "name"); n == nil || n.Value != receiver {
			continue
		}
		list := child(r, "webhook_configs")
		if list == nil {
			list = &yaml.Node{Kind: yaml.SequenceNode}
			set(r, "webhook_configs", list)
		}
		list.Content = append(list.Content, webhook)
	}
}

// addReceiver adds a receiver of our own and a first route to it that lets the others go on.
func addReceiver(root *yaml.Node, webhook *yaml.Node) {
	scalar := func(v string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: v} }
	r := &yaml.Node{Kind: yaml.MappingNode}
	set(r, "name", scalar("triaged"))
	set(r, "webhook_configs", &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{webhook}})
	if rs := child(root, "receivers"); rs != nil {
		rs.Content = append(rs.Content, r)
	}
	route := child(root, "route")
	if route == nil {
		return
	}
	ours := &yaml.Node{Kind: yaml.MappingNode}
	set(ours, "receiver", scalar("triaged"))
	set(ours, "group_wait", scalar("10s"))
	set(ours, "continue", scalar("true"))
	list := child(route, "routes")
	if list == nil {
		list = &yaml.Node{Kind: yaml.SequenceNode}
		set(route, "routes", list)
	}
	// Alertmanager falls back to the parent only where no child matches: what the parent took, a last child takes on.
	if len(list.Content) == 0 || !catchesAll(list) {
		last := &yaml.Node{Kind: yaml.MappingNode}
		set(last, "receiver", scalar(child(route, "receiver").Value))
		list.Content = append(list.Content, last)
	}
	list.Content = slices.Insert(list.Content, 0, ours)
}

// catchesAll reports whether the last route takes everything.
func catchesAll(list *yaml.Node) bool {
	last := list.Content[len(list.Content)-1]
	return child(last, "matchers") == nil && child(last, "match") == nil && child(last, "match_re") == nil
}
