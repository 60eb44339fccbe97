package configs

import (
	"cmp"
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
	x := explainer{left: max(20, maxReread/len(data)), paths: make(map[*yaml.Node]string)}
	for _, e := range x.elements(root.Content[0]) {
		x.paths[e.node()] = e.path
	}
	for err := first; err != nil && len(found) < maxExplained; err = decodeNode(&root) {
		e, says := x.culprit(&root, err)
		if e == nil {
			for _, text := range complaints(err) {
				found = append(found, errors.New(text))
			}
			break
		}
		for _, text := range says {
			if !x.madeByUs(e, text) {
				found = append(found, fmt.Errorf("line %d, %s", e.line, e.say(text)))
			}
		}
		e.remove()
		if len(e.parent.Content) == 0 {
			x.emptied = append(x.emptied, e.path)
		}
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
	path   string // as in the file
	now    string // as it stands in the tree, from which entries before it may have been taken
	line   int
	parent *yaml.Node
	at     int // position in parent.Content
	width  int // 1 in a list, 2 (key and value) in a mapping
}

func (e *element) node() *yaml.Node { return e.parent.Content[e.at] }

// say puts the path in front of a complaint, or in place of the one it begins with already.
func (e *element) say(text string) string {
	if head, rest, _ := strings.Cut(text, ":"); strings.HasPrefix(e.now, head+".") || strings.HasPrefix(e.now, head+"[") {
		return sameDepth(e.path, head) + ":" + rest // it is about what the element stands in
	}
	for own := e.now; own != ""; _, own, _ = strings.Cut(own, ".") { // some checks name the whole path, some its end
		if rest, ok := strings.CutPrefix(text, own); ok && rest != "" && strings.ContainsRune(".:[", rune(rest[0])) {
			return e.path + rest
		}
	}
	return e.path + ": " + text
}

// sameDepth is the beginning of path that has as many parts as like.
func sameDepth(path, like string) string {
	parts := strings.Count(like, ".") + strings.Count(like, "[")
	for i, r := range path {
		if r == '.' || r == '[' {
			if parts--; parts < 0 {
				return path[:i]
			}
		}
	}
	return path
}

func (e *element) remove() (restore func()) {
	old := e.parent.Content
	e.parent.Content = append(append([]*yaml.Node{}, old[:e.at]...), old[e.at+e.width:]...)
	return func() { e.parent.Content = old }
}

// explainer counts how often it may still read the configuration.
type explainer struct {
	left    int
	paths   map[*yaml.Node]string // in the file, of every element
	emptied []string              // paths of entries whose lists are empty since they were taken out
}

// madeByUs says whether a complaint is about a list that is empty only because its entries, which were wrong, have been taken out.
func (x *explainer) madeByUs(e *element, text string) bool {
	return slices.ContainsFunc(x.emptied, func(entry string) bool {
		list := entry[:strings.LastIndexByte(entry, '[')]
		key := list[strings.LastIndexByte(list, '.')+1:]
		return strings.HasPrefix(list, e.path) && strings.Contains(text, key)
	})
}

// culprit is the smallest element without which the first complaint is gone, and the complaints that go with it; nil if there is
// no such element.
func (x *explainer) culprit(root *yaml.Node, err error) (*element, []string) {
	said := complaints(err)
	for _, e := range x.elements(root.Content[0]) {
		if x.left--; x.left < 0 {
			break
		}
		restore := e.remove()
		left := complaints(decodeNode(root))
		restore()
		if gone := without(said, left); len(gone) > 0 && gone[0] == said[0] {
			return &e, gone
		}
	}
	return nil, nil
}

// position is where an entry stands in its list, which changes when one before it is taken out.
var position = regexp.MustCompile(`\[\d+\]`)

// without are the complaints that are not among those left, each as often as it is there, whatever the positions in them.
func without(said, left []string) (gone []string) {
	still := make(map[string]int)
	for _, s := range left {
		still[position.ReplaceAllString(s, "[]")]++
	}
	for _, s := range slices.Backward(said) { // of equals the last stay
		if key := position.ReplaceAllString(s, "[]"); still[key] > 0 {
			still[key]--
			continue
		}
		gone = append(gone, s)
	}
	slices.Reverse(gone)
	return gone
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
func (x *explainer) elements(sections *yaml.Node) []element {
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
				out = append(out, element{cmp.Or(x.paths[c], own), own, c.Line, n, i, 1})
			}
		default: // scalars and aliases are taken out with what they stand in
		}
	}
	for i := 0; i+1 < len(sections.Content); i += 2 {
		walk(sections.Content[i+1], sections.Content[i].Value)
	}
	for i := 0; i+1 < len(sections.Content); i += 2 {
		name := sections.Content[i]
		out = append(out, element{name.Value, name.Value, name.Line, sections, i, 2})
	}
	return out
}
