package correlate

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func decodeConfig(text string) (Config, error) {
	var c Config
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	return c, dec.Decode(&c)
}

func TestConfigKeepsDefaultsAndStaysStrict(t *testing.T) {
	var c Config
	dec := yaml.NewDecoder(strings.NewReader("lookback: 45m\nassume: {for: 5m}\nweights: {none.rate: 0.2}\n"))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		t.Fatal(err)
	}
	d := DefaultConfig()
	if time.Duration(c.Lookback) != 45*time.Minute || c.Grace != d.Grace || c.MinMargin != d.MinMargin || time.Duration(c.Assume.For) != 5*time.Minute ||
		c.Assume.Eval != d.Assume.Eval || c.Weights["none.rate"] != 0.2 {
		t.Errorf("got %+v", c)
	}
	for text, want := range map[string]string{
		"lookbak: 30m":              "field lookbak not found",
		"lookback: 0s":              "correlate.lookback: 0s: must be longer than 0s",
		"min_margin: 2":             "correlate.min_margin: 2: must lie between 0 and 1",
		"weights: {temperature: 0}": "correlate.weights: temperature: 0: must be greater than 0",
		"max_services: 0":           "correlate.max_services",
	} {
		if _, err := decodeConfig(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want an error with %q, got %v", text, want, err)
		}
	}
}
