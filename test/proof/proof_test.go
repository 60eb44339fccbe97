package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// binary is the real program, built once for all tests here.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if limitServerWanted() {
			return exitCode(serveLimit(context.Background()))
		}
		dir, err := os.MkdirTemp("", "proof")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "triaged")
		if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/triaged").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build triaged: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

func shortly(t *testing.T) (options, *bytes.Buffer) {
	out := &bytes.Buffer{}
	t.Cleanup(func() { t.Log(out) })
	return options{binary: binary, format: "text", short: true, seed: 1, kills: 10, soak: 20 * time.Second, out: out, log: t.Output()}, out
}

// kill -9 at any moment, under mixed load: nothing acknowledged is lost, no message is visible twice. `make crash` does it 300 times.
func TestKills(t *testing.T) {
	o, out := shortly(t)
	found, err := killRounds(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(out, found)
	if err := found.bad(); err != nil {
		t.Error(err)
	}
	if found.kafka < 100 || found.pushed < 10 || found.alerts < 5 || found.feedback < 3 || found.messages < 5 {
		t.Error("too little load to mean anything")
	}
}

// What the daemon stands on breaks: each time it says so, loses nothing it could keep, and serves.
func TestDiskFaults(t *testing.T) {
	for _, f := range diskFaults() {
		t.Run(f.name, func(t *testing.T) {
			o, out := shortly(t)
			detail, err := f.run(t.Context(), o)
			if errors.Is(err, errNotHere) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(out, detail)
		})
	}
}

// Every kind of peer misbehaves in turn: reports come in time, and what waited arrives once, when the peer behaves again.
func TestPeersMisbehave(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 40 seconds")
	}
	o, _ := shortly(t)
	if err := peersMisbehave(t.Context(), o); err != nil {
		t.Error(err)
	}
}

// More than can be worked on is refused with a time to come again, and counted; what was taken is there.
func TestOverload(t *testing.T) {
	o, _ := shortly(t)
	if err := overload(t.Context(), o); err != nil {
		t.Error(err)
	}
}

// Connections that send a byte now and then are closed, and disturb nobody.
func TestSlowloris(t *testing.T) {
	o, _ := shortly(t)
	if err := slowloris(t.Context(), o); err != nil {
		t.Error(err)
	}
}

// A steady load leaves memory, goroutines and descriptors where they were. `make chaos` does it for 15 minutes.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 seconds")
	}
	o, _ := shortly(t)
	if err := soak(t.Context(), o); err != nil {
		t.Error(err)
	}
}

// The time of a question must not grow faster than what is in its reach, nor what it allocates: everything else about speed is
// printed and judged by people.
func TestGrowth(t *testing.T) {
	o, out := shortly(t)
	r := &results{out: out}
	if err := benchRank(t.Context(), o, r); err != nil {
		t.Fatal(err)
	}
	slopes := 0
	for _, l := range r.lines {
		if l.Unit != "slope" || l.Budget == 0 {
			continue
		}
		slopes++
		if l.Ours > l.Budget+0.25 { // a busy machine bends a slope a little; a wrong algorithm by one or more
			t.Errorf("%s: %.2f, want at most %.2f", l.Name, l.Ours, l.Budget)
		}
	}
	if slopes < 4 {
		t.Errorf("only %d slopes were measured", slopes)
	}
}

// Attacks on memory and on what others need, and files of the journal that are deleted and cut, in their short form. `make siege` has
// them all, at their full size.
func TestSiege(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	o, out := shortly(t)
	o.out = io.MultiWriter(out, t.Output())
	if err := siege(t.Context(), o); err != nil {
		t.Error(err)
	}
}
