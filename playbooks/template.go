package playbooks

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// placeholder is {{name}}, or {{name|other}}: the first that is known. shellVar is ${NAME}: a variable of the reader's own
// shell, for tokens that must not pass through here.
var (
	placeholder = regexp.MustCompile(`\{\{([a-z_]+(?:\.[A-Za-z0-9_/-]+)?(?:\|[a-z_]+(?:\.[A-Za-z0-9_/-]+)?)*)\}\}`)
	shellVar    = regexp.MustCompile(`\$\{([A-Z][A-Z0-9_]*)\}`)
)

// missing says which value a template needs and does not have.
type missing struct{ name, value string }

func (m *missing) Error() string {
	if m.value != "" {
		return fmt.Sprintf("%s %q is not a plain name", m.name, m.value)
	}
	return m.name + " is not known"
}

// fill replaces the placeholders of one template; escape is applied to every value.
func fill(template string, values map[string]string, escape func(name, value string) string) (string, error) {
	var problem error
	out := placeholder.ReplaceAllStringFunc(template, func(m string) string {
		names := strings.Split(m[2:len(m)-2], "|")
		for _, n := range names {
			v := values[n]
			if v == "" {
				continue
			}
			if !fits(v) {
				if problem == nil {
					problem = &missing{name: said(n), value: v}
				}
				return ""
			}
			return escape(n, v)
		}
		if problem == nil {
			problem = &missing{name: said(names[0])}
		}
		return ""
	})
	if problem != nil {
		return "", problem
	}
	return out, nil
}

// said is a placeholder in words.
func said(name string) string {
	name = strings.TrimPrefix(name, "label.")
	return "its " + strings.ReplaceAll(name, "_", " ")
}

// command renders a list of arguments as one line for a POSIX shell.
func command(args []string, values map[string]string) (string, error) {
	words := make([]string, 0, len(args))
	for _, a := range args {
		w, err := word(a, values)
		if err != nil {
			return "", err
		}
		words = append(words, w)
	}
	return strings.Join(words, " "), nil
}

// word renders one argument. ${NAME} stands in double quotes, everything else is quoted as it is.
func word(arg string, values map[string]string) (string, error) {
	var b strings.Builder
	add := func(part string) error {
		if part == "" {
			return nil
		}
		s, err := fill(part, values, func(_, v string) string { return v })
		if err == nil {
			b.WriteString(quote(s))
		}
		return err
	}
	rest := 0
	for _, m := range shellVar.FindAllStringSubmatchIndex(arg, -1) {
		if err := add(arg[rest:m[0]]); err != nil {
			return "", err
		}
		b.WriteString(`"${` + arg[m[2]:m[3]] + `}"`)
		rest = m[1]
	}
	if err := add(arg[rest:]); err != nil {
		return "", err
	}
	if b.Len() == 0 {
		return "''", nil
	}
	return b.String(), nil
}

// link renders an address; values are escaped as one path segment, so a slash in a name cannot change where it leads. A
// repository may have slashes.
func link(template string, values map[string]string) (string, error) {
	s, err := fill(template, values, func(name, v string) string {
		if strings.HasSuffix(name, "repo") {
			return v
		}
		return url.PathEscape(v)
	})
	if err != nil {
		return "", err
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", &triage.FieldError{Field: "link", Value: s, Remedy: "must be an absolute http or https URL"}
	}
	return s, nil
}

// checkTemplate finds what no value can mend: an unknown placeholder form, a control character, spaces that a message would fold.
func checkTemplate(t string) string {
	left := placeholder.ReplaceAllString(t, "")
	switch {
	case strings.Contains(left, "{{"):
		return "has a placeholder that is not {{name}} or {{name|other}}"
	case strings.ContainsFunc(t, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "has a control character or line break"
	case strings.Contains(t, "  "):
		return "has two spaces in a row, which a message would fold into one"
	case len(t) > triage.MaxText:
		return fmt.Sprintf("is longer than %d bytes", triage.MaxText)
	}
	return ""
}
