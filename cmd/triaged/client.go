package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/config"
)

// client asks a running triaged. Its flags are shared by every command that does.
type client struct {
	url, tokenFile string
	timeout        time.Duration
	http           config.HTTPClientConfig
	proxyURL       string
}

func clientFlags(clause *kingpin.CmdClause) *client {
	c := &client{}
	clause.Flag("url", "Where triaged listens.").Default("http://127.0.0.1:9792").Envar("TRIAGED_URL").StringVar(&c.url)
	clause.Flag("token-file", "File with the bearer token.").Envar("TRIAGED_TOKEN_FILE").StringVar(&c.tokenFile)
	c.connectionFlags(clause)
	clause.Flag("timeout", "How long to wait for an answer.").Default("10s").DurationVar(&c.timeout)
	return c
}

// connectionFlags are how the connection is made: through which proxy, and who proves what to whom.
func (c *client) connectionFlags(clause *kingpin.CmdClause) {
	c.http = config.DefaultHTTPClientConfig
	tls := &c.http.TLSConfig
	clause.Flag("ca-file", "Certificates by which to judge triaged's, in place of the system's.").Envar("TRIAGED_CA_FILE").StringVar(&tls.CAFile)
	clause.Flag("cert-file", "Client certificate, for a triaged that asks for one.").Envar("TRIAGED_CERT_FILE").StringVar(&tls.CertFile)
	clause.Flag("key-file", "Key of the client certificate.").Envar("TRIAGED_KEY_FILE").StringVar(&tls.KeyFile)
	clause.Flag("server-name", "The name to expect in triaged's certificate, where it is not that of --url.").Envar("TRIAGED_SERVER_NAME").StringVar(&tls.ServerName)
	clause.Flag("insecure-skip-verify", "Do not look at triaged's certificate: whoever answers gets the token.").Envar("TRIAGED_INSECURE_SKIP_VERIFY").BoolVar(&tls.InsecureSkipVerify)
	clause.Flag("proxy-url", "Proxy to go through; HTTP_PROXY, HTTPS_PROXY and NO_PROXY count if left out.").Envar("TRIAGED_PROXY_URL").StringVar(&c.proxyURL)
}

// transport connects as the flags say.
func (c *client) transport() (http.RoundTripper, error) {
	cfg := c.http
	if c.proxyURL == "" {
		cfg.ProxyFromEnvironment = true
	} else {
		u, err := url.Parse(c.proxyURL)
		if err != nil || u.Host == "" {
			return nil, errors.New("--proxy-url: is no address like http://proxy.example.com:3128") // its user may be a secret
		}
		cfg.ProxyURL = config.URL{URL: u}
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("--ca-file, --cert-file, --key-file: %w", err)
	}
	rt, err := config.NewRoundTripperFromConfig(cfg, "triaged", config.WithKeepAlivesDisabled())
	if err != nil {
		return nil, fmt.Errorf("--ca-file, --cert-file, --key-file: %w", err)
	}
	return rt, nil
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// do sends one request and returns the body of a 2xx answer; any other answer is an error with the server's own words.
func (c *client) do(ctx context.Context, method, path string, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.url, "/")+path, payload)
	if err != nil {
		return nil, fmt.Errorf("--url: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.tokenFile != "" {
		token, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("read token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	transport, err := c.transport()
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("ask triaged at %s: %w", c.url, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read answer of %s: %w", c.url, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, problem(resp.Status, answer)
	}
	return answer, nil
}

// problem makes an error of an RFC 9457 answer.
func problem(status string, body []byte) error {
	var p struct {
		Title, Detail string
		Errors        []struct{ Field, Value, Remedy string }
	}
	if json.Unmarshal(body, &p) != nil || p.Title == "" {
		return fmt.Errorf("%s: %s", status, strings.TrimSpace(string(body[:min(len(body), 500)])))
	}
	errs := []error{fmt.Errorf("%s: %s", status, strings.TrimSpace(p.Title+". "+p.Detail))}
	for _, e := range p.Errors {
		errs = append(errs, fmt.Errorf("  %s: %q: %s", e.Field, e.Value, e.Remedy))
	}
	return errors.Join(errs...)
}
