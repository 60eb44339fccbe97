package alerting

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/triaged-dev/triaged/triage"
)

// Matcher is one condition on an alert's labels, written as Alertmanager writes it: severity=~"page|critical".
// A label the alert does not have reads as empty; regular expressions are anchored.
type Matcher struct{ m *labels.Matcher }

var matcherForm = regexp.MustCompile(`^\s*([a-zA-Z_][a-zA-Z0-9_.:]*)\s*(=~|!~|!=|=)\s*(.*?)\s*$`)

// ParseMatcher reads a Matcher; quotes around the value may be left out.
func ParseMatcher(s string) (Matcher, error) {
	bad := func(remedy string) (Matcher, error) {
		return Matcher{}, &triage.FieldError{Field: "matchers", Value: s, Remedy: remedy}
	}
	parts := matcherForm.FindStringSubmatch(s)
	if parts == nil {
		return bad(`write label="value", or with !=, =~, !~ in place of =`)
	}
	value := parts[3]
	if strings.HasPrefix(value, `"`) {
		v, err := strconv.Unquote(value)
		if err != nil {
			return bad(`the quotes around the value do not close`)
		}
		value = v
	}
	types := map[string]labels.MatchType{"=": labels.MatchEqual, "!=": labels.MatchNotEqual, "=~": labels.MatchRegexp, "!~": labels.MatchNotRegexp}
	m, err := labels.NewMatcher(types[parts[2]], parts[1], value)
	if err != nil {
		return bad("the value is no regular expression: " + err.Error())
	}
	return Matcher{m}, nil
}

// Matches reports whether the labels satisfy the condition.
func (m Matcher) Matches(ls map[string]string) bool { return m.m.Matches(ls[m.m.Name]) }

func (m Matcher) String() string { return m.m.String() }

// UnmarshalYAML reads the string form.
func (m *Matcher) UnmarshalYAML(unmarshal func(any) error) error {
	var s string
	if err := unmarshal(&s); err != nil {
		return err
	}
	parsed, err := ParseMatcher(s)
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// MarshalYAML writes the string form.
func (m Matcher) MarshalYAML() (any, error) { return m.String(), nil }

// Matchers is a list of conditions.
type Matchers []Matcher

// All reports whether every condition holds; it does for an empty list.
func (ms Matchers) All(ls map[string]string) bool {
	for _, m := range ms {
		if !m.Matches(ls) {
			return false
		}
	}
	return true
}

// Any reports whether one of the conditions holds.
func (ms Matchers) Any(ls map[string]string) bool {
	for _, m := range ms {
		if m.Matches(ls) {
			return true
		}
	}
	return false
}

// on reports whether one of the conditions is about a label with this prefix.
func (ms Matchers) on(prefix string) bool {
	for _, m := range ms {
		if strings.HasPrefix(m.m.Name, prefix) {
			return true
		}
	}
	return false
}

// mustMatchers is for the defaults, which a test parses.
func mustMatchers(forms ...string) Matchers {
	out := make(Matchers, 0, len(forms))
	for _, f := range forms {
		m, err := ParseMatcher(f)
		if err != nil {
			panic(fmt.Sprintf("default matcher %q: %v", f, err))
		}
		out = append(out, m)
	}
	return out
}
