package api

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/api/signin"
	"github.com/triaged-dev/triaged/triage"
)

// Scope is one thing a caller may do.
type Scope string

// The scopes. Admin includes all the others.
const (
	ScopeRead         Scope = "read"          // ask, ad hoc triage included
	ScopeWriteChanges Scope = "write:changes" // send changes and anomalies
	ScopeWriteAlerts  Scope = "write:alerts"  // send alerts
	ScopeFeedback     Scope = "feedback"      // say whether a suspect was right
	ScopeAdmin        Scope = "admin"         // reload, resend, see the configuration and the quarantine
)

// Scopes lists every Scope.
func Scopes() []Scope {
	return []Scope{ScopeRead, ScopeWriteChanges, ScopeWriteAlerts, ScopeFeedback, ScopeAdmin}
}

// Config is the section auth: who may do what over HTTP, and how much of it.
type Config struct {
	Tokens    []Token `yaml:"tokens,omitempty"`
	Anonymous []Scope `yaml:"anonymous,omitempty"` // scopes of callers without a token, from anywhere
	// TrustLoopback lets callers on this machine do everything without a token. A proxy on it passes everybody on.
	TrustLoopback bool   `yaml:"trust_loopback,omitempty"`
	Limits        Limits `yaml:"limits,omitempty"`
	// People sign in at OIDC, or a proxy in front says who they are; Groups says what they may do.
	OIDC   *signin.OIDC  `yaml:"oidc,omitempty"`
	Proxy  *signin.Proxy `yaml:"proxy,omitempty"`
	Groups []Group       `yaml:"groups,omitempty"`
}

// Token is a bearer token and what its holder may do. Exactly one of Token and TokenFile is set.
type Token struct {
	Name      string        `yaml:"name"` // appears in logs
	Token     config.Secret `yaml:"token,omitempty"`
	TokenFile string        `yaml:"token_file,omitempty"` // read at start and at reload; surrounding white space is dropped
	Scopes    []Scope       `yaml:"scopes"`
	// Sources are further names under which its holder may report changes and anomalies; otherwise the source is the token's name. A
	// holder of the scope admin may name any.
	Sources []string `yaml:"sources,omitempty"`
}

// Limits bound what callers can cost us. The bytes of bodies held at once are bounded besides, see budgets.
type Limits struct {
	RecordBytes       int64          `yaml:"record_bytes,omitempty"`        // one change, anomaly or question
	BatchBytes        int64          `yaml:"batch_bytes,omitempty"`         // a list of them, or a webhook of alerts
	BatchRecords      int            `yaml:"batch_records,omitempty"`       // records in one body
	InFlight          int            `yaml:"in_flight,omitempty"`           // requests worked on at once, for writes and for reads each
	Triages           int            `yaml:"triages,omitempty"`             // ad hoc triages at once
	Streams           int            `yaml:"streams,omitempty"`             // clients of /api/v1/events
	Connections       int            `yaml:"connections,omitempty"`         // open at once, about 64 KiB each; read at start only
	BodyTimeout       model.Duration `yaml:"body_timeout,omitempty"`        // for a whole body to arrive
	Timeout           model.Duration `yaml:"timeout,omitempty"`             // for us to answer
	RequestsPerSecond float64        `yaml:"requests_per_second,omitempty"` // per token, and for all callers without one together; 0: no limit
	Burst             int            `yaml:"burst,omitempty"`               // requests above the rate that are let through
}

// minTokenBytes keeps out tokens that can be guessed.
const minTokenBytes = 16

// DefaultConfig lets in nobody, and bounds everything.
func DefaultConfig() Config {
	return Config{Limits: Limits{
		RecordBytes:  1 << 20,
		BatchBytes:   16 << 20,
		BatchRecords: 10000,
		InFlight:     64,
		Triages:      4,
		Streams:      64,
		Connections:  1024,
		BodyTimeout:  model.Duration(30e9),
		Timeout:      model.Duration(10e9),
		Burst:        100,
	}}
}

// UnmarshalYAML reads the section over the defaults and checks it.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	*c = DefaultConfig()
	type plain Config
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.validate()
}

