//go:build nodemo

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
)

// demoBinary stands beside the one that ships. It holds a Kafka broker and a Prometheus, which nobody needs to run in production.
const demoBinary = "triaged-demo"

func demoCommand(app *kingpin.Application) command {
	clause := app.Command("demo", "Play one incident against the real daemon on this machine, with "+demoBinary+" beside this binary.")
	clause.Flag("exit", "End after the report; exit with 0 only if the expected trigger came first.").Bool()
	clause.Flag("web.listen-address", "Where the daemon listens; a free port is taken if this one is not.").Default(defaultListen).String()
	clause.Flag("verbose", "Show the daemon's log.").Short('v').Bool()
	clause.Arg("case", "A case by its name, or a case file.").Default("flag").String()
	return command{clause: clause, run: func(context.Context, streams, *promslog.Config) error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		path := filepath.Join(filepath.Dir(self), demoBinary)
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("the demo is a binary of its own, which is not at %s; make build makes both", path)
		}
		return syscall.Exec(path, append([]string{path}, os.Args[1:]...), os.Environ())
	}}
}
