package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/google/go-github/v60/github"
	"github.com/prometheus/common/config"
)

const (
	requestTimeout = 15 * time.Second
	perPage        = 100
	userAgent      = "triaged"
)

// client makes the few GETs this package needs. Lists come back as raw elements, so that one odd element does not spoil a page.
type client struct {
	gh     *github.Client
	web    string // https://github.com, for links
	limits *limits
	cache  *ristretto.Cache[string, *cached]
	expiry func(time.Time)
}

func newClient(opts Options, m *metrics, now func() time.Time) (*client, error) {
	cfg := opts.Config
	base, err := url.Parse(cfg.APIURL)
	if err != nil {
		return nil, fmt.Errorf("api_url: %w", err)
	}
	rt := opts.Transport
	if rt == nil {
		h := cfg.HTTPConfig
		if cfg.Token != "" || cfg.TokenFile != "" {
			h.Authorization = &config.Authorization{Type: "Bearer", Credentials: cfg.Token, CredentialsFile: cfg.TokenFile}
		}
		if rt, err = config.NewRoundTripperFromConfig(h, "github", config.WithUserAgent(userAgent)); err != nil {
			return nil, fmt.Errorf("http_config: %w", err)
		}
	}
	api := github.NewClient(nil)
	if base.Host != "api.github.com" {
		if api, err = api.WithEnterpriseURLs(cfg.APIURL, cfg.APIURL); err != nil {
			return nil, fmt.Errorf("api_url: %w", err)
		}
	}
	root := *api.BaseURL
	if cfg.App != nil {
		if rt, err = newAppAuth(rt, *cfg.App, &root, now); err != nil {
			return nil, err
		}
	}
	l := newLimits()
	t, err := newTransport(rt, l, m, cfg.Name, now)
	if err != nil {
		return nil, err
	}
	gh := github.NewClient(&http.Client{Transport: t, Timeout: requestTimeout, CheckRedirect: sameHost(root.Scheme, root.Host)})
	gh.BaseURL, gh.UserAgent = &root, userAgent
	c := &client{gh: gh, web: webURL(base), limits: l, cache: t.cache}
	c.expiry = func(at time.Time) {
		l.noteToken(at)
		m.expiry.WithLabelValues(cfg.Name).Set(float64(at.Unix()))
	}
	return c, nil
}

// sameHost follows redirects (repositories get renamed) but never takes the token to another host.
func sameHost(scheme, host string) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if req.URL.Host != host || req.URL.Scheme != scheme {
			return errors.New("refused a redirect to another host")
		}
		if len(via) > 3 {
			return errors.New("stopped after 3 redirects")
		}
		return nil
	}
}

// webURL is where people look at what the API serves.
func webURL(api *url.URL) string {
	host := strings.TrimPrefix(api.Host, "api.")
	return api.Scheme + "://" + host
}

// statusError is an answer that is no success. It names no URL and no token.
type statusError struct {
	Status int
	Fix    string // what an operator can do; may be empty
}

func (e *statusError) Error() string {
	s := fmt.Sprintf("GitHub answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Fix != "" {
		s += ": " + e.Fix
	}
	return s
}

// get reads one object. permission names what the token needs for it.
func (c *client) get(ctx context.Context, path, permission string, v any) error {
	_, err := c.do(ctx, path, permission, v)
	return err
}

// list reads one page of an array, or of the array under key where the answer is an object. next is 0 on the last page.
func (c *client) list(ctx context.Context, path, key, permission string, page int) (items []json.RawMessage, next int, err error) {
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	path += sep + "per_page=" + strconv.Itoa(perPage)
	if page > 1 {
		path += "&page=" + strconv.Itoa(page)
	}
	var resp *github.Response
	if key == "" {
		resp, err = c.do(ctx, path, permission, &items)
	} else {
		var object map[string]json.RawMessage
		if resp, err = c.do(ctx, path, permission, &object); err == nil {
			if e := json.Unmarshal(object[key], &items); e != nil {
				err = &oddAnswer{fmt.Errorf("%s: %w", key, e)}
			}
		}
	}
	if err == nil && items == nil {
		err = &oddAnswer{errors.New("there is no list")} // an empty list would be []
	}
	if err != nil {
		return nil, 0, err
	}
	return items, resp.NextPage, nil
}

func (c *client) do(ctx context.Context, path, permission string, v any) (*github.Response, error) {
	req, err := c.gh.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.gh.Do(ctx, req, v)
	if resp != nil && resp.Response != nil && !resp.TokenExpiration.IsZero() {
		c.expiry(resp.TokenExpiration.Time)
	}
	if err != nil {
		return nil, c.explain(ctx, err, permission)
	}
	return resp, nil
}

// explain reduces go-github's errors to ours: *LimitError, *statusError, or the network's own, without URLs.
func (c *client) explain(ctx context.Context, err error, permission string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if limit, ok := errors.AsType[*LimitError](err); ok {
		return limit
	}
	if limit, ok := errors.AsType[*github.RateLimitError](err); ok { // go-github's own brake, after an answer with none left
		return &LimitError{Kind: "primary", Until: limit.Rate.Reset.Time}
	}
	if st, ok := errors.AsType[*statusError](err); ok { // from the App's token request
		return st
	}
	if er, ok := errors.AsType[*github.ErrorResponse](err); ok && er.Response != nil {
		return &statusError{Status: er.Response.StatusCode, Fix: fix(er.Response.StatusCode, permission)}
	}
	if _, ok := errors.AsType[*github.AcceptedError](err); ok {
		return &statusError{Status: http.StatusAccepted, Fix: "not ready yet; it is asked again"}
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		if ue.Timeout() {
			return fmt.Errorf("no answer within %s", requestTimeout)
		}
		return ue.Err
	}
	return &oddAnswer{err}
}

// oddAnswer is an answer that is no JSON of the expected form.
type oddAnswer struct{ err error }

func (e *oddAnswer) Error() string { return "decode answer: " + e.err.Error() }
func (e *oddAnswer) Unwrap() error { return e.err }

func fix(status int, permission string) string {
	switch status {
	case http.StatusUnauthorized:
		return "the token is wrong, expired or revoked; make a new one"
	case http.StatusForbidden:
		return "the token needs the permission " + permission
	case http.StatusNotFound:
		return "check the repository's name, and that the token may see it and has the permission " + permission
	}
	return ""
}

func isStatus(err error, codes ...int) bool {
	st, ok := errors.AsType[*statusError](err)
	if !ok {
		return false
	}
	return slices.Contains(codes, st.Status)
}