// SetDirectory makes relative token files relative to the directory of the configuration file.
func (c *Config) SetDirectory(dir string) {
	for i := range c.Tokens {
		c.Tokens[i].TokenFile = config.JoinDir(dir, c.Tokens[i].TokenFile)
	}
	if c.OIDC != nil {
		c.OIDC.SetDirectory(dir)
	}
}

func (c *Config) validate() error {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf("auth."+format, args...)) }
	names := make(map[string]bool)
	for i, t := range c.Tokens {
		at := fmt.Sprintf("tokens[%d]", i)
		switch {
		case t.Name == "":
			add("%s.name: must not be empty; it is what the log calls the caller", at)
		case names[t.Name]:
			add("%s.name: %q is used twice; give each token its own name", at, t.Name)
		}
		names[t.Name] = true
		switch {
		case t.Token == "" && t.TokenFile == "":
			add("%s.token: set token or token_file", at)
		case t.Token != "" && t.TokenFile != "":
			add("%s.token: set only one of token and token_file", at)
		case t.Token != "" && len(t.Token) < minTokenBytes:
			add("%s.token: is %d bytes; use at least %d random ones, as from `openssl rand -hex 32`", at, len(t.Token), minTokenBytes)
		}
		if len(t.Scopes) == 0 {
			add("%s.scopes: must not be empty; use some of %s", at, joinScopes())
		}
		for j, s := range t.Scopes {
			if !slices.Contains(Scopes(), s) {
				add("%s.scopes[%d]: %q is not a scope; use some of %s", at, j, s, joinScopes())
			}
		}
	}
	for i, t := range c.Tokens {
		for j, s := range t.Sources {
			if s == "" || len(s) > triage.MaxText {
				add("tokens[%d].sources[%d]: %q: name a source, as it stands in the field source", i, j, s)
			}
		}
	}
	for j, s := range c.Anonymous {
		if !slices.Contains(Scopes(), s) {
			add("anonymous[%d]: %q is not a scope; use some of %s", j, s, joinScopes())
		}
	}
	problems = append(problems, c.groupProblems()...)
	l := c.Limits
	for _, n := range [...]struct {
		name  string
		value int64
	}{
		{"record_bytes", l.RecordBytes},
		{"batch_bytes", l.BatchBytes},
		{"batch_records", int64(l.BatchRecords)},
		{"in_flight", int64(l.InFlight)},
		{"triages", int64(l.Triages)},
		{"streams", int64(l.Streams)},
		{"connections", int64(l.Connections)},
		{"body_timeout", int64(l.BodyTimeout)},
		{"timeout", int64(l.Timeout)},
	} {
		if n.value <= 0 {
			add("limits.%s: %d is not above zero; leave it out for the default", n.name, n.value)
		}
	}
	if l.BatchBytes < l.RecordBytes || l.BatchBytes > maxBatchBytes {
		add("limits.batch_bytes: %d must lie between record_bytes (%d) and %d", l.BatchBytes, l.RecordBytes, int64(maxBatchBytes))
	}
	if l.RequestsPerSecond < 0 || (l.RequestsPerSecond > 0 && l.Burst <= 0) {
		add("limits.requests_per_second: %v needs to be positive, with a burst above zero; 0 means no limit", l.RequestsPerSecond)
	}
	return errors.Join(problems...)
}

func joinScopes() string {
	var b strings.Builder
	for i, s := range Scopes() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(s))
	}
	return b.String()
}

// Readable says which tokens cannot be read, as a start would.
func (c Config) Readable() error {
	var errs []error
	for _, t := range c.Tokens {
		if _, err := t.secret(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// secret is the token itself, from where it is configured.
func (t Token) secret() (string, error) {
	if t.TokenFile == "" {
		return string(t.Token), nil
	}
	data, err := os.ReadFile(t.TokenFile)
	if err != nil {
		return "", fmt.Errorf("read auth token %s: %w", t.Name, err)
	}
	s := strings.TrimSpace(string(data))
	if len(s) < minTokenBytes {
		return "", fmt.Errorf("read auth token %s: %s holds %d bytes; at least %d are needed", t.Name, t.TokenFile, len(s), minTokenBytes)
	}
	return s, nil
}
