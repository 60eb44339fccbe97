package outbox

import (
	"time"

	"github.com/prometheus/common/model"
)

// Config is `incidents.delivery`: how reports are posted and posted again.
type Config struct {
	Timeout     model.Duration `yaml:"timeout"`      // of one attempt
	MaxAttempts int            `yaml:"max_attempts"` // then the delivery is dead
	MaxAge      model.Duration `yaml:"max_age"`      // then the delivery is dead, too
	BackoffMin  model.Duration `yaml:"backoff_min"`  // doubles with every attempt, with jitter
	BackoffMax  model.Duration `yaml:"backoff_max"`
}

// DefaultConfig is what an empty section means.
func DefaultConfig() Config {
	return Config{
		Timeout:     model.Duration(10 * time.Second),
		MaxAttempts: 30,
		MaxAge:      model.Duration(4 * time.Hour),
		BackoffMin:  model.Duration(time.Second),
		BackoffMax:  model.Duration(2 * time.Minute),
	}
}

// UnmarshalYAML starts from the defaults.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}
