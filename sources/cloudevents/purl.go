package cloudevents

import (
	"fmt"
	"net/url"
	"strings"
)

// purl is a package URL, as far as it names a version: pkg:oci/checkout@sha256%3Aab…?repository_url=ghcr.io%2Facme&tag=v1.
type purl struct {
	Type, Namespace, Name string
	Version               string // percent-decoded
	Qualifiers            url.Values
}

// parsePurl reads a package URL. The subpath is dropped.
func parsePurl(s string) (purl, error) {
	rest, ok := strings.CutPrefix(s, "pkg:")
	if !ok {
		return purl{}, fmt.Errorf("%q is no package URL: it must begin with pkg:", clip(s))
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	var p purl
	var err error
	if p.Qualifiers, err = url.ParseQuery(query); err != nil {
		return purl{}, fmt.Errorf("%q has unreadable qualifiers: %w", clip(s), err)
	}
	// The last @ parts the version: a scope such as npm's is encoded, but an unencoded one is met too.
	if i := strings.LastIndexByte(rest, '@'); i > strings.LastIndexByte(rest, '/') {
		if p.Version, err = url.PathUnescape(rest[i+1:]); err != nil {
			return purl{}, fmt.Errorf("%q has an unreadable version: %w", clip(s), err)
		}
		rest = rest[:i]
	}
	rest = strings.Trim(rest, "/")
	typ, path, ok := strings.Cut(rest, "/")
	if !ok || typ == "" || path == "" {
		return purl{}, fmt.Errorf("%q names no package: want pkg:<type>/<name>@<version>", clip(s))
	}
	p.Type = strings.ToLower(typ)
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		if p.Namespace, err = url.PathUnescape(path[:i]); err != nil {
			return purl{}, fmt.Errorf("%q has an unreadable namespace: %w", clip(s), err)
		}
		path = path[i+1:]
	}
	if p.Name, err = url.PathUnescape(path); err != nil {
		return purl{}, fmt.Errorf("%q has an unreadable name: %w", clip(s), err)
	}
	return p, nil
}

// tag is the version a person would say: the tag qualifier, else the version.
func (p purl) tag() string {
	if t := p.Qualifiers.Get("tag"); t != "" {
		return t
	}
	return p.Version
}

// digest is the version where it is an image digest.
func (p purl) digest() string {
	if strings.HasPrefix(p.Version, "sha256:") {
		return p.Version
	}
	return ""
}
