package main

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/triaged-dev/triaged/test/lab/service"
)

// rollout replaces the instances of a service one by one, or only the first of them: a canary.
func (f *fleet) rollout(ctx context.Context, name, version string, build service.Build, canary bool) error {
	f.busy[name].Lock()
	defer f.busy[name].Unlock()
	f.mu.Lock()
	f.want[name].version, f.want[name].build = version, build
	f.mu.Unlock()
	for _, old := range f.instances(name) {
		if err := f.add(ctx, name); err != nil {
			return err
		}
		if err := f.retire(name, old); err != nil {
			return err
		}
		if canary {
			break
		}
	}
	return nil
}

// resize starts or ends instances.
func (f *fleet) resize(ctx context.Context, name string, replicas int) error {
	f.busy[name].Lock()
	defer f.busy[name].Unlock()
	for list := f.instances(name); len(list) < replicas; list = f.instances(name) {
		if err := f.add(ctx, name); err != nil {
			return err
		}
	}
	for list := f.instances(name); len(list) > replicas; list = f.instances(name) {
		if err := f.retire(name, list[0]); err != nil {
			return err
		}
	}
	return nil
}

// adjust changes configuration or flags of a service while it runs.
func (f *fleet) adjust(name string, edit func(values map[string]float64, flags map[string]bool)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit(f.want[name].values, f.want[name].flags)
	for _, in := range f.running[name] {
		edit(in.settings.Values, in.settings.Flags)
		raw, err := json.Marshal(in.settings)
		if err != nil {
			return err
		}
		if err := replaceFile(in.path, raw); err != nil {
			return err
		}
	}
	return nil
}

// detour sends caller's traffic to callee over another address; "" is the direct way.
func (f *fleet) detour(caller, callee, address string) error {
	f.mu.Lock()
	via := make(map[string]string, len(f.via))
	maps.Copy(via, f.via)
	if delete(via, caller+">"+callee); address != "" {
		via[caller+">"+callee] = address
	}
	f.via = via
	f.mu.Unlock()
	return f.publish()
}

// now is what is wanted of a service.
func (f *fleet) now(name string) wanted {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *f.want[name]
}
