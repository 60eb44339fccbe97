package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
)

// client asks a running triaged. Its flags are shared by every command that does.
type client struct {
	url, tokenFile string
	timeout        time.Duration
}

func clientFlags(clause *kingpin.CmdClause) *client {
	c := &client{}
	clause.Flag("url", "Where triaged listens.").Default("http://127.0.0.1:9792").Envar("TRIAGED_URL").StringVar(&c.url)
	clause.Flag("token-file", "File with the bearer token.").Envar("TRIAGED_TOKEN_FILE").StringVar(&c.tokenFile)
	clause.Flag("timeout", "How long to wait for an answer.").Default("10s").DurationVar(&c.timeout)
	return c
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
	resp, err := http.DefaultTransport.RoundTrip(req)
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
