package api

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/triaged-dev/triaged/triage"
)

// page is how lists are answered. Next is the cursor to pass as after; it is absent on the last page.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// listing makes a page; a list without items is [], never null.
func listing[T any](items []T, next string) page[T] {
	if items == nil {
		items = []T{}
	}
	return page[T]{items, next}
}

// params reads query parameters strictly: unknown, repeated and malformed ones are problems. The first problem stays.
type params struct {
	values url.Values
	err    error
}

// query checks that only the parameters named are there. Those in lists may be repeated.
func query(r *request, names ...string) *params {
	p := &params{}
	p.values, p.err = url.ParseQuery(r.URL.RawQuery)
	if p.err != nil {
		p.err = badParameter("query", r.URL.RawQuery, "percent-encode it: "+p.err.Error())
		return p
	}
	for _, name := range sortedKeys(p.values) {
		switch {
		case !slices.Contains(names, name):
			known := "this takes none"
			if len(names) > 0 {
				known = "the known ones are " + strings.Join(names, ", ")
			}
			p.fail(name, p.values.Get(name), "is not a known parameter; "+known)
		case len(p.values[name]) > 1 && name != "service" && name != "state":
			p.fail(name, strings.Join(p.values[name], ", "), "may be given once")
		}
	}
	return p
}

func (p *params) fail(name, value, remedy string) {
	if p.err == nil {
		p.err = badParameter(name, value, remedy)
	}
}

func (p *params) text(name string, limit int) string {
	v := p.values.Get(name)
	if len(v) > limit || !utf8.ValidString(v) {
		p.fail(name, v, "use at most "+strconv.Itoa(limit)+" bytes of UTF-8")
		return ""
	}
	return v
}

// list reads a parameter that may be repeated and hold commas.
func (p *params) list(name string) []string {
	var out []string
	for _, v := range p.values[name] {
		for s := range strings.SplitSeq(v, ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
	}
	if len(out) > maxListValues {
		p.fail(name, "", "may be given at most "+strconv.Itoa(maxListValues)+" times")
		return nil
	}
	return out
}

const maxListValues = 100

func (p *params) time(name string) time.Time {
	v := p.values.Get(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		remedy := "use RFC 3339 with a zone, like 2026-03-01T03:02:10Z"
		if strings.Contains(v, " ") {
			remedy += "; a + in a URL is written %2B"
		}
		p.fail(name, v, remedy)
	}
	return t.UTC()
}

// interval reads from and to. Without from it begins span before its end; span 0 leaves it open.
func (p *params) interval(now time.Time, span time.Duration) (from, to time.Time) {
	from, to = p.time("from"), p.time("to")
	if from.IsZero() && span > 0 {
		end := to
		if end.IsZero() {
			end = now
		}
		from = end.Add(-span).UTC()
	}
	if !to.IsZero() && to.Before(from) {
		p.fail("to", p.values.Get("to"), "must not be before from, "+from.Format(time.RFC3339))
	}
	return from, to
}

func (p *params) limit() int {
	v := p.values.Get("limit")
	if v == "" {
		return defaultListLimit
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxListLimit {
		p.fail("limit", v, "must be a number from 1 to "+strconv.Itoa(maxListLimit))
	}
	return n
}

func (p *params) after() string { return p.text("after", 512) }

// one reads a value that must be among those allowed.
func one[T ~string](p *params, name string, allowed []T) T {
	v := T(p.values.Get(name))
	if v != "" && !slices.Contains(allowed, v) {
		p.fail(name, string(v), "use one of "+joinWords(allowed))
	}
	return v
}

// many is one for a parameter that may be repeated.
func many[T ~string](p *params, name string, allowed []T) []T {
	var out []T
	for _, v := range p.list(name) {
		if !slices.Contains(allowed, T(v)) {
			p.fail(name, v, "use some of "+joinWords(allowed))
		}
		out = append(out, T(v))
	}
	return out
}

// number reads a positive number that is part of the path.
func number(name, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, badParameter(name, value, "must be a number from 1")
	}
	return n, nil
}

func joinWords[T ~string](words []T) string {
	s := make([]string, len(words))
	for i, w := range words {
		s[i] = string(w)
	}
	return strings.Join(s, ", ")
}

func sortedKeys(m map[string][]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// cutText shortens s to at most n bytes without cutting a character.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// directory is what is known of services now; a nil one knows none.
func (a *API) directory() *triage.Directory {
	if a.opts.Directory == nil {
		return nil
	}
	return a.opts.Directory()
}
