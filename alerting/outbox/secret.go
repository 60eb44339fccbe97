package outbox

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/prometheus/common/config"
)

// Secret is the value, or what stands in the file where one is named. Notifiers ask for it at every post, so that a rotated file
// counts at once. The error names the field and not the file.
func Secret(value config.Secret, file, field string) (string, error) {
	if file == "" {
		return string(value), nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", field, errors.Unwrap(err))
	}
	return strings.TrimSpace(string(b)), nil
}
