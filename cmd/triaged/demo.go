//go:build !nodemo

package main

import (
	"context"
	"log/slog"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/cmd/triaged/demo"
)

func demoCommand(app *kingpin.Application) command {
	clause := app.Command("demo", "Play one incident against the real daemon on this machine; nothing needs to be installed.")
	var o demo.Options
	clause.Flag("exit", "End after the report; exit with 0 only if the expected trigger came first.").BoolVar(&o.Exit)
	clause.Flag("web.listen-address", "Where the daemon listens; a free port is taken if this one is not.").Default(defaultListen).StringVar(&o.Listen)
	verbose := clause.Flag("verbose", "Show the daemon's log.").Short('v').Bool()
	clause.Arg("case", "One of "+strings.Join(demo.Names(), ", ")+", or a case file.").Default("flag").StringVar(&o.Case)
	return command{clause: clause, run: func(ctx context.Context, s streams, logging *promslog.Config) error {
		o.Out, o.Logger = s.out, slog.New(slog.DiscardHandler)
		if *verbose {
			o.Logger = promslog.New(logging)
		}
		o.Serve = func(ctx context.Context, configFile, storage, listen string) error {
			return serve(ctx, serveOptions{
				configFile: configFile, storage: storage,
				web: &toolkit.FlagConfig{WebListenAddresses: &[]string{listen}, WebSystemdSocket: new(bool), WebConfigFile: new(string)},
			}, o.Logger)
		}
		o.Card = card.Text
		return demo.Run(ctx, o)
	}}
}
