// Package alertmanager finds out under which keys a pager knows an alert. Alertmanager names an incident at PagerDuty by the
// hex SHA-256 of the group key of the receiver that pages; that key is not the one triaged gets, unless its webhook stands in
// the same receiver. So the route tree is read from Alertmanager's status and walked as Alertmanager walks it.
//
// It reads one page of status and changes nothing: no silence, no alert. The configuration it reads is kept no longer than the
// tree made of it, is never logged, and no part of it but matchers and label names can be seen in an error.
package alertmanager

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/triage"
)

const (
	maxStatus = 16 << 20         // bytes of one answer
	staleFor  = 24 * time.Hour   // how long an old tree is better than none
	retryWait = 10 * time.Second // after a failure, before the same Alertmanager is asked again
)

// Pagers knows the keys of all configured Alertmanagers. It is safe for concurrent use.
type Pagers struct {
	servers []*server
	log     *slog.Logger
}

// Options are what Pagers is made from.
type Options struct {
	Configs   []Config
	Logger    *slog.Logger
	Transport http.RoundTripper // nil: made from each http_config
	Now       func() time.Time  // nil: time.Now
}

type server struct {
	cfg    Config
	client *http.Client
	now    func() time.Time

	mu      sync.Mutex // held while asking: one request at a time, and nobody asks what another is being told
	tree    *tree
	read    time.Time
	lastErr error
	failed  time.Time
}

// New checks the configuration. It contacts nobody.
func New(o Options) (*Pagers, error) {
	p := &Pagers{log: o.Logger}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, c := range o.Configs {
		if err := c.Validate(); err != nil {
			return nil, err
		}
		client, err := config.NewClientFromConfig(c.HTTPConfig, "alertmanager")
		if err != nil {
			return nil, fmt.Errorf("sources.alertmanager %s: http_config: %w", c.Name, err)
		}
		if o.Transport != nil {
			client.Transport = o.Transport
		}
		client.CheckRedirect = sameHost
		p.servers = append(p.servers, &server{cfg: c, client: client, now: o.Now})
	}
	return p, nil
}

// sameHost follows no redirect to another host or to an unencrypted scheme: credentials stay where they were configured to go.
func sameHost(req *http.Request, via []*http.Request) error {
	if req.URL.Host != via[0].URL.Host || via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return errors.New("the server redirects to another host, which is not followed")
	}
	if len(via) >= 5 {
		return errors.New("too many redirects")
	}
	return nil
}

// DedupKeys are the keys under which PagerDuty may know the alerts, in the order of alerts, servers and routes. It asks every
// Alertmanager whose route tree is not fresh; an old tree will do where it cannot be asked. It fails only if none has a tree.
func (p *Pagers) DedupKeys(ctx context.Context, alerts []triage.Alert) ([]string, error) {
	var out []string
	var problems []error
	known := 0
	for _, s := range p.servers {
		t, err := s.routes(ctx)
		if err != nil {
			problems = append(problems, fmt.Errorf("ask alertmanager %s: %w", s.cfg.Name, err))
		}
		if t == nil {
			continue
		}
		known++
		for _, a := range alerts {
			for _, key := range t.pagerKeys(a.Labels) {
				if k := DedupKey(key); !slices.Contains(out, k) {
					out = append(out, k)
				}
			}
		}
	}
	if err := errors.Join(problems...); err != nil {
		if known == 0 {
			return nil, err
		}
		p.log.Warn("an alertmanager could not be asked for its routes; what is known of them is used", "err", err)
	}
	return out, nil
}

// DedupKey is what Alertmanager makes of a group key for PagerDuty.
func DedupKey(groupKey string) string {
	sum := sha256.Sum256([]byte(groupKey))
	return hex.EncodeToString(sum[:])
}

// routes gives the current tree, else an old one together with the error.
func (s *server) routes(ctx context.Context) (*tree, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.tree != nil && now.Sub(s.read) < time.Duration(s.cfg.Refresh) {
		return s.tree, nil
	}
	if s.lastErr != nil && now.Sub(s.failed) < retryWait {
		return s.old(now), s.lastErr
	}
	t, err := s.fetch(ctx)
	if err != nil {
		s.lastErr, s.failed = err, s.now()
		return s.old(now), err
	}
	s.tree, s.read, s.lastErr = t, now, nil
	return t, nil
}

func (s *server) old(now time.Time) *tree {
	if now.Sub(s.read) > staleFor {
		return nil
	}
	return s.tree
}

func (s *server) fetch(ctx context.Context) (*tree, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.cfg.Timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(s.cfg.URL, "/")+"/api/v2/status", nil)
	if err != nil {
		return nil, errors.New("its address cannot be used for a request")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxStatus+1))
	if err != nil {
		return nil, fmt.Errorf("read its status: %w", withoutURL(err))
	}
	if len(body) > maxStatus {
		return nil, fmt.Errorf("its status is larger than %d bytes", maxStatus)
	}
	var status struct {
		Config struct {
			Original string `json:"original"`
		} `json:"config"`
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return nil, errors.New("read its status: it is not what Alertmanager's API v2 answers")
	}
	return parseTree(status.Config.Original)
}

// withoutURL takes the address away from an error of net/http: it may hold a password.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
