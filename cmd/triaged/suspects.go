package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

func suspectsCommand(app *kingpin.Application) command {
	clause := app.Command("suspects", "Ask a running triaged what most likely set a service off; nothing is posted.")
	to := clientFlags(clause)
	var service, environment, at, format string
	var lookback time.Duration
	clause.Arg("service", "The service in trouble.").StringVar(&service)
	var flagged string
	clause.Flag("service", "The same, as a flag.").StringVar(&flagged)
	clause.Validate(func(*kingpin.CmdClause) error {
		if (service == "") == (flagged == "") {
			return errors.New("name one service, as in: triaged suspects checkout")
		}
		return nil
	})
	clause.Flag("environment", "For example production.").StringVar(&environment)
	clause.Flag("at", "When the trouble was seen, RFC 3339 with a zone; now if left out.").StringVar(&at)
	clause.Flag("lookback", "How far before it changes are sought; as configured if left out.").DurationVar(&lookback)
	clause.Flag("format", "text or json.").Default("text").EnumVar(&format, "text", "json")
	return command{clause: clause, run: func(ctx context.Context, s streams, _ *promslog.Config) error {
		service = cmp.Or(service, flagged)
		when, err := flagTime("--at", at)
		if err != nil {
			return err
		}
		question := map[string]any{"service": service}
		if environment != "" {
			question["environment"] = environment
		}
		if !when.IsZero() {
			question["at"] = when
		}
		if lookback > 0 {
			question["lookback_s"] = lookback.Seconds()
		}
		answer, err := to.do(ctx, "POST", "/api/v1/triage", question)
		if err != nil {
			return err
		}
		if format == "json" {
			fmt.Fprintf(s.out, "%s\n", answer)
			return nil
		}
		var report triage.Report
		if err := json.Unmarshal(answer, &report); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		if report.Unknown {
			return unknownService(ctx, to, service)
		}
		inc := triage.Incident{
			Title: service, Scope: triage.Scope{Service: service, Environment: environment}, OpenedAt: report.CreatedAt, State: triage.IncidentOpen,
		}
		fmt.Fprintln(s.out, card.Text(inc, report))
		return nil
	}}
}

// unknownService says that nobody knows the name, and which names are near it.
func unknownService(ctx context.Context, to *client, name string) error {
	const why = "%s is not known to this triaged: no call, no change and no metric names it"
	known := knownServices(ctx, to)
	var near []string
	for _, s := range known {
		if strings.Contains(s, name) || strings.Contains(name, s) || len(name) > 2 && strings.HasPrefix(s, name[:3]) {
			near = append(near, s)
		}
	}
	switch {
	case len(near) > 0:
		return fmt.Errorf(why+"; near it are %s", name, strings.Join(near[:min(len(near), 5)], ", "))
	case len(known) == 0:
		return fmt.Errorf(why+"; nor is any other service yet", name)
	}
	return fmt.Errorf(why+"; known are %s", name, say.List(known))
}

// knownServices are those of graph and catalogue, and those of the latest changes. What cannot be asked is left out.
func knownServices(ctx context.Context, to *client) []string {
	var found []string
	for _, path := range []string{"/api/v1/services", "/api/v1/changes?limit=500"} {
		var page struct {
			Items []struct {
				Name    string `json:"name"`    // of a service
				Service string `json:"service"` // of a change
			} `json:"items"`
		}
		if answer, err := to.do(ctx, "GET", path, nil); err != nil || json.Unmarshal(answer, &page) != nil {
			continue
		}
		for _, item := range page.Items {
			if n := cmp.Or(item.Name, item.Service); n != "" {
				found = append(found, n)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
