package try

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/triaged-dev/triaged/cmd/triaged/setup"
	"github.com/triaged-dev/triaged/sources/github"
	"github.com/triaged-dev/triaged/triage"
)

// githubTime bounds the reading of GitHub: an anonymous reader has 60 requests an hour.
const githubTime = time.Minute

// github reads what the repositories deployed, released and ran. The token is taken from GITHUB_TOKEN; without one, public
// repositories can be read, slowly.
func (t *trial) github(ctx context.Context) ([]triage.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, githubTime)
	defer cancel()
	var all []triage.Change
	var errs []error
	for _, name := range t.o.GitHub {
		_, repo, ok := strings.Cut(name, "/")
		if !ok {
			return nil, fmt.Errorf("--github: %q: must be owner/repository", name)
		}
		service, _ := t.dir.Resolve(repo)
		cfg := github.DefaultConfig()
		cfg.Name, cfg.Backfill, cfg.Token = "github", model.Duration(t.to.Sub(t.from)), config.Secret(os.Getenv("GITHUB_TOKEN"))
		if t.o.GitHubAPI != "" {
			cfg.APIURL = t.o.GitHubAPI
		}
		cfg.Repositories = []github.Repository{{
			Name: name, Service: service, Environment: "production", ReleaseIsDeploy: true, PayloadService: "service",
		}}
		src, err := github.New(github.Options{Config: cfg})
		if err != nil {
			return all, err
		}
		cs, err := readOnce(ctx, src)
		all, errs = append(all, cs...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// readOnce runs a source until it has read its past once, or cannot.
func readOnce(ctx context.Context, src *github.Source) ([]triage.Change, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var out []triage.Change
	done := make(chan error, 1)
	go func() {
		done <- src.Run(ctx, func(_ context.Context, events []triage.Event) error {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range events {
				if e.Change != nil {
					out = append(out, *e.Change)
				}
			}
			return nil
		})
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if st := src.Status(); !st.LastSuccess.IsZero() || st.State == triage.SourceDown || st.State == triage.SourceRateLimited {
			break
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	st := src.Status()
	cancel()
	err := <-done
	mu.Lock()
	defer mu.Unlock()
	if st.LastSuccess.IsZero() {
		return out, fmt.Errorf("%s %s", strings.ReplaceAll(string(st.State), "_", " "), st.Detail)
	}
	return out, err
}

// routed says which alerts go to a receiver that wakes somebody, by Alertmanager's own routes; nil where no receiver does.
func (t *trial) routed(ctx context.Context) (func(map[string]string) bool, error) {
	am, err := setup.ReadAlertmanager(ctx, t.o.Alertmanager, t.o.HTTPConfig)
	if err != nil {
		return nil, err
	}
	if len(am.Pagers()) == 0 {
		return nil, nil
	}
	return func(ls map[string]string) bool {
		for _, r := range am.Receivers(ls) {
			if r.Pages() {
				return true
			}
		}
		return false
	}, nil
}
