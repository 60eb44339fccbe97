package playbooks

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/triage"
)

//go:embed ready.yaml
var readyYAML []byte

// playbook is one tool's way back.
type playbook struct {
	Systems []string      `yaml:"systems"` // of a change's refs, or the prefix of its id: how it is detected
	Kinds   []triage.Kind `yaml:"kinds"`
	Owned   bool          `yaml:"owned"` // the tool itself is the controller that applies what is in Git
	Link    string        `yaml:"link"`
	Ways    []way         `yaml:"ways"`
}

// way is one of several; the first whose conditions hold and whose values are known is taken.
type way struct {
	Actions  []triage.Action `yaml:"actions"`   // none: every reversal
	To       string          `yaml:"to"`        // on, off: the value that a flag goes back to; empty: any
	OnlyLast bool            `yaml:"only_last"` // only where nothing else would be undone with it
	GitOps   GitOps          `yaml:"gitops"`
	Commands [][]string      `yaml:"commands"`
	Note     string          `yaml:"note"` // one line that goes with it
}

// readyMade are the playbooks that come with the program, by name.
var readyMade = sync.OnceValue(func() map[string]playbook {
	var out map[string]playbook
	dec := yaml.NewDecoder(bytes.NewReader(readyYAML))
	dec.KnownFields(true)
	if err := dec.Decode(&out); err != nil {
		panic(fmt.Sprintf("read embedded playbooks: %v", err)) // a test reads them
	}
	return out
})

// Ready lists the names of the ready-made playbooks.
func Ready() []string { return slices.Sorted(maps.Keys(readyMade())) }
