package main

import (
	"context"
	"fmt"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"

	"github.com/triaged-dev/triaged/journal"
)

func backupCommand(app *kingpin.Application) command {
	clause := app.Command("backup", "Copy the journal of a stopped or running triaged to a file that can be opened in its place.")
	var o serveOptions
	clause.Flag("config.file", "Configuration file that names the journal.").StringVar(&o.configFile)
	clause.Flag("storage.path", "Directory of the journal, instead of the configured path.").StringVar(&o.storage)
	to := clause.Arg("file", "Where to write the copy; it must not exist.").Required().String()
	return command{clause: clause, run: func(ctx context.Context, s streams, _ *promslog.Config) error {
		cfg, err := o.load()
		if err != nil {
			return err
		}
		if err := journal.BackupFile(ctx, cfg.Journal.Path, *to); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "wrote %s\n", *to)
		return nil
	}}
}

func restoreCommand(app *kingpin.Application) command {
	clause := app.Command("restore", "Put a copy that backup made in the place of the journal of a stopped triaged. What was there is kept beside it.")
	var o serveOptions
	clause.Flag("config.file", "Configuration file that names the journal.").StringVar(&o.configFile)
	clause.Flag("storage.path", "Directory of the journal, instead of the configured path.").StringVar(&o.storage)
	from := clause.Arg("file", "The copy; it is only read.").Required().String()
	return command{clause: clause, run: func(ctx context.Context, s streams, _ *promslog.Config) error {
		cfg, err := o.load()
		if err != nil {
			return err
		}
		r, err := journal.RestoreFile(ctx, *from, cfg.Journal.Path, time.Now())
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "restored %s: checked, %d changes, %d incidents, %d reports\n", cfg.Journal.Path, r.Changes, r.Incidents, r.Reports)
		if r.Aside != "" {
			fmt.Fprintf(s.out, "what was there before is in %s\n", r.Aside)
		}
		return nil
	}}
}
