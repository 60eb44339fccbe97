package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets a test start this binary as the real program, so that it can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("TRIAGED_RUN_MAIN") == "1" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
		stop()
		os.Exit(code)
	}
	testscript.Main(m, map[string]func(){"triaged": main})
}

// The scripts in testdata/script run the real program, as its user would.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "../../testdata/script",
		Setup: func(env *testscript.Env) error {
			cases, err := filepath.Abs("../../testdata/cases")
			env.Setenv("CASES", cases)
			env.Setenv("ADDRESS", freePort(t))
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// waitfor waits until the daemon of the script answers.
			"waitfor": func(ts *testscript.TestScript, _ bool, _ []string) {
				eventually(t, 15*time.Second, "daemon answers", func() error { return asker("http://"+ts.Getenv("ADDRESS")).get("/-/ready", nil) })
			},
		},
	})
}
