package email

import (
	"errors"
	"net"
	"net/mail"
	"strconv"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/triage"
)

// implicitTLS is the port on which TLS comes first (RFC 8314); on every other it is asked for by STARTTLS.
const implicitTLS = 465

// Config is one entry of a receiver's `email_configs` list. The keys are those of Alertmanager's.
type Config struct {
	To               string            `yaml:"to"` // one address, or several with commas
	From             string            `yaml:"from"`
	Smarthost        string            `yaml:"smarthost"` // host:port; 465 begins with TLS, others by STARTTLS
	Hello            string            `yaml:"hello,omitempty"`
	AuthUsername     string            `yaml:"auth_username,omitempty"`
	AuthPassword     config.Secret     `yaml:"auth_password,omitempty"`
	AuthPasswordFile string            `yaml:"auth_password_file,omitempty"`
	RequireTLS       bool              `yaml:"require_tls"`
	TLSConfig        *config.TLSConfig `yaml:"tls_config,omitempty"`
	Picture          bool              `yaml:"picture"` // the time axis as a picture in the message
}

// DefaultConfig is an entry before it is filled in.
func DefaultConfig() Config { return Config{RequireTLS: true, Picture: true} }

// UnmarshalYAML starts from the defaults and checks the values against each other.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	if err := unmarshal((*plain)(c)); err != nil {
		return err
	}
	return c.Validate()
}

// SetDirectory resolves relative file names against the directory of the configuration file.
func (c *Config) SetDirectory(dir string) {
	c.AuthPasswordFile = config.JoinDir(dir, c.AuthPasswordFile)
	c.TLSConfig.SetDirectory(dir)
}

// Validate checks an entry; every problem is a FieldError.
func (c *Config) Validate() error {
	var problems []error
	add := func(field, value, remedy string) {
		problems = append(problems, &triage.FieldError{Field: "email_configs." + field, Value: value, Remedy: remedy})
	}
	if _, err := mail.ParseAddressList(c.To); err != nil {
		add("to", c.To, "must be an e-mail address, or several with commas between them")
	}
	if _, err := mail.ParseAddress(c.From); err != nil {
		add("from", c.From, "must be one e-mail address")
	}
	if _, _, err := c.server(); err != nil {
		add("smarthost", c.Smarthost, "must be host:port, like smtp.example.com:587")
	}
	password := c.AuthPassword != "" || c.AuthPasswordFile != ""
	switch {
	case c.AuthPassword != "" && c.AuthPasswordFile != "":
		add("auth_password_file", "", "give either auth_password or auth_password_file, not both")
	case c.AuthUsername != "" && !password:
		add("auth_password", "", "is needed with auth_username (or auth_password_file)")
	case c.AuthUsername == "" && password:
		add("auth_username", "", "is needed with a password")
	}
	return errors.Join(problems...)
}

// server takes the smarthost apart.
func (c *Config) server() (host string, port int, err error) {
	host, p, err := net.SplitHostPort(c.Smarthost)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 || host == "" {
		return "", 0, errors.New("no host or no port")
	}
	return host, int(n), nil
}
