package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"
)

// options are what every sub-command understands.
type options struct {
	binary string        // of triaged
	format string        // of bench: text or json
	only   string        // of bench: which measurement
	cpu    string        // file for a CPU profile of this process
	short  bool          // small sizes, for a quick look
	seed   uint64        // of crash
	kills  int           // of crash
	soak   time.Duration // of chaos
	out    io.Writer
	log    io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if limitServerWanted() {
		os.Exit(exitCode(serveLimit(ctx)))
	}
	os.Exit(exitCode(run(ctx, os.Args[1:])))
}

func exitCode(err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintln(os.Stderr, "proof:", err)
	return 1
}

func run(ctx context.Context, args []string) error {
	o := options{out: os.Stdout, log: os.Stderr}
	fs := flag.NewFlagSet("proof", flag.ContinueOnError)
	fs.StringVar(&o.binary, "binary", "bin/triaged", "the triaged to measure")
	fs.StringVar(&o.format, "format", "text", "bench: text (readable by benchstat) or json")
	fs.StringVar(&o.only, "only", "", "bench: only this measurement (kafka, http, journal, rank, post, storm, size, restart), or one line of kafka by its name")
	fs.StringVar(&o.cpu, "cpuprofile", "", "write a CPU profile of this process, in which kafka, journal and rank are measured")
	fs.BoolVar(&o.short, "short", false, "small sizes")
	fs.Uint64Var(&o.seed, "seed", 1, "crash, siege: of the random moments")
	fs.IntVar(&o.kills, "kills", 300, "crash: how often to kill")
	fs.DurationVar(&o.soak, "soak", 15*time.Minute, "chaos: length of the soak")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "usage: proof [flags] bench|crash|chaos|siege|sbom")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.format != "text" && o.format != "json" {
		return fmt.Errorf("-format=%s: use text or json", o.format)
	}
	if _, err := os.Stat(o.binary); err != nil {
		return fmt.Errorf("-binary (make build makes it): %w", err)
	}
	if o.cpu != "" {
		f, err := os.Create(o.cpu)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	switch fs.Arg(0) {
	case "bench":
		return bench(ctx, o)
	case "crash":
		return crash(ctx, o)
	case "chaos":
		return chaos(ctx, o)
	case "siege":
		return siege(ctx, o)
	case "sbom":
		return sbom(o, o.out)
	}
	fs.Usage()
	return fmt.Errorf("%q is not one of bench, crash, chaos, siege, sbom", fs.Arg(0))
}
