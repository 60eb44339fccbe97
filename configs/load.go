package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/sources/catalog"
	"github.com/triaged-dev/triaged/triage"
)

const (
	maxFile     = 8 << 20 // bytes of one configuration file
	maxServices = 50_000  // of all team files, about 500 bytes each
)

// Load reads the file, checks it and makes its relative paths relative to its directory. All problems come back at once.
func Load(path string) (*Config, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	c, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.setDirectory(filepath.Dir(path))
	c.includeCatalog()
	c.includeTeams()
	if err := errors.Join(append(c.expand(filepath.Dir(path)), c.validate()...)...); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", path, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read configuration %s: is larger than %d bytes", path, maxFile)
	}
	return data, nil
}

// Parse reads the text of a configuration file strictly. Paths stay as they are and team files unread. It does not check
// what only the whole file can tell; Load does.
func Parse(data []byte) (*Config, error) {
	c := Default()
	if err := decode(data, &c); err != nil {
		return nil, explain(data, err)
	}
	return &c, nil
}

// decode reads YAML strictly. An empty file leaves v as it is.
func decode(data []byte, v any) error {
	if err := triage.CheckYAML(data); err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("holds more than one YAML document; put everything into the first")
	}
	return nil
}

// includeCatalog reads the catalogue. A file of it that cannot be read is left out with a warning.
func (c *Config) includeCatalog() {
	found, problems := catalog.Load(c.glob("catalog", c.Catalog))
	for _, err := range problems {
		c.leaveOut(fmt.Sprintf("catalogue file left out: %v", err))
	}
	for _, note := range found.Notes() {
		c.Warnings = append(c.Warnings, "catalog: "+note)
	}
	c.catalog = found
}

// MappingFiles are the files that the patterns under mappings name.
func (c *Config) MappingFiles() ([]string, error) {
	var out []string
	for _, pattern := range c.Mappings {
		paths, err := filepath.Glob(pattern)
		if err == nil && len(paths) == 0 {
			err = errors.New("names no file")
		}
		if err != nil {
			return nil, fmt.Errorf("mappings: %q: %w", pattern, err)
		}
		slices.Sort(paths)
		out = append(out, paths...)
	}
	return out, nil
}

// glob lists the files of patterns, those of each in order; a pattern that is none or names nothing becomes a warning.
func (c *Config) glob(field string, patterns []string) []string {
	var out []string
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		switch {
		case err != nil:
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s: %q: is not a pattern: %v", field, pattern, err))
		case len(paths) == 0:
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s: %q: names no file", field, pattern))
		}
		slices.Sort(paths)
		out = append(out, paths...)
	}
	return out
}

// setDirectory makes every relative path of the file relative to dir.
func (c *Config) setDirectory(dir string) {
	c.Auth.SetDirectory(dir)
	c.Journal.SetDirectory(dir)
	for _, patterns := range [][]string{c.TeamFiles, c.Catalog, c.Mappings} {
		for i, p := range patterns {
			if !filepath.IsAbs(p) {
				patterns[i] = filepath.Join(dir, p)
			}
		}
	}
	for i := range c.Hooks {
		c.Hooks[i].SetDirectory(dir)
	}
	for i := range c.Sources.Alertmanager {
		c.Sources.Alertmanager[i].SetDirectory(dir)
	}
	for i := range c.Sources.Kafka {
		c.Sources.Kafka[i].SetDirectory(dir)
	}
	for i := range c.Sources.GitHub {
		c.Sources.GitHub[i].SetDirectory(dir)
	}
	for i := range c.Sources.Prometheus {
		c.Sources.Prometheus[i].SetDirectory(dir)
	}
	for i := range c.Receivers {
		c.Receivers[i].setDirectory(dir)
	}
}

// Redacted is the running configuration as YAML, secrets shown as <secret>.
func (c *Config) Redacted() (string, error) {
	var doc yaml.Node
	b, err := yaml.Marshal(c)
	if err == nil {
		err = yaml.Unmarshal(b, &doc)
	}
	if err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	if !conceal(&doc, false) {
		return string(b), nil
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(4)
	if err := enc.Encode(&doc); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	return out.String(), nil
}
