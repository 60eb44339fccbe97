package api_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/api"
)

func load(t *testing.T, text string) (api.Config, error) {
	t.Helper()
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	var file struct {
		Auth api.Config `yaml:"auth"`
	}
	file.Auth = api.DefaultConfig()
	err := dec.Decode(&file)
	return file.Auth, err
}

func TestConfig(t *testing.T) {
	got, err := load(t, `
auth:
  tokens: [{name: ci, token_file: ci.token, scopes: ["write:changes"]}]
  anonymous: [read]
  limits: {timeout: 3s, requests_per_second: 5}
`)
	if err != nil {
		t.Fatal(err)
	}
	if time.Duration(got.Limits.Timeout) != 3*time.Second || got.Limits.InFlight != 64 || got.Limits.Burst != 100 {
		t.Errorf("want the timeout given and the other limits at their defaults, got %+v", got.Limits)
	}
	got.SetDirectory("/etc/triaged")
	if want := filepath.Join("/etc/triaged", "ci.token"); got.Tokens[0].TokenFile != want {
		t.Errorf("want %s, got %s", want, got.Tokens[0].TokenFile)
	}
	empty, err := load(t, "auth: {}")
	if err != nil || !reflect.DeepEqual(empty, api.DefaultConfig()) {
		t.Errorf("want the defaults for an empty section, got %+v, %v", empty, err)
	}
}

func TestConfigProblemsAreAllNamed(t *testing.T) {
	for text, wants := range map[string][]string{
		"auth: {tokens: [{token: short, scopes: [write]}]}": {
			"auth.tokens[0].name: must not be empty", "auth.tokens[0].token: is 5 bytes", `auth.tokens[0].scopes[0]: "write" is not a scope; use some of read`,
		},
		"auth: {tokens: [{name: a, scopes: [read]}, {name: a, token: 0123456789abcdef, token_file: x}]}": {
			"auth.tokens[0].token: set token or token_file", `auth.tokens[1].name: "a" is used twice`, "auth.tokens[1].token: set only one", "auth.tokens[1].scopes: must not be empty",
		},
		"auth: {anonymous: [everything]}":                                     {`auth.anonymous[0]: "everything" is not a scope`},
		"auth: {limits: {in_flight: 0, body_timeout: 0s, batch_bytes: 1000}}": {"auth.limits.in_flight: 0", "auth.limits.body_timeout: 0", "auth.limits.batch_bytes: 1000 must lie between"},
		"auth: {limits: {requests_per_second: -1}}":                           {"auth.limits.requests_per_second: -1"},
		"auth: {token: x}":              {"field token not found"},
		"auth: {limits: {inflight: 3}}": {"field inflight not found"},
		"auth: {tokens: [{name: a, token: 0123456789abcdef, scope: [read]}]}": {"field scope not found"},
	} {
		_, err := load(t, text)
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: want %q in the error, got %v", text, want, err)
			}
		}
		if err != nil && strings.Contains(err.Error(), "0123456789abcdef") {
			t.Errorf("%s: the error shows the token: %v", text, err)
		}
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	_, err := api.New(api.Options{Config: api.DefaultConfig()})
	for _, want := range []string{"Store", "Collector", "Alerts", "Resender", "Triager", "NotFound"} {
		if err == nil || !strings.Contains(err.Error(), "Options."+want) {
			t.Errorf("want Options.%s in the error, got %v", want, err)
		}
	}
}

// The section shown in the documentation is taken, and its limits are the defaults.
func TestDocumentedConfig(t *testing.T) {
	doc, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(doc), "```yaml\nauth:")
	text, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("docs/api.md shows no section auth")
	}
	got, err := load(t, "auth:"+text)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Tokens) != 3 || got.Limits != api.DefaultConfig().Limits {
		t.Errorf("want three tokens and the default limits, got %+v", got)
	}
}
