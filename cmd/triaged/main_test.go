package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// TestMain lets a test start this binary as the real program, so that it can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("TRIAGED_RUN_MAIN") == "1" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
		stop()
		os.Exit(code)
	}
	os.Exit(m.Run())
}
