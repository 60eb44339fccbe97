package main

import (
	"context"
	"fmt"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"

	"github.com/triaged-dev/triaged/cmd/triaged/setup"
)

func initCommand(app *kingpin.Application) command {
	clause := app.Command("init", "Write a first configuration, and the Alertmanager's part, from what a Prometheus shows.")
	var o setup.Options
	clause.Flag("prometheus", "URL of the Prometheus that evaluates the alerting rules.").Required().StringVar(&o.Prometheus)
	clause.Flag("alertmanager", "URL of an Alertmanager, instead of those the Prometheus names.").StringsVar(&o.Alertmanagers)
	clause.Flag("triaged-url", "Where Alertmanager and people will reach triaged.").Default("http://127.0.0.1:9792").StringVar(&o.Triaged)
	clause.Flag("output", "Directory to write to.").Default("triaged-config").StringVar(&o.Output)
	clause.Flag("force", "Write over files that are there.").BoolVar(&o.Force)
	clause.Flag("http.config.file", "How to connect to the Prometheus, as in Prometheus itself.").StringVar(&o.HTTPFile)
	return command{clause: clause, run: func(ctx context.Context, s streams, _ *promslog.Config) error {
		o.HTTPConfig = config.DefaultHTTPClientConfig
		if o.HTTPFile != "" {
			loaded, _, err := config.LoadHTTPConfigFile(o.HTTPFile)
			if err != nil {
				return fmt.Errorf("--http.config.file: %w", err)
			}
			o.HTTPConfig = *loaded
		}
		o.Out = s.out
		return setup.Run(ctx, o)
	}}
}
