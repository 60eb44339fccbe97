package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	shipped "github.com/triaged-dev/triaged/configs/hooks"

	"github.com/triaged-dev/triaged/configs"
	"github.com/triaged-dev/triaged/sources/cloudevents"
	"github.com/triaged-dev/triaged/sources/hooks"
	"github.com/triaged-dev/triaged/sources/kafka"
	"github.com/triaged-dev/triaged/sources/mapping"
	"github.com/triaged-dev/triaged/triage"
)

// mappings compiles the mappings that are asked for, once each: the shipped ones, and the user's, which win by name.
type mappings struct {
	files    map[string]string // the user's, by name
	compiled map[string]*mapping.Mapping
}

func newMappings(cfg *configs.Config) (*mappings, error) {
	files, err := cfg.MappingFiles()
	if err != nil {
		return nil, err
	}
	m := &mappings{files: make(map[string]string), compiled: make(map[string]*mapping.Mapping)}
	var errs []error
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		if before, twice := m.files[name]; twice {
			errs = append(errs, fmt.Errorf("mappings: %s and %s would both be called %s; rename one", before, path, name))
		}
		m.files[name] = path
		if _, err := m.file(path); err != nil { // a mistake is told at start, used or not
			errs = append(errs, err)
		}
	}
	return m, errors.Join(errs...)
}

// file compiles a mapping of the user's.
func (m *mappings) file(path string) (*mapping.Mapping, error) {
	if found := m.compiled[path]; found != nil {
		return found, nil
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read mapping: %w", err)
	}
	found, err := mapping.Parse(path, doc)
	if err == nil {
		m.compiled[path] = found
	}
	return found, err
}

// named finds a mapping by name.
func (m *mappings) named(name string) (*mapping.Mapping, error) {
	if path, own := m.files[name]; own {
		return m.file(path)
	}
	if found := m.compiled["shipped:"+name]; found != nil {
		return found, nil
	}
	doc, err := fs.ReadFile(shipped.FS, name+".yaml")
	if err != nil {
		return nil, fmt.Errorf("there is no mapping %q; shipped are %s", name, strings.Join(slices.Sorted(slices.Values(append(shippedNames(), eventTypes...))), ", "))
	}
	found, err := mapping.Parse(name+".yaml", doc)
	if err == nil {
		m.compiled["shipped:"+name] = found
	}
	return found, err
}

func shippedNames() []string {
	files, err := fs.Glob(shipped.FS, "*.yaml")
	if err != nil {
		return nil
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".yaml")
	}
	return files
}

// sender is how a hook's type proves itself and is read.
func (m *mappings) sender(c hooks.Config) (hooks.Sender, error) {
	if _, own := m.files[c.Type]; !own && slices.Contains(eventTypes, c.Type) {
		return eventSender(), nil
	}
	var found *mapping.Mapping
	var err error
	if c.Mapping != "" {
		found, err = m.file(c.Mapping)
	} else {
		found, err = m.named(c.Type)
	}
	if err != nil {
		return hooks.Sender{}, err
	}
	schemes := func(scheme string) []mapping.Scheme {
		if scheme != "" {
			return []mapping.Scheme{{Scheme: scheme}}
		}
		return found.Auth()
	}
	return hooks.Sender{
		Announces: func(scheme, secret string, header http.Header) error {
			return mapping.Announces(schemes(scheme), secret, header)
		},
		Verify: func(scheme, secret string, header http.Header, body []byte) error {
			return mapping.Verify(schemes(scheme), secret, header, body)
		},
		Decode: func(b hooks.Body) ([]triage.Event, error) {
			return found.Read(mapping.Input{Headers: mappingHeaders(b.Header), Body: b.Data, Received: b.Received, Complete: b.Complete})
		},
	}, nil
}

// eventTypes are the hook types that read events of a standard and not a sender's own JSON: one decoder knows both.
var eventTypes = []string{"cdevents", "cloudevents"}

// eventSender reads CloudEvents, in any of their modes, and CDEvents, with and without an envelope.
func eventSender() hooks.Sender {
	schemes := []mapping.Scheme{{Scheme: "bearer"}, {Scheme: "basic"}, {Scheme: "hmac-sha256", Header: "X-Signature-256", Prefix: "sha256="}}
	return hooks.Sender{
		Verify: func(scheme, secret string, header http.Header, body []byte) error {
			if scheme != "" {
				return mapping.Verify([]mapping.Scheme{{Scheme: scheme}}, secret, header, body)
			}
			return mapping.Verify(schemes, secret, header, body)
		},
		Announces: func(scheme, secret string, header http.Header) error {
			if scheme != "" {
				return mapping.Announces([]mapping.Scheme{{Scheme: scheme}}, secret, header)
			}
			return mapping.Announces(schemes, secret, header)
		},
		Decode: func(b hooks.Body) ([]triage.Event, error) {
			d := cloudevents.Decoder{Now: func() time.Time { return b.Received }, Complete: b.Complete}
			return d.DecodeHTTP(b.Header, b.Data)
		},
	}
}

// mappingHeaders are the headers as mappings see them: the first of each, names in lower case, without what proves who sends.
func mappingHeaders(header http.Header) map[string]string {
	out := make(map[string]string, len(header))
	for name, values := range header {
		switch name {
		case "Authorization", "Cookie", "Proxy-Authorization":
		default:
			if len(values) > 0 {
				out[strings.ToLower(name)] = values[0]
			}
		}
	}
	return out
}

// decoders adds those of the mappings that topics name.
func (m *mappings) decoders(cfg []kafka.Config) (map[string]kafka.Decoder, error) {
	out := kafkaDecoders()
	var errs []error
	for _, c := range cfg {
		for i, topic := range c.Topics {
			name, isMapping := strings.CutPrefix(topic.Format, kafka.FormatMappingPrefix)
			if !isMapping {
				continue
			}
			found, err := m.named(name)
			if err != nil {
				errs = append(errs, fmt.Errorf("sources.kafka %s: topics[%d].format: %w", c.Name, i, err))
				continue
			}
			out[topic.Format] = func(headers []kafka.Header, value []byte, at time.Time) ([]triage.Event, error) {
				return found.DecodeRecord(headers, value, at)
			}
		}
	}
	return out, errors.Join(errs...)
}
