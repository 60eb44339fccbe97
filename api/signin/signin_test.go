package signin_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/api/signin"
)

func TestConfigIsChecked(t *testing.T) {
	for text, want := range map[string]string{
		`issuer: https://login.example.com, client_id: t`: "",
		`issuer: http://127.0.0.1:5556/dex, client_id: t`: "",
		`client_id: t`: "auth.oidc.issuer",
		`issuer: http://login.example.com, client_id: t`:                                   "must be https",
		`issuer: 'https://login.example.com?x=y', client_id: t`:                            "auth.oidc.issuer",
		`issuer: https://login.example.com`:                                                "auth.oidc.client_id",
		`issuer: https://x.example, client_id: t, scopes: [email]`:                         "openid",
		`issuer: https://x.example, client_id: t, session: 30d`:                            "auth.oidc.session",
		`issuer: https://x.example, client_id: t, clock_skew: 1h`:                          "auth.oidc.clock_skew",
		`issuer: https://x.example, client_id: t, client_secret: a, client_secret_file: b`: "only one of",
		`issuer: https://x.example, client_id: t, realm: x`:                                "realm",
	} {
		var c signin.OIDC
		err := yaml.Unmarshal([]byte("{"+text+"}"), strict(&c))
		check(t, text, err, want)
	}
	for text, want := range map[string]string{
		`allowed: [10.0.0.1, 'fd00::/8']`:                      "",
		`user_header: X-Remote-User`:                           "auth.proxy.allowed",
		`allowed: [10.0.0.0/8, 0.0.0.0/0]`:                     "everybody",
		`allowed: ['::/0']`:                                    "everybody",
		`allowed: [proxy.example.com]`:                         "auth.proxy.allowed[0]",
		`allowed: [10.0.0.1], user_header: 'X Y'`:              "auth.proxy.user_header",
		`allowed: [10.0.0.1], groups_header: x-forwarded-user`: "groups_header",
		`allowed: [10.0.0.1], separator: ''`:                   "separator",
	} {
		var c signin.Proxy
		err := yaml.Unmarshal([]byte("{"+text+"}"), strict(&c))
		check(t, text, err, want)
	}
}

// strict reads like the configuration does: what is not known is an error.
func strict(v any) any {
	return &strictly{v}
}

type strictly struct{ v any }

func (s *strictly) UnmarshalYAML(n *yaml.Node) error {
	b, err := yaml.Marshal(n)
	if err != nil {
		return err
	}
	dec := yaml.NewDecoder(strings.NewReader(string(b)))
	dec.KnownFields(true)
	return dec.Decode(s.v)
}

func check(t *testing.T, text string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s: want %q, got %v", text, want, err)
	}
}
