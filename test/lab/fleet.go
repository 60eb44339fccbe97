package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/triaged-dev/triaged/test/lab/service"
)

// wanted is what should run of a service.
type wanted struct {
	version  string
	replicas int
	build    service.Build
	values   map[string]float64
	flags    map[string]bool
}

// instance is one process of a service.
type instance struct {
	child    *child
	path     string // of its settings
	settings service.Settings
	metrics  string // address of its metrics
	retired  bool   // it is meant to end
}

// fleet keeps the processes of all services running, and the two files that say where they are: the registry for the services
// themselves and service discovery for Prometheus.
type fleet struct {
	dir, binary string
	base        service.Settings

	mu      sync.Mutex
	serial  int
	want    map[string]*wanted
	running map[string][]*instance
	leaving []*child // retired, and not ended before the drain is over
	via     map[string]string
	busy    map[string]*sync.Mutex // one rollout of a service at a time
}

func newFleet(dir, binary string, base service.Settings) *fleet {
	f := &fleet{dir: dir, binary: binary, base: base, want: make(map[string]*wanted), running: make(map[string][]*instance), via: make(map[string]string), busy: make(map[string]*sync.Mutex)}
	f.base.Registry = filepath.Join(dir, "registry.json")
	for _, s := range office {
		f.want[s.name] = &wanted{version: s.version(0), replicas: s.replicas, values: make(map[string]float64), flags: make(map[string]bool)}
		f.busy[s.name] = new(sync.Mutex)
	}
	return f
}

// open starts everything, callees first.
func (f *fleet) open(ctx context.Context) error {
	if err := f.publish(); err != nil {
		return err
	}
	for _, s := range office {
		for range s.replicas {
			if err := f.add(ctx, s.name); err != nil {
				return err
			}
		}
	}
	return f.publish()
}

// add starts one more instance as it is wanted now, and waits until it listens.
func (f *fleet) add(ctx context.Context, name string) error {
	f.mu.Lock()
	w := f.want[name]
	s := f.base
	s.Name, s.Version, s.Listen, s.Build = name, w.version, "127.0.0.1:0", w.build
	s.Values, s.Flags = maps.Clone(w.values), maps.Clone(w.flags)
	f.serial++
	in := &instance{path: filepath.Join(f.dir, fmt.Sprintf("%s-%d.json", name, f.serial)), settings: s}
	f.mu.Unlock()
	if err := f.launch(ctx, in); err != nil {
		return err
	}
	f.mu.Lock()
	f.running[name] = append(f.running[name], in)
	f.mu.Unlock()
	go f.supervise(ctx, in)
	return f.publish()
}

// launch starts the process of an instance.
func (f *fleet) launch(ctx context.Context, in *instance) error {
	raw, err := json.Marshal(in.settings)
	if err != nil {
		return err
	}
	if err := replaceFile(in.path, raw); err != nil {
		return err
	}
	cmd := exec.Command(f.binary, "service", in.path)
	cmd.Env = []string{"GOMAXPROCS=2", "GOTRACEBACK=none"}
	c, err := spawn(in.settings.Name, cmd, true)
	if err != nil {
		return err
	}
	select {
	case line := <-c.line:
		listen, metrics, ok := strings.Cut(line, " ")
		if !ok {
			return fmt.Errorf("%s did not start: %s", in.settings.Name, c.said())
		}
		f.mu.Lock()
		in.child, in.settings.Listen, in.metrics = c, listen, metrics
		f.mu.Unlock()
		return nil
	case <-time.After(15 * time.Second):
		c.stop(syscall.SIGKILL)
		return fmt.Errorf("%s did not start within 15 s", in.settings.Name)
	case <-ctx.Done():
		c.stop(syscall.SIGKILL)
		return ctx.Err()
	}
}

// supervise starts an instance that ended by itself anew, at the same address, ever later.
func (f *fleet) supervise(ctx context.Context, in *instance) {
	for pause := time.Second; ; pause = min(2*pause, 4*time.Second) {
		f.mu.Lock()
		c := in.child
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-c.done:
		}
		sleep(ctx, pause)
		f.mu.Lock()
		retired := in.retired
		f.mu.Unlock()
		if retired || ctx.Err() != nil || f.launch(ctx, in) != nil {
			return
		}
	}
}

// drain is how long a retired instance goes on without new requests: Prometheus takes five seconds to hear that a target is gone.
const drain = 7 * time.Second

// retire takes an instance away: out of the registry first, then, in the background, ended.
func (f *fleet) retire(name string, in *instance) error {
	f.mu.Lock()
	in.retired = true
	f.running[name] = slices.DeleteFunc(slices.Clone(f.running[name]), func(i *instance) bool { return i == in })
	f.leaving = append(f.leaving, in.child)
	c := in.child
	f.mu.Unlock()
	time.AfterFunc(drain, func() { c.stop(syscall.SIGTERM) })
	return f.publish()
}

// instances are those that run of a service, oldest first.
func (f *fleet) instances(name string) []*instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.running[name])
}

// addresses are where the instances of a service listen.
func (f *fleet) addresses(name string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]string, 0, len(f.running[name]))
	for _, in := range f.running[name] {
		out = append(out, in.settings.Listen)
	}
	return out
}

// target is an entry of Prometheus' file service discovery.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// publish writes registry and service discovery.
func (f *fleet) publish() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	reg := service.Registry{Instances: make(map[string][]string), Via: f.via}
	targets := []target{}
	for _, s := range office {
		for _, in := range f.running[s.name] {
			reg.Instances[s.name] = append(reg.Instances[s.name], in.settings.Listen)
			if s.labels != nil {
				targets = append(targets, target{[]string{in.metrics}, s.labels(s.name, in.settings.Version)})
			}
		}
	}
	for path, content := range map[string]any{f.base.Registry: reg, filepath.Join(f.dir, "targets.json"): targets} {
		raw, err := json.Marshal(content)
		if err != nil {
			return err
		}
		if err := replaceFile(path, raw); err != nil {
			return err
		}
	}
	return nil
}

// close ends every process.
func (f *fleet) close() {
	f.mu.Lock()
	all := f.leaving
	for _, list := range f.running {
		for _, in := range list {
			in.retired = true
			all = append(all, in.child)
		}
	}
	f.mu.Unlock()
	for _, c := range all {
		c.stop(syscall.SIGKILL)
	}
}

func (in *instance) freeze() { _ = in.child.cmd.Process.Signal(syscall.SIGSTOP) } // one that has ended needs none
func (in *instance) thaw()   { _ = in.child.cmd.Process.Signal(syscall.SIGCONT) }

// lose ends all instances of a service without a word: their addresses stay, and nobody answers.
func (f *fleet) lose(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, in := range f.running[name] {
		in.retired = true
		_ = in.child.cmd.Process.Kill()
	}
}

// replace starts new instances in place of lost ones.
func (f *fleet) replace(ctx context.Context, name string) error {
	f.busy[name].Lock()
	defer f.busy[name].Unlock()
	lost := f.instances(name)
	for range lost {
		if err := f.add(ctx, name); err != nil {
			return err
		}
	}
	for _, in := range lost {
		if err := f.retire(name, in); err != nil {
			return err
		}
	}
	return nil
}
