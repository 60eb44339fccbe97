package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxInner bounds what one inner answer may be, bytes.
const maxInner = 8 << 20

// Handler serves streamable HTTP without sessions: every POST is a question of its own and is answered as JSON. The API has let the
// request in; each tool asks inner, the API again, under the caller's own token and address.
func Handler(inner http.Handler, o Options) http.Handler {
	return sdk.NewStreamableHTTPHandler(func(r *http.Request) *sdk.Server {
		own := o
		own.Ask = within(inner, r)
		return New(own)
	}, &sdk.StreamableHTTPOptions{Stateless: true, JSONResponse: true, DisableLocalhostProtection: true}) // the API refuses other sites' pages itself
}

// within asks a handler of this process as whoever made the outer request.
func within(inner http.Handler, outer *http.Request) Ask {
	return func(ctx context.Context, method, path string, body any) ([]byte, error) {
		var payload []byte
		if body != nil {
			var err error
			if payload, err = json.Marshal(body); err != nil {
				return nil, fmt.Errorf("encode the question: %w", err)
			}
		}
		req, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(payload))
		if err != nil {
			return nil, errors.New("an id that is no part of an address")
		}
		req.RemoteAddr, req.TLS, req.Host = outer.RemoteAddr, outer.TLS, outer.Host
		for _, name := range []string{"Authorization", "X-Forwarded-For", "Forwarded", "X-Real-Ip"} {
			if v := outer.Header.Values(name); len(v) > 0 {
				req.Header[name] = v
			}
		}
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		w := &kept{header: make(http.Header), status: http.StatusOK}
		inner.ServeHTTP(w, req)
		if w.over {
			return nil, errors.New("the answer is too long; ask for less")
		}
		if w.status/100 != 2 {
			return nil, problem(w.status, w.body.Bytes())
		}
		return w.body.Bytes(), nil
	}
}

// problem is an RFC 9457 answer in words.
func problem(status int, body []byte) error {
	var p struct {
		Title, Detail string
		Errors        []struct{ Field, Value, Remedy string }
	}
	if json.Unmarshal(body, &p) != nil || p.Title == "" {
		return fmt.Errorf("triaged answers %d", status)
	}
	var text strings.Builder
	text.WriteString(strings.TrimSpace(p.Title + ". " + p.Detail))
	for _, e := range p.Errors {
		fmt.Fprintf(&text, "\n%s: %q: %s", e.Field, e.Value, e.Remedy)
	}
	return errors.New(text.String())
}

// kept is an answer that stays here. It is bounded, since what it holds goes through an assistant's memory.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
	over   bool
	begun  bool
}

func (k *kept) Header() http.Header { return k.header }

func (k *kept) WriteHeader(status int) {
	if !k.begun {
		k.begun, k.status = true, status
	}
}

func (k *kept) Write(b []byte) (int, error) {
	k.begun = true
	if k.body.Len()+len(b) > maxInner {
		k.over = true
		return 0, io.ErrShortWrite
	}
	return k.body.Write(b)
}
