package service

import (
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// Registry says where the instances of each service listen. The lab replaces its file as a whole; processes look four times a second.
type Registry struct {
	Instances map[string][]string `json:"instances"`
	Via       map[string]string   `json:"via,omitempty"` // "caller>callee": one address instead, such as a slow line
}

// addresses are where caller finds callee.
func (r *Registry) addresses(caller, callee string) []string {
	if via, ok := r.Via[caller+">"+callee]; ok {
		return []string{via}
	}
	return r.Instances[callee]
}

// registryFile follows the registry. Readers never block.
type registryFile struct {
	path    string
	now     atomic.Pointer[Registry]
	changed time.Time
}

func openRegistry(path string) (*registryFile, error) {
	f := &registryFile{path: path}
	return f, f.read()
}

func (f *registryFile) read() error {
	info, err := os.Stat(f.path)
	if err != nil || info.ModTime().Equal(f.changed) {
		return err
	}
	raw, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	var r Registry
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("decode %s: %w", f.path, err)
	}
	f.changed = info.ModTime()
	f.now.Store(&r)
	return nil
}
