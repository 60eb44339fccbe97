package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// bench runs every measurement, or those asked for. A figure beyond its budget is said on its line and does not fail the run:
// machines differ, and a benchmark is no test.
func bench(ctx context.Context, o options) error {
	r := &results{out: o.out, json: o.format == "json"}
	machine := thisMachine()
	if !r.json {
		fmt.Fprintf(o.out, "goos: %s\ngoarch: %s\ncpu: %s\n# %s cores, load before %s, %s\n", runtime.GOOS, runtime.GOARCH, machine["cpu"], machine["cores"], machine["load"], machine["go"])
	}
	for _, m := range []struct {
		name string
		run  func(context.Context, options, *results) error
	}{
		{"kafka", benchKafka},
		{"http", benchHTTP},
		{"journal", benchJournal},
		{"rank", benchRank},
		{"post", benchPost},
		{"storm", benchStorm},
		{"size", benchSize},
		{"restart", benchRestart},
	} {
		if o.only != "" && m.name != o.only && (m.name != "kafka" || !strings.HasPrefix(o.only, "IngestKafka")) {
			continue
		}
		if err := m.run(ctx, o, r); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if !r.json {
			fmt.Fprintf(o.out, "# load after %s: %s\n", m.name, load())
		}
	}
	machine["load_after"] = load()
	return r.finish(machine)
}

// load is the load average of the last minute, which is beside every figure because it is part of it.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	f := strings.Fields(string(b))
	return f[0]
}

func thisMachine() map[string]string {
	cpu := "unknown"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	return map[string]string{"cpu": cpu, "cores": fmt.Sprint(runtime.GOMAXPROCS(0)), "go": runtime.Version(), "load": load()}
}
