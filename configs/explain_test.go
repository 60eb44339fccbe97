package configs

import (
	"fmt"
	"strings"
	"testing"
)

// Everything that is wrong is said at once, each with the line and the entry it stands in.
func TestEveryMistakeAtOnce(t *testing.T) {
	_, err := Parse([]byte(`global: {external_url: 'http://x'}
windw: {}
sources:
  prometheus:
    - {name: a, url: 'http://ok'}
    - {name: b, url: 'http://ok', timeout: soon}
  kafka: [{name: k, brokers: [], topics: [{topic: t, format: nope}]}]
receivers:
  - name: oncall
    email_configs: [{to: nobody, from: x@example.com, smarthost: smtp.example.com}]
    slack_configs:
      - {token: x, channel: C0123456789}
      - {token: x, channel: general, pictur: true}
route: {receiver: oncall, mode: lve}
journal: {quarantine_max: many}
`))
	if err == nil {
		t.Fatal("want errors")
	}
	want := []string{
		`line 6, sources.prometheus[1]: not a valid duration string: "soon"`,
		`line 7, sources.kafka[0]: brokers: must not be empty`,
		`line 7, sources.kafka[0]: topics[0].format: "nope"`,
		`line 10, receivers[0].email_configs[0]: email_configs.to: "nobody"`,
		`line 10, receivers[0].email_configs[0]: email_configs.smarthost: "smtp.example.com"`,
		`line 14, route: route.mode: "lve"`,
		`line 2, windw: windw: is not a known key`,
		`line 13, receivers[0].slack_configs[1]: pictur: is not a known key`,
		`line 15, journal: cannot unmarshal`,
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("want %q in\n%v", w, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != len(want) {
		t.Errorf("want %d complaints, got %d:\n%v", len(want), n, err)
	}
}

func TestExplainIsBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("receivers:\n")
	for i := range 3000 {
		fmt.Fprintf(&b, "  - {name: r%d, slack_configs: [{token: x, channel: general}], padding%d: %s}\n", i, i, strings.Repeat("x", 500))
	}
	_, err := Parse([]byte(b.String()))
	if err == nil || !strings.Contains(err.Error(), "general") && !strings.Contains(err.Error(), "padding") {
		t.Errorf("want what the decoder says, got %.300v", err)
	}
	for _, text := range []string{"[]", "7", "route: [\n", "a: &x {b: 1}\nwindw: *x\n", "route: {mode: lve}\n---\nroute: {}\n"} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q: want an error", text)
		}
	}
}
