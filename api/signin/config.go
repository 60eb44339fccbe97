package signin

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// OIDC is the section auth.oidc: the provider at which people sign in.
type OIDC struct {
	Issuer           string                   `yaml:"issuer"`
	ClientID         string                   `yaml:"client_id"`
	ClientSecret     config.Secret            `yaml:"client_secret,omitempty"`
	ClientSecretFile string                   `yaml:"client_secret_file,omitempty"` // neither: a public client, which PKCE alone protects
	Scopes           []string                 `yaml:"scopes"`
	NameClaim        string                   `yaml:"name_claim"`   // what feedback and the audit log call a person; then email, then sub
	GroupsClaim      string                   `yaml:"groups_claim"` // or a path, realm_access.roles
	Session          model.Duration           `yaml:"session"`      // then people sign in again, and their groups are read again
	ClockSkew        model.Duration           `yaml:"clock_skew"`   // how far the provider's clock may be from ours
	HTTPConfig       *config.HTTPClientConfig `yaml:"http_config,omitempty"`
}

// DefaultOIDC is what stands where the section says nothing.
func DefaultOIDC() OIDC {
	return OIDC{
		Scopes: []string{"openid", "profile", "email"}, NameClaim: "preferred_username", GroupsClaim: "groups",
		Session: model.Duration(12 * time.Hour), ClockSkew: model.Duration(time.Minute),
	}
}

// UnmarshalYAML reads the section over the defaults and checks it.
func (c *OIDC) UnmarshalYAML(unmarshal func(any) error) error {
	*c = DefaultOIDC()
	type plain OIDC
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.validate()
}

const (
	maxSession = 7 * 24 * time.Hour
	maxSkew    = 5 * time.Minute
)

func (c *OIDC) validate() error {
	var problems []error
	add := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("auth.oidc."+format, args...))
	}
	switch u, err := url.Parse(c.Issuer); {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "":
		add("issuer: %q is not the address of a provider, like https://login.example.com/realms/acme", c.Issuer)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		add("issuer: %q must be https: whoever is between could sign in as anybody", c.Issuer)
	}
	if c.ClientID == "" {
		add("client_id: must not be empty; it is what the provider calls triaged")
	}
	if c.ClientSecret != "" && c.ClientSecretFile != "" {
		add("client_secret: set only one of client_secret and client_secret_file")
	}
	if !slices.Contains(c.Scopes, "openid") {
		add("scopes: must contain openid")
	}
	if c.NameClaim == "" || c.GroupsClaim == "" {
		add("name_claim, groups_claim: must not be empty; leave them out for %s and %s", DefaultOIDC().NameClaim, DefaultOIDC().GroupsClaim)
	}
	if d := time.Duration(c.Session); d < time.Minute || d > maxSession {
		add("session: %v must lie between 1m and %v", c.Session, model.Duration(maxSession))
	}
	if d := time.Duration(c.ClockSkew); d < 0 || d > maxSkew {
		add("clock_skew: %v must lie between 0s and %v", c.ClockSkew, model.Duration(maxSkew))
	}
	if c.HTTPConfig != nil {
		if err := c.HTTPConfig.Validate(); err != nil {
			add("http_config: %v", err)
		}
	}
	return errors.Join(problems...)
}

// SetDirectory makes relative paths relative to the directory of the configuration file.
func (c *OIDC) SetDirectory(dir string) {
	c.ClientSecretFile = config.JoinDir(dir, c.ClientSecretFile)
	if c.HTTPConfig != nil {
		c.HTTPConfig.SetDirectory(dir)
	}
}

// secret is the client's secret, from where it is configured.
func (c *OIDC) secret() (string, error) {
	if c.ClientSecretFile == "" {
		return string(c.ClientSecret), nil
	}
	b, err := os.ReadFile(c.ClientSecretFile)
	if err != nil {
		return "", fmt.Errorf("read auth.oidc.client_secret_file: %w", err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", fmt.Errorf("read auth.oidc.client_secret_file: %s is empty", c.ClientSecretFile)
	}
	return s, nil
}

// Proxy is the section auth.proxy: a proxy in front that has people sign in and says in headers who they are.
type Proxy struct {
	Allowed      []string `yaml:"allowed"`       // addresses of the proxy itself: only from there the headers are believed
	UserHeader   string   `yaml:"user_header"`   // who it is
	GroupsHeader string   `yaml:"groups_header"` // and which groups they are in
	Separator    string   `yaml:"separator"`     // between the groups

	allowed []netip.Prefix
}

// DefaultProxy is what stands where the section says nothing.
func DefaultProxy() Proxy {
	return Proxy{UserHeader: "X-Forwarded-User", GroupsHeader: "X-Forwarded-Groups", Separator: ","}
}

// UnmarshalYAML reads the section over the defaults and checks it.
func (c *Proxy) UnmarshalYAML(unmarshal func(any) error) error {
	*c = DefaultProxy()
	type plain Proxy
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.validate()
}

func (c *Proxy) validate() error {
	var problems []error
	add := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("auth.proxy."+format, args...))
	}
	if len(c.Allowed) == 0 {
		add("allowed: must not be empty; list the addresses of the proxy, like 10.1.2.3/32: from anywhere else its headers prove nothing")
	}
	c.allowed = nil
	for i, s := range c.Allowed {
		p, err := netip.ParsePrefix(s)
		if a, single := netip.ParseAddr(s); err != nil && single == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		switch {
		case err != nil:
			add("allowed[%d]: %q is not an address or a network like 10.1.2.0/28", i, s)
		case p.Bits() == 0:
			add("allowed[%d]: %q is everybody; whoever reaches the port could name themselves as they like", i, s)
		}
		c.allowed = append(c.allowed, p.Masked())
	}
	for name, h := range map[string]string{"user_header": c.UserHeader, "groups_header": c.GroupsHeader} {
		if h == "" || http.CanonicalHeaderKey(h) != http.CanonicalHeaderKey(strings.TrimSpace(h)) || strings.ContainsAny(h, " :\t") {
			add("%s: %q is not the name of a header", name, h)
		}
	}
	if http.CanonicalHeaderKey(c.UserHeader) == http.CanonicalHeaderKey(c.GroupsHeader) {
		add("groups_header: must be another one than user_header")
	}
	if c.Separator == "" {
		add("separator: must not be empty")
	}
	return errors.Join(problems...)
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
