package triage

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// MaxYAMLKeys is the most keys that one mapping of a YAML file may have. The decoder compares each key with every other: 20 000 take
// three seconds, 200 000 take minutes in which nothing stops it.
const MaxYAMLKeys = 10_000

// CheckYAML refuses a mapping with more keys than MaxYAMLKeys, before anything is decoded. Text that is no YAML is the decoder's to refuse.
func CheckYAML(data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			return nil //nolint:nilerr // io.EOF is the end; everything else the decoder says better
		}
		if n := widest(&doc); n != nil {
			return fmt.Errorf("line %d: a mapping has %d keys; at most %d are read: divide it into several files", n.Line, len(n.Content)/2, MaxYAMLKeys)
		}
	}
}

// widest is a mapping of more than MaxYAMLKeys keys, nil where there is none.
func widest(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.MappingNode && len(n.Content)/2 > MaxYAMLKeys {
		return n
	}
	for _, c := range n.Content {
		if w := widest(c); w != nil {
			return w
		}
	}
	return nil
}
