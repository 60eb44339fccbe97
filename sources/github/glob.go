package github

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// glob is a compiled path pattern: * within a segment, ** across segments, ? one character. A pattern without a slash matches
// the file's name in any directory; one that ends in a slash, or names a directory, matches everything below it.
type glob struct{ re *regexp.Regexp }

func compileGlobs(field string, patterns []string) ([]glob, error) {
	out := make([]glob, 0, len(patterns))
	for i, p := range patterns {
		g, err := compileGlob(p)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		out = append(out, g)
	}
	return out, nil
}

func compileGlob(p string) (glob, error) {
	p = strings.TrimPrefix(p, "/")
	if p == "" {
		return glob{}, errors.New("must not be empty; use ** for every file")
	}
	var b strings.Builder
	b.WriteString("^")
	if !strings.Contains(p, "/") {
		b.WriteString("(?:.*/)?")
	}
	for i := 0; i < len(p); i++ {
		switch {
		case strings.HasPrefix(p[i:], "**/"):
			b.WriteString("(?:.*/)?")
			i += 2
		case strings.HasPrefix(p[i:], "**"):
			b.WriteString(".*")
			i++
		case p[i] == '*':
			b.WriteString("[^/]*")
		case p[i] == '?':
			b.WriteString("[^/]")
		default:
			b.WriteString(regexp.QuoteMeta(p[i : i+1]))
		}
	}
	if strings.HasSuffix(p, "/") {
		b.WriteString(".*")
	} else {
		b.WriteString("(?:/.*)?")
	}
	b.WriteString("$")
	re, err := regexp.Compile("(?s)" + b.String())
	if err != nil {
		return glob{}, fmt.Errorf("%q is no path pattern: %w", p, err)
	}
	return glob{re: re}, nil
}

func matchAny(globs []glob, path string) bool {
	for _, g := range globs {
		if g.re.MatchString(path) {
			return true
		}
	}
	return false
}

// filterPaths are the paths that match, in their order.
func filterPaths(globs []glob, paths []string) []string {
	var out []string
	for _, p := range paths {
		if matchAny(globs, p) {
			out = append(out, p)
		}
	}
	return out
}
