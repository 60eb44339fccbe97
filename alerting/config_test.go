package alerting

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func decodeYAML(text string, into any) error {
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	return dec.Decode(into)
}

func TestConfigErrors(t *testing.T) {
	for name, tc := range map[string]struct{ yaml, want string }{
		"one key":        {"workers: 2", ""},
		"delivery":       {"delivery: {timeout: 3s}", ""},
		"unknown key":    {"second_look: [1m]", "field second_look not found"},
		"unknown nested": {"delivery: {retries: 3}", "field retries not found"},
		"no workers":     {"workers: 0", "incidents.workers: \"0\": must be at least 1"},
		"looks in order": {"second_looks: [3m, 1m]", "incidents.second_looks[1]: \"1m\": must be later"},
		"close too soon": {"close_after: 1m", "incidents.close_after: \"1m\": must not be shorter than reopen_within 30m"},
		"bad matcher":    {"ignore: ['severity']", `write label="value"`},
		"bad regexp":     {"pages: ['severity=~\"(\"']", "no regular expression"},
		"backoff":        {"delivery: {backoff_min: 5m}", "incidents.delivery.backoff_min"},
	} {
		t.Run(name, func(t *testing.T) {
			var c Config
			err := decodeYAML(tc.yaml, &c)
			if (tc.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("want error %q, got %v", tc.want, err)
			}
		})
	}
}

// What is written out reads back the same, so that the reference file can be compared with the defaults.
func TestConfigRoundTrip(t *testing.T) {
	out, err := yaml.Marshal(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	var back Config
	if err := decodeYAML(string(out), &back); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	again, err := yaml.Marshal(back)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(out), string(again)); diff != "" {
		t.Error(diff)
	}
	if c := back; c.Delivery.MaxAttempts != 30 || len(c.SecondLooks) != 3 || len(c.Ignore) != 2 {
		t.Errorf("defaults: %+v", c)
	}
}

const routeYAML = `
receiver: all
mode: live
routes:
  - matchers: ['team="payments"', 'severity=~"page|critical"']
    receiver: payments
    continue: true
  - matchers: [env!=production]
    receiver: quiet
    mode: shadow
    routes:
      - matchers: [team=search]
        receiver: search
`

func TestRoute(t *testing.T) {
	var r RouteConfig
	if err := decodeYAML(routeYAML, &r); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		labels map[string]string
		want   []Target
	}{
		"nobody's":            {map[string]string{"env": "production"}, []Target{{Receiver: "all", Mode: ModeLive}}},
		"payments":            {map[string]string{"env": "production", "team": "payments", "severity": "page"}, []Target{{Receiver: "payments", Mode: ModeLive}}},
		"anchored":            {map[string]string{"env": "production", "team": "payments", "severity": "pager"}, []Target{{Receiver: "all", Mode: ModeLive}}},
		"continues":           {map[string]string{"env": "staging", "team": "payments", "severity": "page"}, []Target{{Receiver: "payments", Mode: ModeLive}, {Receiver: "quiet", Mode: ModeShadow}}},
		"child inherits mode": {map[string]string{"env": "staging", "team": "search"}, []Target{{Receiver: "search", Mode: ModeShadow}}},
		"missing label":       {map[string]string{}, []Target{{Receiver: "quiet", Mode: ModeShadow}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, r.Targets(tc.labels)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := DefaultRouteConfig().Targets(map[string]string{"a": "b"}); len(got) != 0 {
		t.Errorf("the default posts to nobody, got %v", got)
	}
	if got := (RouteConfig{Receiver: "x"}).Targets(nil); len(got) != 1 || got[0].Mode != ModeShadow {
		t.Errorf("the root is shadow unless it says otherwise, got %v", got)
	}
	err := r.Validate(func(name string) bool { return name != "search" && name != "all" })
	if err == nil || !strings.Contains(err.Error(), `route.receiver: "all"`) || !strings.Contains(err.Error(), `route.routes[1].routes[0].receiver: "search": is not defined`) {
		t.Errorf("want both unknown receivers named, got %v", err)
	}
	for _, bad := range []string{"mode: loud", "recever: x", "routes: [{matchers: ['x']}]"} {
		if err := decodeYAML(bad, &RouteConfig{}); err == nil {
			t.Errorf("%s: want an error", bad)
		}
	}
}

func TestMatcher(t *testing.T) {
	for form, tc := range map[string]struct {
		value string
		want  bool
	}{
		`severity="page"`:      {"page", true},
		`severity=page`:        {"page", true},
		`severity!=page`:       {"page", false},
		`severity!=page `:      {"", true},
		`severity=~"p.*"`:      {"page", true},
		`severity!~"p.*"`:      {"page", false},
		` severity = "a b" `:   {"a b", true},
		`severity="say \"x\""`: {`say "x"`, true},
		`severity=""`:          {"", true},
	} {
		m, err := ParseMatcher(form)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		if got := m.Matches(map[string]string{"severity": tc.value}); got != tc.want {
			t.Errorf("%s on %q: want %t, got %t", form, tc.value, tc.want, got)
		}
	}
	for _, form := range []string{"", "severity", "=x", `a="x`, `a=~"("`, "1a=b"} {
		if _, err := ParseMatcher(form); err == nil {
			t.Errorf("%q: want an error", form)
		}
	}
}
