package configs

import (
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const concealed = "<secret>"

// secretMaps are the keys whose values may all be secrets: headers carry tokens, and so do the parameters of an OAuth endpoint.
var secretMaps = []string{"http_headers", "headers", "endpoint_params", "proxy_connect_header"}

// conceal hides what libraries print as it is: passwords and tokens within addresses, and the values below secretMaps. It reports whether
// there was anything.
func conceal(n *yaml.Node, all bool) (found bool) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			found = conceal(n.Content[i+1], all || slices.Contains(secretMaps, n.Content[i].Value)) || found
		}
	case yaml.ScalarNode:
		switch hidden := hideInURL(n.Value); {
		case all && n.Value != "" && n.Tag != "!!null":
			n.SetString(concealed)
			return true
		case hidden != n.Value:
			n.SetString(hidden)
			return true
		}
	default:
		for _, c := range n.Content {
			found = conceal(c, all) || found
		}
	}
	return found
}

// hideInURL replaces the user information of an address, and the values of its query.
func hideInURL(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return s
	}
	if u.User != nil {
		_, rest, _ := strings.Cut(s, "@")
		s = u.Scheme + "://" + concealed + "@" + rest
	}
	if u.RawQuery == "" {
		return s
	}
	before, after, _ := strings.Cut(s, "?")
	query, fragment, hasFragment := strings.Cut(after, "#")
	var parts []string
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		parts = append(parts, name+"="+concealed)
	}
	s = before + "?" + strings.Join(parts, "&")
	if hasFragment {
		s += "#" + fragment
	}
	return s
}
