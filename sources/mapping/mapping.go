package mapping

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/traits"

	"github.com/triaged-dev/triaged/triage"
)

// Header is one record header. It is an alias of a plain struct so that every package that reads records shares the type.
type Header = struct {
	Key   string
	Value []byte
}

// Mapping is a compiled mapping. It is immutable and may be used from many goroutines.
type Mapping struct {
	name, description string
	auth              []Scheme
	rules             []rule
}

// Input is one document to read.
type Input struct {
	Headers  map[string]string // names in lower case
	Body     []byte
	Received time.Time
	// Complete fills in what the sender left open, before anything is validated; nil: nothing is. It returns a copy.
	Complete func(triage.Event) triage.Event
}

// input is one document under evaluation.
type input struct {
	ctx      context.Context //nolint:containedctx // lives for one call of Read
	vars     map[string]any
	received time.Time
	complete func(triage.Event) triage.Event
	unread   bool // a time that this item was given could not be read; received stands in for it
}

// Load compiles every *.yaml file of a folder, by mapping name. All problems of all files are reported at once.
func Load(fsys fs.FS) (map[string]*Mapping, error) {
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list mappings: %w", err)
	}
	out := make(map[string]*Mapping, len(names))
	var problems []error
	for _, name := range names {
		doc, err := fs.ReadFile(fsys, name)
		if err != nil {
			problems = append(problems, fmt.Errorf("read mapping: %w", err))
			continue
		}
		m, err := Parse(name, doc)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		out[m.name] = m
	}
	return out, errors.Join(problems...)
}

// Name is the file's base name without .yaml.
func (m *Mapping) Name() string { return m.name }

// Description says what sends to this mapping and how to set that up.
func (m *Mapping) Description() string { return m.description }

// Auth are the ways in which a sender may prove itself; any one will do. Empty: none is known.
func (m *Mapping) Auth() []Scheme { return slices.Clone(m.auth) }

// DecodeHTTP reads a request body that has passed Verify. The expressions see it as received now.
func (m *Mapping) DecodeHTTP(header http.Header, body []byte) ([]triage.Event, error) {
	headers := make(map[string]string, len(header))
	for k, v := range header {
		if len(v) > 0 {
			headers[strings.ToLower(k)] = v[0]
		}
	}
	for _, secret := range []string{"authorization", "cookie", "proxy-authorization"} {
		delete(headers, secret)
	}
	return m.Decode(headers, body, time.Now())
}

// DecodeRecord reads a Kafka record.
func (m *Mapping) DecodeRecord(headers []Header, value []byte, recordTime time.Time) ([]triage.Event, error) {
	hs := make(map[string]string, len(headers))
	for _, h := range headers {
		hs[strings.ToLower(h.Key)] = string(h.Value)
	}
	return m.Decode(hs, value, recordTime)
}

// Decode is Read for a sender that says everything.
func (m *Mapping) Decode(headers map[string]string, body []byte, received time.Time) ([]triage.Event, error) {
	return m.Read(Input{Headers: headers, Body: body, Received: received})
}

// Read reads one JSON document. What no rule matches, or a rule ignores, is a *triage.Ignored; with foreach that is so only if
// every item is. Any other error names file, field and expression.
func (m *Mapping) Read(from Input) ([]triage.Event, error) {
	doc, err := decodeJSON(from.Body)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", m.name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), evalTime)
	defer cancel()
	in := &input{ctx: ctx, received: from.Received.UTC(), complete: from.Complete}
	headers := from.Headers
	if headers == nil {
		headers = map[string]string{}
	}
	in.vars = map[string]any{"body": doc, "item": doc, "headers": headers, "received": in.received}
	for i := range m.rules {
		r := &m.rules[i]
		match, err := r.match.truth(in)
		if err != nil {
			// Another tool's JSON may have another type where this rule looks: then it is not this rule's.
			if ctx.Err() != nil {
				return nil, err
			}
			continue
		}
		if match {
			return m.apply(r, in)
		}
	}
	return nil, &triage.Ignored{Reason: fmt.Sprintf("no rule of mapping %s knows this", m.name)}
}

