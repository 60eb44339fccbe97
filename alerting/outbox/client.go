package outbox

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/prometheus/common/config"
)

// Client is the HTTP client of a notifier, made from the http_config of an entry of its kind ("slack"); next, where it is not nil,
// stands in for the transport. It follows no redirect to another host.
func Client(kind string, cfg config.HTTPClientConfig, next http.RoundTripper) (*http.Client, error) {
	client, err := config.NewClientFromConfig(cfg, kind)
	if err != nil {
		return nil, fmt.Errorf("%s_configs.http_config: %w", kind, err)
	}
	if cfg.FollowRedirects {
		client.CheckRedirect = SameHost
	}
	if next != nil {
		client.Transport = next
	}
	return client, nil
}

// Address checks a receiver's address without repeating it: it may hold a token.
func Address(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("must be an http or https address")
	}
	return u, nil
}
