package configs

import (
	"strings"
	"testing"
)

// Passwords and tokens are hidden wherever an address, a header or an OAuth endpoint's parameter carries one.
func TestSecretsInAddressesAreHidden(t *testing.T) {
	c, err := Parse([]byte(`
sources:
  prometheus:
    - name: p
      url: "http://prometheus:9090/base"
      http_config:
        proxy_url: "http://proxy:hunter2@proxy:3128"
        http_headers: {X-Api-Key: {values: [hunter2]}}
        oauth2: {client_id: us, client_secret: s3cret-hunter2, token_url: "https://o:hunter2@login/token?key=hunter2", endpoint_params: {password: hunter2}}
`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "hunter2") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	for _, kept := range []string{"prometheus:9090/base", "proxy:3128", "X-Api-Key", "login/token"} {
		if !strings.Contains(text, kept) {
			t.Errorf("want %q still shown:\n%s", kept, text)
		}
	}
}
