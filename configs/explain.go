package configs

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds on what finding every wrong entry may cost. What is beyond them is told as the decoder tells it.
const (
	maxExplained = 50       // complaints
	maxReread    = 32 << 20 // bytes read again, over all attempts
)

// explain finds every entry that is wrong. A decoder stops at the first section that refuses its values; so what it stopped at is
// found, taken out, and the rest is read again, until nothing is wrong any more or the fault is in no entry alone.
func explain(data []byte, first error) error {
	var root yaml.Node
	if yaml.Unmarshal(data, &root) != nil || len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return first
	}
	found := []error{}
	x := explainer{left: max(20, maxReread/len(data))}
	for err := first; err != nil && len(found) < maxExplained; err = decodeNode(&root) {
		e, says := x.culprit(&root, err)
		if e == nil {
			for _, text := range complaints(err) {
				found = append(found, errors.New(text))
			}
			break
		}
		for _, text := range says {
			found = append(found, fmt.Errorf("line %d, %s: %s", e.line, e.path, text))
		}
		e.remove()
	}
	if len(found) >= maxExplained {
		found = append(found, errors.New("more is wrong: mend these first"))
	}
	return errors.Join(found...)
}

// decodeNode reads the tree as it stands. Comments and anchors are the text's business: it is written out and read again.
func decodeNode(root *yaml.Node) error {
	data, err := yaml.Marshal(root)
	if err != nil {
		return err
	}
	c := Default()
	return decode(data, &c)
}

// element is a part of the tree that can be taken out and put back: an entry of a list, or a section.
type element struct {
	path   string
	line   int
	parent *yaml.Node
	at     int // position in parent.Content
	width  int // 1 in a list, 2 (key and value) in a mapping
}

func (e *element) remove() (restore func()) {
	old := e.parent.Content
	e.parent.Content = append(append([]*yaml.Node{}, old[:e.at]...), old[e.at+e.width:]...)
	return func() { e.parent.Content = old }
}

// explainer counts how often it may still read the configuration.
type explainer struct{ left int }

// culprit is the smallest element without which the first complaint is gone, and the complaints that go with it; nil if there is
// no such element.
func (x *explainer) culprit(root *yaml.Node, err error) (*element, []string) {
	said := complaints(err)
	for _, e := range elements(root.Content[0]) {
		if x.left--; x.left < 0 {
			break
		}
		restore := e.remove()
		left := complaints(decodeNode(root))
		restore()
		if len(said) > 0 && !slices.Contains(left, said[0]) {
			return &e, slices.DeleteFunc(said, func(s string) bool { return slices.Contains(left, s) })
		}
	}
	return nil, nil
}

var (
	lineNumber = regexp.MustCompile(`^line \d+: `) // of the text as it is read again, and so not of the file
	unknownKey = regexp.MustCompile(`^field (\S+) not found in type \S+$`)
)

// complaints are the lines of an error, without numbers and in our words.
func complaints(err error) (out []string) {
	if err == nil {
		return nil
	}
	for line := range strings.Lines(err.Error()) {
		line = lineNumber.ReplaceAllString(strings.TrimSpace(line), "")
		if line != "yaml: unmarshal errors:" && line != "" {
			out = append(out, unknownKey.ReplaceAllString(line, "$1: is not a known key"))
		}
	}
	return out
}

// elements lists what can be taken out, the innermost first: entries of lists wherever they stand, then the sections.
func elements(sections *yaml.Node) []element {
	var out []element
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(n.Content[i+1], strings.TrimPrefix(path+"."+n.Content[i].Value, "."))
			}
		case yaml.SequenceNode:
			for i, c := range n.Content {
				own := path + "[" + strconv.Itoa(i) + "]"
				walk(c, own)
				out = append(out, element{own, c.Line, n, i, 1})
			}
		default: // scalars and aliases are taken out with what they stand in
		}
	}
	for i := 0; i+1 < len(sections.Content); i += 2 {
		walk(sections.Content[i+1], sections.Content[i].Value)
	}
	for i := 0; i+1 < len(sections.Content); i += 2 {
		out = append(out, element{sections.Content[i].Value, sections.Content[i].Line, sections, i, 2})
	}
	return out
}
