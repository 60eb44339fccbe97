package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
)

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// command is one sub-command: its flags are bound when it is registered, then run does the work.
type command struct {
	clause *kingpin.CmdClause
	run    func(context.Context, streams, *promslog.Config) error
}

// exitError ends the program with a code of its own; its message has been printed.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

const help = "Says which change most likely caused an alert, and the safest way back."

// run parses the arguments, runs the command they name, and returns the exit code: 0 well, 1 failed, 2 asked wrongly.
func run(ctx context.Context, args []string, io streams) int {
	app := kingpin.New("triaged", help)
	app.Version(version.Print("triaged"))
	app.HelpFlag.Short('h')
	app.UsageWriter(io.out)
	app.ErrorWriter(io.err)
	logging := &promslog.Config{Writer: io.err}
	flag.AddFlags(app, logging)

	commands := []command{
		serveCommand(app),
		demoCommand(app),
		tryCommand(app),
		initCommand(app),
		doctorCommand(app),
		checkConfigCommand(app),
		replayCommand(app),
		detectCommand(app),
		changeSendCommand(app.Command("change", "Tell a running triaged about a change.")),
		suspectsCommand(app),
		mcpCommand(app),
		backupCommand(app),
		restoreCommand(app),
		healthcheckCommand(app),
		versionCommand(app),
	}
	commands = slices.Insert(commands, 6, changeRunCommand(app.GetCommand("change")))

	name, err := parse(app, args)
	if exit, ok := errors.AsType[exitError](err); ok { // --help, --version or a completion script has answered
		return int(exit)
	}
	if err != nil {
		fmt.Fprintf(io.err, "triaged: %v; see triaged --help\n", err)
		return 2
	}
	i := slices.IndexFunc(commands, func(c command) bool { return c.clause.FullCommand() == name })
	if i < 0 {
		fmt.Fprintf(io.err, "triaged: no command %q; see triaged --help\n", name)
		return 2
	}
	err = commands[i].run(ctx, io, logging)
	if exit, ok := errors.AsType[exitError](err); ok {
		return int(exit)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(io.err, "triaged %s: %s\n", name, strings.TrimSpace(err.Error()))
		return 1
	}
	return 0
}

// parse reads the arguments. Kingpin counts on Terminate never to return: what had answered by then, as --help or --version, would be
// followed by the usage. So the answer unwinds the stack up to here, and its code is an exitError.
func parse(app *kingpin.Application, args []string) (name string, err error) {
	app.Terminate(func(code int) { panic(exitError(code)) })
	defer func() {
		switch exit := recover().(type) {
		case nil:
		case exitError:
			err = exit
		default:
			panic(exit)
		}
	}()
	return app.Parse(args)
}

func versionCommand(app *kingpin.Application) command {
	return command{
		clause: app.Command("version", "Print the version."),
		run: func(_ context.Context, io streams, _ *promslog.Config) error {
			fmt.Fprintln(io.out, version.Print("triaged"))
			return nil
		},
	}
}
