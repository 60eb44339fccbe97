package service

import (
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// Settings are what a process is told: by its file at start, and again whenever the file changes.
type Settings struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Listen      string `json:"listen"`      // 127.0.0.1:0 for a new instance, its old address after a crash
	Registry    string `json:"registry"`    // file with the addresses of all instances
	Database    string `json:"database"`    // connection string
	Authority   string `json:"authority"`   // PEM file: who may sign the acquirer's certificate
	Certificate string `json:"certificate"` // PEM file with certificate and key, of the acquirer
	Seed        uint64 `json:"seed"`

	Values map[string]float64 `json:"values,omitempty"` // configuration, read live; what is missing has the service's default
	Flags  map[string]bool    `json:"flags,omitempty"`
	Build  Build              `json:"build"`
}

// Build is what the code of a version does that it should not. The zero Build is a good one.
type Build struct {
	ErrorShare  float64 `json:"error_share,omitempty"`   // of requests or jobs that fail
	DelayMS     float64 `json:"delay_ms,omitempty"`      // each request or job takes this much longer
	Queries     int     `json:"queries,omitempty"`       // further database queries of each request
	LeakShare   float64 `json:"leak_share,omitempty"`    // of requests that never give back their database connection
	CrashAfterS float64 `json:"crash_after_s,omitempty"` // the process panics this long after its start
	BurstS      float64 `json:"burst_s,omitempty"`       // errors come and go with this period
}

// settingsFile follows a settings file. Readers never block.
type settingsFile struct {
	path    string
	now     atomic.Pointer[Settings]
	changed time.Time
}

func openSettings(path string) (*settingsFile, error) {
	f := &settingsFile{path: path}
	return f, f.read()
}

// read takes the file in if it is newer than what is known.
func (f *settingsFile) read() error {
	info, err := os.Stat(f.path)
	if err != nil || info.ModTime().Equal(f.changed) {
		return err
	}
	raw, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	var s Settings
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("decode %s: %w", f.path, err)
	}
	f.changed = info.ModTime()
	f.now.Store(&s)
	return nil
}

// value is a configured value, or the default.
func (s *Settings) value(key string, otherwise float64) float64 {
	if v, ok := s.Values[key]; ok {
		return v
	}
	return otherwise
}

// millis is a configured duration, or the default, both in milliseconds.
func (s *Settings) millis(key string, otherwise float64) time.Duration {
	return time.Duration(s.value(key, otherwise) * float64(time.Millisecond))
}
