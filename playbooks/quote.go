package playbooks

import (
	"regexp"
	"strings"
)

// plain needs no quotes in a POSIX shell.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

// quote makes one shell word out of s.
func quote(s string) string {
	if plain.MatchString(s) && !strings.HasPrefix(s, "~") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// allowed are the values a command may hold: names, versions, image references, paths in a repository. They begin with a
// letter or digit, so none can be read as an option; nothing in them means anything to a shell, a URL or a template.
var allowed = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,252}$`)

// fits reports whether a value may stand in a command or link.
func fits(v string) bool {
	return allowed.MatchString(v) && !strings.Contains(v, "..") && !strings.Contains(v, "//")
}
