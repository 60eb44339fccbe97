package collector

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/prometheus/common/model"
)

func TestConfig(t *testing.T) {
	tests := []struct{ name, yaml, err string }{
		{"defaults", "{}", ""},
		{"all keys", "retention: 6h\nmax_changes: 2000\nmax_anomalies: 500\ncache_bytes: 2000000\nqueue_size: 5\nready_wait: 0s\n", ""},
		{"unknown key", "retention: 3h\nretentoin: 3h\n", "field retentoin not found"},
		{"retention too short", "retention: 1m", "retention: 1m must lie between 10m and 7d"},
		{"all problems at once", "max_changes: 1\nqueue_size: 0\n", "queue_size: 0 must lie between 1 and 100000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c Config
			dec := yaml.NewDecoder(strings.NewReader(tt.yaml))
			dec.KnownFields(true)
			err := dec.Decode(&c)
			if errors.Is(err, io.EOF) || (tt.err == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
			if tt.name == "defaults" && c != DefaultConfig() {
				t.Errorf("got %+v", c)
			}
			if tt.name == "all keys" && (c.Retention != model.Duration(6*time.Hour) || c.QueueSize != 5) {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Options{}); err == nil || !strings.Contains(err.Error(), "Journal is required") {
		t.Errorf("got %v", err)
	}
	bad := DefaultConfig()
	bad.MaxChanges = 1
	if _, err := New(Options{Journal: newMemJournal(), Config: bad}); err == nil || !strings.Contains(err.Error(), "window: max_changes") {
		t.Errorf("got %v", err)
	}
}
