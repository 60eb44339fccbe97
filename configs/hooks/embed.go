// Package hooks holds the mappings that are shipped: one YAML file per sender, in the format of package sources/mapping.
//
// It is data only. Nothing is compiled or checked here; tests of this folder decode captured payloads with every file.
package hooks

import "embed"

// FS has the shipped mappings, <name>.yaml.
//
//go:embed *.yaml
var FS embed.FS
