package prometheus

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/triage"
)

// serverConfig is the little we read of a Prometheus' own configuration. Everything else in it is ignored.
type serverConfig struct {
	Global struct {
		ScrapeInterval model.Duration    `yaml:"scrape_interval"`
		ExternalLabels map[string]string `yaml:"external_labels"`
	} `yaml:"global"`
	ScrapeConfigs []struct {
		JobName        string         `yaml:"job_name"`
		ScrapeInterval model.Duration `yaml:"scrape_interval"`
	} `yaml:"scrape_configs"`
}

func parseServerConfig(text string) (serverConfig, error) {
	var c serverConfig
	err := triage.CheckYAML([]byte(text))
	if err == nil {
		err = yaml.Unmarshal([]byte(text), &c)
	}
	if err != nil {
		return serverConfig{}, fmt.Errorf("read the server's configuration: %w", err)
	}
	return c, nil
}

// scrape is the scrape interval of a job; ok is false where jobs differ and this one is not known by its name.
func (c serverConfig) scrape(job string) (d time.Duration, ok bool) {
	d, ok = time.Duration(c.Global.ScrapeInterval), c.Global.ScrapeInterval > 0
	for _, sc := range c.ScrapeConfigs {
		own := time.Duration(sc.ScrapeInterval)
		if own == 0 {
			own = time.Duration(c.Global.ScrapeInterval)
		}
		if sc.JobName == job {
			return own, own > 0
		}
		ok = ok && own == d
	}
	return d, ok
}

const (
	defaultScrape = 15 * time.Second
	measureRange  = 10 * time.Minute
)

// scrapeInterval is that of the series in e: from the server's configuration, else counted in the data, else assumed; note says
// so in the last two cases.
func (s *Source) scrapeInterval(ctx context.Context, c *client, e parser.Expr, job string, at time.Time) (d time.Duration, note string) {
	conf, confErr := s.serverConfig(ctx, c)
	for _, v := range selectors(e) {
		for _, m := range v.LabelMatchers {
			if m.Name == model.JobLabel && m.Matches(m.Value) && job == "" {
				job = m.Value
			}
		}
	}
	if confErr == nil {
		if d, ok := conf.scrape(job); ok {
			return d, ""
		}
	}
	for _, v := range selectors(e) {
		if v.OriginalOffset != 0 {
			continue
		}
		got, err := c.vector(ctx, fmt.Sprintf("max(count_over_time(%s[%s]))", v, model.Duration(measureRange)), at)
		if err != nil {
			break
		}
		if len(got) == 1 && got[0].Value >= 2 {
			d := (measureRange / time.Duration(got[0].Value)).Round(time.Second)
			return max(d, time.Second), fmt.Sprintf("scrape interval %s counted from the samples of %s", d, v.Name)
		}
		break // one such query is enough
	}
	if confErr == nil && conf.Global.ScrapeInterval > 0 {
		d := time.Duration(conf.Global.ScrapeInterval)
		return d, fmt.Sprintf("scrape interval %s assumed: the server's global one, its jobs differ", d)
	}
	return defaultScrape, fmt.Sprintf("scrape interval %s assumed: the server does not say", defaultScrape)
}

// serverConfig is cached by the client. Mimir and others have none; that is an error here.
func (s *Source) serverConfig(ctx context.Context, c *client) (serverConfig, error) {
	text, err := c.configYAML(ctx)
	if err != nil {
		return serverConfig{}, err
	}
	return parseServerConfig(text)
}
