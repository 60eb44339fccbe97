package hooks

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/triage"
)

// Config is one entry of hooks: one sender.
type Config struct {
	Name string `yaml:"name"` // the last part of its address, and what Coverage and metrics call it
	// Type names a shipped mapping, or one of those listed under mappings. Mapping is a file instead.
	Type    string `yaml:"type,omitempty"`
	Mapping string `yaml:"mapping,omitempty"`

	// How the sender proves itself, exactly one of: a secret, used in the way its mapping says (a signature, a token, …);
	// a bearer token; a user and a password; routing keys, for PagerDuty change events; or nothing, which must be asked for.
	Secret          config.Secret     `yaml:"secret,omitempty"`
	SecretFile      string            `yaml:"secret_file,omitempty"` // read at every request, so it may be rotated; so are the other files
	BearerToken     config.Secret     `yaml:"bearer_token,omitempty"`
	BearerTokenFile string            `yaml:"bearer_token_file,omitempty"`
	BasicAuth       *config.BasicAuth `yaml:"basic_auth,omitempty"`
	RoutingKeys     []RoutingKey      `yaml:"routing_keys,omitempty"`
	Insecure        bool              `yaml:"insecure,omitempty"` // anybody who reaches the port may report changes

	// What is filled in where the sender does not say. Flags maps flags, or the beginnings of their names followed by *, to
	// services; the longest that fits wins.
	Service     string            `yaml:"service,omitempty"`
	Environment string            `yaml:"environment,omitempty"`
	Flags       map[string]string `yaml:"flags,omitempty"`

	MaxBytes int64 `yaml:"max_bytes"` // of one body
}

// RoutingKey is one PagerDuty integration whose change events are taken.
type RoutingKey struct {
	Key         config.Secret `yaml:"key,omitempty"`
	KeyFile     string        `yaml:"key_file,omitempty"`
	Service     string        `yaml:"service,omitempty"` // where the event does not say
	Environment string        `yaml:"environment,omitempty"`
}

// DefaultConfig is an entry before the file is read.
func DefaultConfig() Config { return Config{MaxBytes: 5 << 20} }

// UnmarshalYAML fills in the defaults and checks the entry.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	*c = DefaultConfig()
	type plain Config
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.Validate()
}

// SetDirectory makes relative file names relative to dir.
func (c *Config) SetDirectory(dir string) {
	for _, f := range []*string{&c.Mapping, &c.SecretFile, &c.BearerTokenFile} {
		*f = config.JoinDir(dir, *f)
	}
	if c.BasicAuth != nil {
		c.BasicAuth.SetDirectory(dir)
	}
	for i := range c.RoutingKeys {
		c.RoutingKeys[i].KeyFile = config.JoinDir(dir, c.RoutingKeys[i].KeyFile)
	}
}

const (
	leastBytes = 1 << 10
	mostBytes  = 25 << 20
)

var hookName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// Validate reports every problem of the entry at once.
func (c *Config) Validate() error {
	var problems []error
	add := func(field, value, remedy string) {
		problems = append(problems, &triage.FieldError{Field: "hooks." + field, Value: value, Remedy: remedy})
	}
	if !hookName.MatchString(c.Name) {
		add("name", c.Name, "must be letters, digits, '.', '_' and '-': it is the last part of the address, /hooks/<name>")
	}
	if (c.Type == "") == (c.Mapping == "") {
		add("type", c.Type, "give exactly one of type, the name of a mapping, and mapping, a file")
	}
	if c.MaxBytes < leastBytes || c.MaxBytes > mostBytes {
		add("max_bytes", strconv.FormatInt(c.MaxBytes, 10), fmt.Sprintf("must lie between %d and %d", leastBytes, mostBytes))
	}
	ways := 0
	for _, given := range []bool{
		c.Secret != "", c.SecretFile != "", c.BearerToken != "", c.BearerTokenFile != "", c.BasicAuth != nil, len(c.RoutingKeys) > 0, c.Insecure,
	} {
		if given {
			ways++
		}
	}
	switch {
	case ways == 0:
		add("secret", "", "is needed: without one anybody could report changes. Set secret_file (or bearer_token_file, basic_auth, routing_keys), or insecure: true where the network already decides who may")
	case ways > 1:
		add("secret", "", "give one way to prove who sends: secret, secret_file, bearer_token, bearer_token_file, basic_auth, routing_keys or insecure")
	}
	if b := c.BasicAuth; b != nil && (b.Username == "" || (b.Password == "") == (b.PasswordFile == "")) {
		add("basic_auth", b.Username, "needs username and exactly one of password and password_file")
	}
	for i, k := range c.RoutingKeys {
		if (k.Key == "") == (k.KeyFile == "") {
			add(fmt.Sprintf("routing_keys[%d].key", i), "", "give exactly one of key and key_file")
		}
	}
	return errors.Join(problems...)
}

// proof is what a request must fit: a scheme, "" for the sender's own ones, and the secret.
type proof struct{ scheme, secret string }

// proof reads the secret. An empty one is an error: it would let everybody in, or nobody.
func (c *Config) proof() (proof, error) {
	var p proof
	var err error
	switch {
	case c.Secret != "" || c.SecretFile != "":
		p.secret, err = read(c.Secret, c.SecretFile, "secret_file")
	case c.BearerToken != "" || c.BearerTokenFile != "":
		p.scheme = "bearer"
		p.secret, err = read(c.BearerToken, c.BearerTokenFile, "bearer_token_file")
	case c.BasicAuth != nil:
		p.scheme = "basic"
		p.secret, err = read(c.BasicAuth.Password, c.BasicAuth.PasswordFile, "basic_auth.password_file")
		p.secret = c.BasicAuth.Username + ":" + p.secret
	}
	return p, err
}

func read(value config.Secret, file, field string) (string, error) {
	secret := string(value)
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("%s: %w", field, err)
		}
		secret = strings.TrimSpace(string(data))
	}
	if secret == "" {
		return "", &triage.FieldError{Field: field, Value: file, Remedy: "is empty; write the secret into it"}
	}
	return secret, nil
}

// serviceOf finds the service of a flag, by the longest pattern that fits; "" if none does.
func (c *Config) serviceOf(flag string) string {
	best, service := -1, ""
	for pattern, s := range c.Flags {
		prefix, open := strings.CutSuffix(pattern, "*")
		fits := flag == pattern || (open && strings.HasPrefix(flag, prefix))
		if size := len(pattern); fits && size > best {
			best, service = size, s
		}
	}
	return service
}

// lenient senders switch a hook off, or send the same for hours, when they are told that a body was not understood. The
// body is in the quarantine; they are told 200.
var lenient = []string{"gitlab", "pagerduty", "terraform-cloud"}

func isLenient(senderType string) bool { return slices.Contains(lenient, senderType) }
