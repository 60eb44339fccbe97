package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A team's file that appears, breaks and is mended is taken without a reload by anybody, and counted while it is broken. Nobody else
// loses anything by it.
func TestTeamFilesAreTakenAsTheyChange(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, "teams"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "teams", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("cart.yml", "team: cart\nservices: {cart: {}}\n")
	d := startDaemonIn(t, dir, `
team_files: [teams]
team_files_interval: 1s
route: {receiver: teams, mode: live}
receivers:
  - {name: teams, fallback: all, webhook_configs: [{url: '{{owner.hook}}'}]}
  - {name: all, log_configs: [{}]}
`)
	shows := func(parts ...string) func() error {
		return func() error {
			_, text := fetch(t, string(d.asker)+"/api/v1/status/config")
			_, metrics := fetch(t, string(d.asker)+"/metrics")
			for _, p := range parts {
				if !strings.Contains(text+metrics, p) {
					return fmt.Errorf("%q is not shown", p)
				}
			}
			return nil
		}
	}
	for _, step := range []struct {
		name, text string
		want       []string
	}{
		{"pricing.yml", "team: pricing\ncontacts: {hook: 'http://127.0.0.1:9/x'}\nservices: {pricing: {}}\n", []string{"teams@pricing", "owner: cart", "triaged_config_left_out 0"}},
		{"pricing.yml", "team: pricing\nreceivers: [{name: x}]\n", []string{"owner: cart", "triaged_config_left_out 1"}},
		{"pricing.yml", "team: pricing\ncontacts: {hook: 'http://127.0.0.1:9/y'}\nservices: {pricing: {tier: 1}}\n", []string{"teams@pricing", "tier: 1", "triaged_config_left_out 0"}},
	} {
		put(step.name, step.text)
		eventually(t, time.Minute, "the files are taken", shows(step.want...))
	}
}
