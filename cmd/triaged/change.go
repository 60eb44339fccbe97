package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"

	"github.com/triaged-dev/triaged/triage"
)

// changeFlags are the words of a Change on the command line.
type changeFlags struct {
	kind, started, finished, status string
	change                          triage.Change
	labels                          map[string]string
}

func addChangeFlags(c *kingpin.CmdClause) *changeFlags {
	f := &changeFlags{labels: map[string]string{}}
	c.Flag("kind", "deploy, rollback, config, flag, migration, infra, scale, command or other.").Default("deploy").StringVar(&f.kind)
	c.Flag("service", "The service it changes; leave out with --global.").StringVar(&f.change.Service)
	c.Flag("environment", "For example production.").StringVar(&f.change.Environment)
	c.Flag("region", "Where it runs.").StringVar(&f.change.Region)
	c.Flag("cluster", "Where it runs.").StringVar(&f.change.Cluster)
	c.Flag("namespace", "Where it runs.").StringVar(&f.change.Namespace)
	c.Flag("global", "It reaches every service.").BoolVar(&f.change.Global)
	c.Flag("title", "One line for people.").StringVar(&f.change.Title)
	c.Flag("new-version", "What runs afterwards.").StringVar(&f.change.Version)
	c.Flag("previous-version", "What ran before.").StringVar(&f.change.PreviousVersion)
	c.Flag("link", "Where a person can look at it.").StringVar(&f.change.URL)
	c.Flag("id", "Makes repeating it safe; made up from the rest if left out.").StringVar((*string)(&f.change.ID))
	c.Flag("label", "name=value, as in flag=new-pricing, from=0, to=100; repeatable.").StringMapVar(&f.labels)
	return f
}

// build makes the Change at a time. The server validates it; only what cannot be sent at all is an error here.
func (f *changeFlags) build(start time.Time) triage.Change {
	c := f.change
	c.Kind = triage.Kind(f.kind)
	c.StartedAt = start.UTC().Truncate(time.Millisecond)
	if len(f.labels) > 0 {
		c.Labels = maps.Clone(f.labels)
	}
	return c
}

func changeSendCommand(parent *kingpin.CmdClause) command {
	clause := parent.Command("send", "Send one change, from flags or as JSON from standard input (--stdin).")
	to, f := clientFlags(clause), addChangeFlags(clause)
	clause.Flag("started-at", "RFC 3339 with a zone; now if left out.").StringVar(&f.started)
	clause.Flag("finished-at", "RFC 3339 with a zone.").StringVar(&f.finished)
	clause.Flag("status", "started, succeeded, failed or cancelled.").StringVar(&f.status)
	stdin := clause.Flag("stdin", "Read a change, a list of changes or a CloudEvent as JSON instead of the flags.").Bool()
	return command{clause: clause, run: func(ctx context.Context, s streams, _ *promslog.Config) error {
		var body any
		if *stdin {
			raw, err := io.ReadAll(io.LimitReader(s.in, maxAnswer))
			if err != nil {
				return fmt.Errorf("read standard input: %w", err)
			}
			if !json.Valid(raw) {
				return errors.New("standard input is not JSON")
			}
			body = json.RawMessage(raw)
		} else {
			c, err := f.fromFlags(time.Now())
			if err != nil {
				return err
			}
			body = c
		}
		answer, err := to.do(ctx, "POST", "/api/v1/changes", body)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s", answer)
		return nil
	}}
}

func (f *changeFlags) fromFlags(now time.Time) (triage.Change, error) {
	start, err := flagTime("--started-at", f.started)
	if err != nil {
		return triage.Change{}, err
	}
	if start.IsZero() {
		start = now
	}
	c := f.build(start)
	if c.FinishedAt, err = flagTime("--finished-at", f.finished); err != nil {
		return triage.Change{}, err
	}
	c.Status = triage.Status(f.status)
	return c, named(c)
}

// named refuses what would stand on a card as nothing at all. The server knows more; this needs no server.
func named(c triage.Change) error {
	if c.Service == "" && !c.Global {
		return errors.New("name what it changes: --service=NAME, or --global for what reaches every service")
	}
	if c.Kind == triage.KindFlag && c.Labels["flag"] == "" && c.Title == "" {
		return errors.New("name the flag: --label=flag=NAME, and --label=from=… --label=to=… for its values")
	}
	switch c.Kind {
	case triage.KindConfig, triage.KindMigration, triage.KindInfra, triage.KindCommand, triage.KindOther:
		if c.Title == "" && c.Version == "" && c.URL == "" && len(c.Labels) == 0 && c.ID == "" {
			return fmt.Errorf("say which %s it is: --title=…, --new-version=… or --label=…", c.Kind)
		}
	case triage.KindDeploy, triage.KindRollback, triage.KindFlag, triage.KindScale: // the service says it
	}
	return nil
}

func flagTime(name, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return t, fmt.Errorf("%s: %q: use RFC 3339 with a zone, like 2026-03-01T03:02:10Z", name, value)
	}
	return t.UTC(), nil
}

func changeRunCommand(parent *kingpin.CmdClause) command {
	clause := parent.Command("run", "Run a command and send its start and its end as one change: triaged change run --service=pricing -- ./deploy.sh")
	to, f := clientFlags(clause), addChangeFlags(clause)
	argv := clause.Arg("command", "The command and its arguments.").Required().Strings()
	return command{clause: clause, run: func(ctx context.Context, s streams, _ *promslog.Config) error {
		c := f.build(time.Now())
		if c.ID == "" {
			c.ID = triage.ChangeID("run:" + rand.Text())
		}
		recognise(*argv, &c)
		c.Status = triage.StatusStarted
		tell := func(c triage.Change) {
			// A deploy must not fail because nobody wrote it down; it is said instead.
			if _, err := to.do(context.WithoutCancel(ctx), "POST", "/api/v1/changes", c); err != nil {
				fmt.Fprintf(s.err, "triaged change run: not recorded: %v\n", err)
			}
		}
		tell(c)
		cmd := exec.CommandContext(ctx, (*argv)[0], (*argv)[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = 10 * time.Second
		said := &tail{}
		if isHelm(*argv) {
			cmd.Stdout = io.MultiWriter(s.out, said)
		}
		runErr := cmd.Run()
		helmSaid(said.String(), &c)
		c.FinishedAt, c.Status = time.Now().UTC().Truncate(time.Millisecond), triage.StatusSucceeded
		if runErr != nil {
			c.Status = triage.StatusFailed
		}
		tell(c)
		if exit, ok := errors.AsType[*exec.ExitError](runErr); ok && exit.ExitCode() > 0 {
			return exitError(exit.ExitCode())
		}
		if runErr != nil {
			return fmt.Errorf("run %s: %w", (*argv)[0], runErr)
		}
		return nil
	}}
}
