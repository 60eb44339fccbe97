package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"

	"github.com/triaged-dev/triaged/cmd/triaged/try"
)

func tryCommand(app *kingpin.Application) command {
	clause := app.Command("try", "Say what triaged would have said on the pages of the last days; reads a Prometheus and writes nothing.")
	var o try.Options
	var httpConfig string
	clause.Flag("prometheus", "Its URL; what speaks its API will do. Nothing else is needed.").Required().StringVar(&o.Prometheus)
	clause.Flag("days", "How far back to look.").Default("14").IntVar(&o.Days)
	clause.Flag("max-pages", "How many pages to answer, the latest first; older ones are counted.").Default("50").IntVar(&o.MaxPages)
	clause.Flag("pages", `Matcher of alerts that page, like severity="page"; repeat it for several that must all hold. Severity page or critical if left out.`).StringsVar(&o.Pages)
	clause.Flag("queries-per-minute", "Budget; at most 4 queries are under way at once.").Default("600").IntVar(&o.Budget)
	clause.Flag("http.config.file", "How to connect: basic_auth, authorization, tls_config, proxy_url, as in Prometheus itself.").StringVar(&httpConfig)
	clause.Flag("alertmanager", "URL of an Alertmanager: its routes say which alerts page.").StringVar(&o.Alertmanager)
	clause.Flag("github", "owner/repository whose deployments and releases count as well; GITHUB_TOKEN is used where set.").StringsVar(&o.GitHub)
	clause.Flag("github-api-url", "Of an Enterprise Server, like https://github.example.com.").StringVar(&o.GitHubAPI)
	clause.Flag("changes", "File of further changes, one JSON object a line, as POST /api/v1/changes takes them.").StringVar(&o.ChangesFile)
	clause.Flag("format", "text or json.").Default("text").EnumVar(&o.Format, "text", "json")
	clause.Flag("html", "Write the answers to this file, too: one page that needs nothing else.").StringVar(&o.HTML)
	clause.Flag("verbose", "Print whole cards.").Short('v').BoolVar(&o.Verbose)
	return command{clause: clause, run: func(ctx context.Context, s streams, _ *promslog.Config) error {
		if o.Days < 1 || o.Days > 90 || o.MaxPages < 1 || o.Budget < 10 {
			return errors.New("--days must lie between 1 and 90, --max-pages be at least 1 and --queries-per-minute at least 10")
		}
		o.HTTPConfig = config.DefaultHTTPClientConfig
		if httpConfig != "" {
			loaded, _, err := config.LoadHTTPConfigFile(httpConfig)
			if err != nil {
				return fmt.Errorf("--http.config.file: %w", err)
			}
			o.HTTPConfig = *loaded
		}
		o.Out, o.Err = s.out, s.err
		if f, ok := s.err.(*os.File); ok {
			if info, err := f.Stat(); err == nil {
				o.Terminal = info.Mode()&os.ModeCharDevice != 0
			}
		}
		return try.Run(ctx, o)
	}}
}
