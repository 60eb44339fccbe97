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
		`line 14, route.mode: "lve"`,
		`line 2, windw: is not a known key`,
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

// One mistake is one complaint, said once, whatever is missing once the entry with the mistake is left out; an entry is called as it
// stands in the file, whatever stood wrong before it.
func TestOneMistakeIsOneComplaint(t *testing.T) {
	const token = `token: "0123456789abcdef0123456789abcdef"`
	for in, want := range map[string][]string{
		"auth: {tokens: [{name: a, " + token + ", scopes: [reed]}]}":                                   {`line 1, auth.tokens[0].scopes[0]: "reed" is not a scope`},
		"auth: {tokens: [{name: a, " + token + ", scopes: [reed, rite]}]}":                             {`auth.tokens[0].scopes[0]: "reed"`, `auth.tokens[0].scopes[1]: "rite"`},
		"auth: {tokens: [{name: a, " + token + ", scopes: [reed]}, {name: b, scopes: [read]}]}":        {`auth.tokens[0].scopes[0]: "reed"`, "auth.tokens[1].token: set token"},
		"auth: {tokens: [{name: a, " + token + "}]}":                                                   {"auth.tokens[0].scopes: must not be empty"},
		"sources: {kafka: [{name: k, brokers: [a:1], topics: [{topic: t, format: odd}]}]}":             {`sources.kafka[0].topics[0].format: "odd"`},
		"sources: {kafka: [{nam: k}, {name: k, brokers: [a], topics: [{topic: t, format: triaged}]}]}": {`sources.kafka[1].brokers[0]: "a"`, "sources.kafka[0]: nam: is not"},
		"topology: {calls: {a: b}}": {"topology"},
		"receivers: [{name: r, slack_configs: [{chanel: x}]}]\nroute: {receiver: r}":                        {"receivers[0].slack_configs[0]: chanel"},
		"route: {receiver: r, matchers: [a]}\nreceivers: [{name: r, webhook_configs: [{url: 'http://x'}]}]": {"route.matchers[0]"},
	} {
		_, err := Parse([]byte(in))
		if err == nil {
			t.Errorf("%s: taken", in)
			continue
		}
		got := strings.Split(err.Error(), "\n")
		ok := len(got) == len(want)
		for i := range min(len(got), len(want)) {
			ok = ok && strings.Contains(got[i], want[i])
		}
		if !ok {
			t.Errorf("%s:\nwant %q\ngot  %q", in, want, got)
		}
	}
}