// apply makes the events of one rule.
func (m *Mapping) apply(r *rule, in *input) ([]triage.Event, error) {
	items := []any{in.vars["body"]}
	if r.foreach != nil {
		var err error
		if items, err = r.foreach.list(in); err != nil {
			return nil, err
		}
	}
	reason := "there is no change in it"
	var out []triage.Event
	for _, item := range items {
		vars := maps.Clone(in.vars)
		vars["item"] = item
		e, err := r.event(m.name, &input{ctx: in.ctx, vars: vars, received: in.received, complete: in.complete})
		if why, skip := triage.IsIgnored(err); skip {
			reason = why
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil, &triage.Ignored{Reason: reason}
	}
	return out, nil
}

// event makes the event of one item.
func (r *rule) event(name string, in *input) (triage.Event, error) {
	for _, b := range r.let {
		v, err := b.e.eval(in)
		if err != nil {
			return triage.Event{}, err
		}
		in.vars[b.name] = v
	}
	for _, ig := range r.ignore {
		skip, err := ig.when.truth(in)
		if err != nil {
			return triage.Event{}, err
		}
		if skip {
			return triage.Event{}, &triage.Ignored{Reason: ig.reason}
		}
	}
	switch {
	case r.change != nil:
		data, err := render(r.change, in)
		if err != nil {
			return triage.Event{}, err
		}
		c, err := triage.ReadChange(data, "change")
		if err != nil {
			return triage.Event{}, err
		}
		return in.finishChange(name, c)
	case r.anomaly != nil:
		data, err := render(r.anomaly, in)
		if err != nil {
			return triage.Event{}, err
		}
		a, err := triage.ReadAnomaly(data, "anomaly")
		if err != nil {
			return triage.Event{}, err
		}
		return in.finishAnomaly(a)
	}
	return triage.Event{}, &triage.Ignored{Reason: "none of the rule's reasons to ignore it holds, and it makes no change"}
}

func render(t template, in *input) ([]byte, error) {
	v, err := t.eval(in)
	if err != nil {
		return nil, err
	}
	if v == nil {
		v = map[string]any{}
	}
	return json.Marshal(v)
}

// truth evaluates a condition.
func (e *expression) truth(in *input) (bool, error) {
	v, err := e.eval(in)
	if err != nil {
		return false, err
	}
	b, ok := present(v).(types.Bool)
	if !ok {
		return false, fmt.Errorf("%s: gives no true or false: in %q", e.path, clip(e.source))
	}
	return bool(b), nil
}

// list evaluates foreach. Absent is an empty list.
func (e *expression) list(in *input) ([]any, error) {
	v, err := e.eval(in)
	if err != nil {
		return nil, err
	}
	v = present(v)
	if v == nil {
		return nil, nil
	}
	l, ok := v.(traits.Lister)
	if !ok {
		return nil, fmt.Errorf("%s: gives no list: in %q", e.path, clip(e.source))
	}
	if n, _ := l.Size().(types.Int); n > maxItems {
		return nil, fmt.Errorf("%s: gives %d items; at most %d are taken at once", e.path, n, maxItems)
	}
	var out []any
	for it := l.Iterator(); it.HasNext() == types.True; {
		out = append(out, it.Next())
	}
	return out, nil
}

// decodeJSON reads one document with whole numbers as int64 and without nulls.
func decodeJSON(body []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))) // a byte order mark says nothing
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("is not one JSON document: something follows it")
	}
	return plain(v), nil
}

func plain(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			if e == nil {
				delete(x, k)
				continue
			}
			x[k] = plain(e)
		}
	case []any:
		for i, e := range x {
			x[i] = plain(e)
		}
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return n
		}
		f, err := x.Float64()
		if err != nil {
			return x.String()
		}
		return f
	}
	return v
}

func baseName(name string) string {
	return strings.TrimSuffix(path.Base(name), ".yaml")
}

// clip shortens what is repeated in a message.
func clip(s string) string {
	const most = 120
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
