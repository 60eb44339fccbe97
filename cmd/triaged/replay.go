package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/correlate/detect"
	"github.com/triaged-dev/triaged/correlate/replay"
	"github.com/triaged-dev/triaged/triage"
)

func replayCommand(app *kingpin.Application) command {
	clause := app.Command("replay", "Score the ranking on recorded cases: files, or directories of *.json and *.json.gz.")
	var o replay.Options
	clause.Flag("format", "text or json.").Default("text").EnumVar(&o.Format, "text", "json")
	clause.Flag("verbose", "Every case with its suspects and evidence.").Short('v').BoolVar(&o.Verbose)
	clause.Flag("fit", "Fit the few weights that the data can carry, leaving one system out at a time.").BoolVar(&o.Fit)
	clause.Flag("compare", "Another weights table (YAML); shows both and the cases that flip.").PlaceHolder("TABLE").StringVar(&o.Compare)
	clause.Flag("without", "Leave a factor out; repeatable.").PlaceHolder("FACTOR").StringsVar(&o.Without)
	clause.Flag("delay", "Rank this long after the report time.").Default("0s").DurationVar(&o.Delay)
	clause.Flag("timing", "Add rank_ms to each result.").BoolVar(&o.Timing)
	cards := clause.Flag("cards", "Print each case's first card, as on-call would read it, instead of the scores.").Bool()
	clause.Flag("seed", "Of the bootstrap.").Default("1").Uint64Var(&o.Seed)
	clause.Arg("path", "Case files or directories.").Required().StringsVar(&o.Paths)
	return command{clause: clause, run: func(ctx context.Context, s streams, _ *promslog.Config) error {
		if isTerminal(s.err) {
			o.Progress = s.err
		}
		if *cards {
			o.Card = caseCard
		}
		return replay.Run(ctx, o, s.out)
	}}
}

// caseCard is the card of a case whose alerts are firing.
func caseCard(c triage.Case, r triage.Report) string {
	inc := triage.Incident{Alerts: c.Alerts, OpenedAt: r.CreatedAt, State: triage.IncidentOpen}
	if len(c.Alerts) > 0 {
		inc.Title = c.Alerts[0].Name()
		inc.Scope = triage.Scope{Service: r.Symptom.Service, Environment: c.Alerts[0].Labels["environment"], Region: c.Alerts[0].Labels["region"]}
	}
	return card.New(card.Input{Incident: inc, Report: r}).Text()
}

func detectCommand(app *kingpin.Application) command {
	clause := app.Command("detect", "Find when a series (CSV timestamp,value or JSON) left its usual range; prints onsets as JSON lines.")
	var o detect.Options
	clause.Flag("scores", "Print a score in [0,1] per sample instead, from the past alone.").BoolVar(&o.Scores)
	files := clause.Arg("file", "Series to read; - is standard input.").Required().Strings()
	return command{clause: clause, run: func(ctx context.Context, s streams, _ *promslog.Config) error {
		var errs []error
		for _, name := range *files {
			errs = append(errs, detectFile(ctx, name, o, s))
		}
		return errors.Join(errs...)
	}}
}

func detectFile(ctx context.Context, name string, o detect.Options, s streams) error {
	if name == "" { // what kingpin makes of a lone "-"
		name = "-"
	}
	o.Name = name
	if name == "-" {
		return detect.Run(ctx, o, s.in, s.out)
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read series: %w", err)
	}
	defer f.Close()
	return detect.Run(ctx, o, f, s.out)
}

// isTerminal reports whether a person watches w, who wants to see progress.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func healthcheckCommand(app *kingpin.Application) command {
	clause := app.Command("healthcheck", "Exit with 0 if the daemon on this machine is healthy; for containers.")
	to := clientFlags(clause)
	return command{clause: clause, run: func(ctx context.Context, s streams, _ *promslog.Config) error {
		to.timeout = min(to.timeout, 3*time.Second)
		if _, err := to.do(ctx, "GET", "/-/healthy", nil); err != nil {
			return err
		}
		fmt.Fprintln(s.out, "healthy")
		return nil
	}}
}
