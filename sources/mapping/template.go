package mapping

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"

	"github.com/triaged-dev/triaged/triage"
)

// template is the compiled form of change: or anomaly:, shaped like the schema, with an expression in every leaf.
type template interface {
	// eval gives what encoding/json writes; nil: leave the field out.
	eval(*input) (any, error)
}

type (
	objectTemplate struct {
		fields []namedTemplate
		need   []string // of a ref, without which it says nothing
	}
	namedTemplate struct {
		name string
		t    template
	}
	listTemplate []template
	constant     struct{ value any }
	// leaf evaluates one expression. textLimit > 0 makes the value text of at most so many bytes.
	leaf struct {
		e         *expression
		textLimit int
		oneLine   bool
	}
)

// compileTemplate goes along the YAML tree and the Go type of the schema together, so that a misspelt field is found when
// the file is read and not when the event comes.
func (c *compiler) template(path string, node any, typ reflect.Type) template {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch n := node.(type) {
	case map[string]any:
		return c.object(path, n, typ)
	case []any:
		if typ.Kind() != reflect.Slice {
			c.problem(path, "", "is no list in the schema")
			return constant{}
		}
		var l listTemplate
		for i, e := range n {
			l = append(l, c.template(fmt.Sprintf("%s[%d]", path, i), e, typ.Elem()))
		}
		return l
	case string:
		if isEnumValue(typ, n) {
			return constant{n}
		}
		l := leaf{e: c.expression(path, n, nil)}
		if typ.Kind() == reflect.String {
			l.textLimit = triage.MaxText
			name := path[strings.LastIndexByte(path, '.')+1:]
			switch name {
			case "url", "actor":
				l.textLimit = triage.MaxURL
			case "title":
				l.oneLine = true
			case "id": // a cut id would name something else
				l.textLimit = 1 << 20
			}
		}
		return l
	case int, float64, bool:
		return constant{n}
	}
	c.problem(path, fmt.Sprint(node), "must be a CEL expression in text")
	return constant{}
}

func (c *compiler) object(path string, n map[string]any, typ reflect.Type) template {
	var o objectTemplate
	var known map[string]reflect.Type
	switch {
	case typ.Kind() == reflect.Map:
	case typ.Kind() == reflect.Struct && typ != reflect.TypeFor[time.Time]():
		known = jsonFields(typ)
	default:
		c.problem(path, "", "is a single value in the schema; write one CEL expression")
		return constant{}
	}
	if typ == reflect.TypeFor[triage.Ref]() {
		o.need = []string{"system", "id"}
	}
	if typ == reflect.TypeFor[triage.Step]() {
		o.need = []string{"at"}
	}
	for _, name := range slices.Sorted(maps.Keys(n)) {
		elem := reflect.Type(nil)
		if known == nil {
			elem = typ.Elem()
		} else if elem = known[name]; elem == nil {
			c.problem(path+"."+name, "", "is not a field; the fields are "+strings.Join(slices.Sorted(maps.Keys(known)), ", "))
			continue
		}
		o.fields = append(o.fields, namedTemplate{name, c.template(path+"."+name, n[name], elem)})
	}
	return o
}

// jsonFields lists the fields of a struct of the schema by name, those of embedded structs included.
func jsonFields(t reflect.Type) map[string]reflect.Type {
	out := make(map[string]reflect.Type)
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			maps.Copy(out, jsonFields(f.Type))
		case name != "" && name != "-":
			out[name] = f.Type
		}
	}
	return out
}

// isEnumValue reports whether s is one of the values of an enumeration of the schema, which may stand without quotes.
func isEnumValue(typ reflect.Type, s string) bool {
	switch typ {
	case reflect.TypeFor[triage.Kind]():
		return slices.Contains(triage.Kinds(), triage.Kind(s))
	case reflect.TypeFor[triage.Status]():
		return slices.Contains(triage.Statuses(), triage.Status(s))
	case reflect.TypeFor[triage.Signal]():
		return slices.Contains(triage.Signals(), triage.Signal(s))
	case reflect.TypeFor[triage.ReversibleValue]():
		return s == string(triage.ReversibleYes) || s == string(triage.ReversibleNo) || s == string(triage.ReversibleUnknown)
	}
	return false
}

func (o objectTemplate) eval(in *input) (any, error) {
	out := make(map[string]any, len(o.fields))
	for _, f := range o.fields {
		v, err := f.t.eval(in)
		if err != nil {
			return nil, err
		}
		if v != nil {
			out[f.name] = v
		}
	}
	for _, name := range o.need {
		if out[name] == nil {
			return nil, nil
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

func (l listTemplate) eval(in *input) (any, error) {
	var out []any
	for _, t := range l {
		v, err := t.eval(in)
		if err != nil {
			return nil, err
		}
		if v != nil {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

func (c constant) eval(*input) (any, error) { return c.value, nil }

func (l leaf) eval(in *input) (any, error) {
	v, err := l.e.eval(in)
	if err != nil {
		return nil, err
	}
	if l.textLimit > 0 {
		s := text(v)
		if s != "" {
			return l.clip(s), nil
		}
		if p := present(v); p != nil && p.Type() != types.StringType {
			return nil, fmt.Errorf("%s: gives a %s; text is wanted", l.e.path, p.Type().TypeName())
		}
		return nil, nil
	}
	in.unread = in.unread || isUnread(present(v)) && !strings.HasSuffix(l.e.path, ".observed_at")
	g, err := toGo(v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.e.path, err)
	}
	if g == "" {
		return nil, nil
	}
	return g, nil
}

// clip makes somebody else's prose fit the schema rather than refuse the event for its length.
func (l leaf) clip(s string) string {
	s = strings.ToValidUTF8(strings.TrimSpace(s), "�")
	if l.oneLine {
		s, _, _ = strings.Cut(s, "\n")
		s = strings.TrimSpace(s)
	}
	if len(s) <= l.textLimit {
		return s
	}
	n := l.textLimit - len("…")
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
