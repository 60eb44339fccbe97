package mapping

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/triage"
)

// file is a mapping as it is written.
type file struct {
	Description string     `yaml:"description"`
	Auth        []Scheme   `yaml:"auth"`
	Rules       []fileRule `yaml:"rules"`
}

type fileRule struct {
	Match string `yaml:"match"`
	Let   []struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
	} `yaml:"let"`
	Ignore []struct {
		When   string `yaml:"when"`
		Reason string `yaml:"reason"`
	} `yaml:"ignore"`
	Foreach string         `yaml:"foreach"`
	Change  map[string]any `yaml:"change"`
	Anomaly map[string]any `yaml:"anomaly"`
}

// rule is a compiled rule.
type rule struct {
	match, foreach *expression // foreach may be nil
	let            []binding
	ignore         []ignore
	change         template // exactly one of the two is set
	anomaly        template
}

type binding struct {
	name string
	e    *expression
}

type ignore struct {
	when   *expression
	reason string
}

// expression is one compiled CEL expression and where it stands.
type expression struct {
	path, source string
	program      cel.Program
}

// eval runs the expression. Errors name its place and text.
func (e *expression) eval(in *input) (ref.Val, error) {
	v, _, err := e.program.ContextEval(in.ctx, in.vars)
	if err != nil {
		if errors.Is(in.ctx.Err(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("%s: took longer than %s over this input", e.path, evalTime)
		}
		return nil, fmt.Errorf("%s: %s: in %q", e.path, err.Error(), clip(e.source))
	}
	return v, nil
}

// compiler collects the problems of one file.
type compiler struct {
	file     string
	env      *cel.Env
	problems []error
}

func (c *compiler) problem(path, value, remedy string) {
	c.problems = append(c.problems, &triage.FieldError{Field: c.file + ": " + path, Value: value, Remedy: remedy})
}

// expression compiles one expression; want, if given, is the type it must have.
func (c *compiler) expression(path, source string, want *cel.Type) *expression {
	e := &expression{path: c.file + ": " + path, source: source}
	if strings.TrimSpace(source) == "" {
		c.problem(path, "", "must not be empty: write a CEL expression")
		return e
	}
	ast, issues := c.env.Compile(source)
	if err := issues.Err(); err != nil {
		first := issues.Errors()[0]
		c.problem(path, source, fmt.Sprintf("column %d: %s; an expression may use body, item, headers, received, the names under let, and text in 'quotes'",
			first.Location.Column()+1, first.Message))
		return e
	}
	if want != nil && !ast.OutputType().IsExactType(want) && !ast.OutputType().IsExactType(cel.DynType) {
		c.problem(path, source, fmt.Sprintf("gives %s; %s is wanted", ast.OutputType(), want))
		return e
	}
	program, err := c.env.Program(ast, cel.CostLimit(costLimit), cel.InterruptCheckFrequency(100), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		c.problem(path, source, err.Error())
		return e
	}
	e.program = program
	return e
}

// Parse compiles a mapping file. name is what the file is called in errors, its base name without .yaml the mapping's name.
// Every problem is reported at once, each a triage.FieldError with file, field and remedy.
func Parse(name string, doc []byte) (*Mapping, error) {
	if err := triage.CheckYAML(doc); err != nil {
		return nil, &triage.FieldError{Field: name, Remedy: err.Error()}
	}
	var f file
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &triage.FieldError{Field: name, Remedy: "is empty; it needs rules"}
		}
		return nil, fmt.Errorf("read mapping %s: %w", name, err)
	}
	env, err := newEnv()
	if err != nil {
		return nil, fmt.Errorf("prepare the expression language: %w", err)
	}
	c := &compiler{file: name, env: env}
	m := &Mapping{name: baseName(name), description: strings.TrimSpace(f.Description), auth: f.Auth}
	for i, s := range f.Auth {
		if err := s.check(); err != nil {
			c.problem(fmt.Sprintf("auth[%d]", i), s.Scheme, err.Error())
		}
	}
	if len(f.Rules) == 0 {
		c.problem("rules", "", "must not be empty")
	}
	for i, fr := range f.Rules {
		m.rules = append(m.rules, c.rule(fmt.Sprintf("rules[%d]", i), fr))
	}
	if err := errors.Join(c.problems...); err != nil {
		return nil, err
	}
	return m, nil
}

func (c *compiler) rule(path string, fr fileRule) rule {
	outer := c.env
	defer func() { c.env = outer }()
	r := rule{match: c.expression(path+".match", fr.Match, cel.BoolType)}
	if fr.Foreach != "" {
		r.foreach = c.expression(path+".foreach", fr.Foreach, nil)
	}
	for i, l := range fr.Let {
		at := fmt.Sprintf("%s.let[%d]", path, i)
		e := c.expression(at+".value", l.Value, nil)
		env, err := c.env.Extend(cel.Variable(l.Name, cel.DynType))
		if err == nil { // CEL keeps some words, namespace among them, and says so only when they are used
			_, issues := env.Compile(l.Name)
			err = issues.Err()
		}
		if err != nil || !identifier.MatchString(l.Name) || reserved[l.Name] {
			c.problem(at+".name", l.Name, "must be a name of letters, digits and _, and neither one that is taken nor a word CEL keeps (like namespace)")
			continue
		}
		c.env = env
		r.let = append(r.let, binding{l.Name, e})
	}
	for i, ig := range fr.Ignore {
		at := fmt.Sprintf("%s.ignore[%d]", path, i)
		if ig.Reason == "" {
			c.problem(at+".reason", "", "must not be empty: it is what an operator reads")
		}
		r.ignore = append(r.ignore, ignore{c.expression(at+".when", ig.When, cel.BoolType), ig.Reason})
	}
	switch {
	case fr.Change != nil && fr.Anomaly == nil:
		r.change = c.template(path+".change", fr.Change, reflect.TypeFor[triage.Change]())
	case fr.Anomaly != nil && fr.Change == nil:
		r.anomaly = c.template(path+".anomaly", fr.Anomaly, reflect.TypeFor[triage.Anomaly]())
	case fr.Change == nil && len(fr.Ignore) > 0: // a rule that only says why something is no change
	default:
		c.problem(path, "", "needs exactly one of change and anomaly")
	}
	return r
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reserved are the variables there are already.
var reserved = map[string]bool{"body": true, "item": true, "headers": true, "received": true}
