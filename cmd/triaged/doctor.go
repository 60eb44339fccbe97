package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"

	"github.com/triaged-dev/triaged/cmd/triaged/doctor"
)

func doctorCommand(app *kingpin.Application) command {
	clause := app.Command("doctor", "Look for what makes reports late, thin or silent; ends with 1 if something is wrong.")
	var o doctor.Options
	var tokenFile, format string
	clause.Flag("config.file", "Configuration whose servers, tokens and routes to examine.").StringVar(&o.ConfigFile)
	clause.Flag("url", "A running triaged to examine, like http://127.0.0.1:9792.").Envar("TRIAGED_URL").StringVar(&o.URL)
	clause.Flag("token-file", "File with the bearer token for it.").Envar("TRIAGED_TOKEN_FILE").StringVar(&tokenFile)
	var connection client
	connection.connectionFlags(clause)
	clause.Flag("format", "text or json.").Default("text").EnumVar(&format, "text", "json")
	return command{clause: clause, run: func(ctx context.Context, s streams, _ *promslog.Config) error {
		if o.ConfigFile == "" && o.URL == "" {
			return errors.New("nothing to examine: give --config.file, --url, or both")
		}
		if tokenFile != "" {
			token, err := os.ReadFile(tokenFile)
			if err != nil {
				return fmt.Errorf("read token: %w", err)
			}
			o.Token = config.Secret(strings.TrimSpace(string(token)))
		}
		var err error
		if o.Daemon, err = connection.transport(); err != nil {
			return err
		}
		findings := doctor.Examine(ctx, o)
		wrong := false
		if format == "json" {
			enc := json.NewEncoder(s.out)
			enc.SetIndent("", " ")
			if err := enc.Encode(findings); err != nil {
				return err
			}
			for _, f := range findings {
				wrong = wrong || f.Level == doctor.Wrong
			}
		} else {
			wrong = doctor.Print(s.out, findings)
		}
		if wrong {
			return exitError(1)
		}
		return nil
	}}
}
