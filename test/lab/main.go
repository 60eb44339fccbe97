// Command lab runs a small ticket office of real services (test/lab/service) under a real Prometheus and Alertmanager, breaks it in
// known ways, and writes down what real triaged daemons said each time, and whether it was true.
//
//	make lab                                          every scenario once, three daemons beside each other
//	make lab LAB_SCENARIOS=surge,bad-deploy LAB_KNOWLEDGE=none
//
// The daemons watch the same system and differ in how much of its call graph they were told, so that a run compares like with
// like. docs/lab.md says what is measured and how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/triaged-dev/triaged/test/lab/service"
)

// options are the lab's flags.
type options struct {
	binary    string        // of triaged
	out       string        // directory of results and exported cases
	scenarios []scenario    // in the order they are played
	knowledge []string      // one daemon each
	seed      uint64        // of everything drawn
	calm      time.Duration // before the first scenario of a system
	between   time.Duration // before each further one
	innocent  time.Duration // mean time between innocent changes
	perSystem int           // scenarios played on one system before it is built anew
	verbose   bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == "service" {
		return service.Run(ctx, args[1], os.Stdout)
	}
	var o options
	var names, knowledge string
	fs := flag.NewFlagSet("lab", flag.ContinueOnError)
	fs.StringVar(&o.binary, "binary", "bin/triaged", "the triaged to watch with")
	fs.StringVar(&o.out, "out", "lab-results", "directory for results.jsonl and the exported cases")
	fs.StringVar(&names, "scenarios", "all", "which to play: names or beginnings of names, with commas")
	fs.StringVar(&knowledge, "knowledge", "declared,partly,none", "how much of the call graph the daemons know; one daemon each")
	fs.Uint64Var(&o.seed, "seed", 1, "of traffic, order and innocent changes")
	fs.DurationVar(&o.calm, "calm", 100*time.Second, "quiet time before a system's first scenario")
	fs.DurationVar(&o.between, "between", 25*time.Second, "quiet time before each further one")
	fs.DurationVar(&o.innocent, "innocent", 40*time.Second, "mean time between innocent changes; 0: none")
	fs.IntVar(&o.perSystem, "per-system", 3, "scenarios on one system before it is built anew")
	fs.BoolVar(&o.verbose, "v", false, "print the cards")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "usage: lab [flags] [summary FILE…]\n\nThe scenarios:")
		for _, s := range scenarios {
			fmt.Fprintf(fs.Output(), "  %-18s %s\n", s.name, s.about)
		}
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.Arg(0) == "summary" {
		return summarize(os.Stdout, fs.Args()[1:])
	}
	var err error
	if o.scenarios, err = choose(names); err != nil {
		return err
	}
	for k := range strings.SplitSeq(knowledge, ",") {
		if !slices.Contains(degrees, k) {
			return fmt.Errorf("-knowledge=%s: use %s", k, strings.Join(degrees, ", "))
		}
		o.knowledge = append(o.knowledge, k)
	}
	if o.perSystem < 1 {
		return errors.New("-per-system must be at least 1")
	}
	return play(ctx, o)
}

// choose finds scenarios by name or beginning of name.
func choose(names string) ([]scenario, error) {
	if names == "all" || names == "" {
		return scenarios, nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(names, ",") {
		found := len(chosen)
		for _, s := range scenarios {
			if strings.HasPrefix(s.name, name) {
				chosen = append(chosen, s)
			}
		}
		if len(chosen) == found {
			return nil, fmt.Errorf("-scenarios: none begins with %q; -h lists them", name)
		}
	}
	return chosen, nil
}
