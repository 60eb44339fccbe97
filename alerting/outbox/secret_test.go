package outbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "geheim")
	for _, rotated := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(rotated+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Secret("", file, "token_file"); err != nil || got != rotated {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if got, err := Secret("value", "", "token_file"); err != nil || got != "value" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := Secret("", filepath.Join(t.TempDir(), "geheim"), "token_file"); err == nil || strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), "read token_file") {
		t.Errorf("want an error that names the field and not the file, got %v", err)
	}
}
