// Package cases embeds the recorded cases that the demo plays. It holds data only.
package cases

import "embed"

// Demo holds the cases of triaged demo, as demo/demo-NAME.json.gz.
//
//go:embed demo/*.json.gz
var Demo embed.FS
