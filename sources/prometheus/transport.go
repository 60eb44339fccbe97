package prometheus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/prometheus/common/config"
)

// newTransport makes the HTTP side of one server: what http_config says, the tenant, and the bound on answers.
// base replaces http_config where it is not nil.
func newTransport(cfg Config, base http.RoundTripper) (http.RoundTripper, error) {
	if base == nil {
		rt, err := config.NewRoundTripperFromConfig(cfg.HTTPConfig, "prometheus", config.WithUserAgent("triaged"))
		if err != nil {
			return nil, fmt.Errorf("set up http_config of prometheus %s: %w", cfg.Name, err)
		}
		base = rt
	}
	return &transport{base: base, tenant: cfg.Tenant, limit: cfg.MaxResponseBytes}, nil
}

var errOtherHost = errors.New("the server redirects to another host, which is not followed; configure the address it redirects to")

type transport struct {
	base   http.RoundTripper
	tenant string
	limit  int64
}

// RoundTrip adds the tenant and bounds the body, counted after decompression.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	// The client follows redirects, and the tenant and the query must not go where nobody configured them to go.
	if from := req.Response; from != nil && from.Request != nil && (req.URL.Host != from.Request.URL.Host || from.Request.URL.Scheme == "https" && req.URL.Scheme != "https") {
		return nil, errOtherHost
	}
	if t.tenant != "" {
		req = req.Clone(req.Context())
		req.Header.Set("X-Scope-OrgID", t.tenant)
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{body: resp.Body, left: t.limit}
	return resp, nil
}

// CloseIdleConnections lets go of connections when the source is closed.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// maxObjects bounds the JSON objects of one answer, of which a series has two and an alert or rule three or four. Decoded, each takes
// some 300 bytes, whatever it took on the wire: 16 MiB of the smallest series would be 300 MB.
const maxObjects = 150_000

// boundedBody fails with errTooLarge instead of reading more than left bytes, and with errTooMany instead of more than maxObjects objects.
type boundedBody struct {
	body    io.ReadCloser
	left    int64
	objects int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, errTooLarge
	}
	if b.objects += bytes.Count(p[:n], []byte("{")); b.objects > maxObjects {
		return 0, errTooMany
	}
	return n, err
}

func (b *boundedBody) Close() error { return b.body.Close() }
