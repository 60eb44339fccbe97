package mapping

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// Before the body is read it is known whether the proof is there, whether it has the right form, and, where it does not depend on
// the body, whether it is right.
func TestAnnounces(t *testing.T) {
	const secret = "0123456789abcdef"
	signed := []Scheme{{Scheme: schemeSHA256, Header: "X-Sig", Prefix: "sha256="}}
	digest := strings.Repeat("ab", 32)
	for name, tc := range map[string]struct {
		schemes []Scheme
		header  string
		value   string
		ok      bool
	}{
		"no header":            {signed, "", "", false},
		"signature in form":    {signed, "X-Sig", "sha256=" + digest, true},
		"signature cut short":  {signed, "X-Sig", "sha256=abcd", false},
		"signature without":    {signed, "X-Sig", digest, false},
		"named":                {[]Scheme{{Scheme: schemeNamed, Header: "X-Sig"}}, "X-Sig", "sha256=" + digest, true},
		"named, other hash":    {[]Scheme{{Scheme: schemeNamed, Header: "X-Sig"}}, "X-Sig", "md5=" + digest, false},
		"one of a list":        {[]Scheme{{Scheme: schemeSHA256, Header: "X-Sig", List: true}}, "X-Sig", "x, " + digest, true},
		"token":                {[]Scheme{{Scheme: schemeToken, Header: "X-Token"}}, "X-Token", secret, true},
		"wrong token":          {[]Scheme{{Scheme: schemeToken, Header: "X-Token"}}, "X-Token", "guess", false},
		"bearer by default":    {nil, "Authorization", "Bearer " + secret, true},
		"wrong bearer":         {nil, "Authorization", "Bearer guess", false},
		"basic where bearer":   {nil, "Authorization", "Basic Z3Vlc3M=", false},
		"second of two fits":   {append(signed, Scheme{Scheme: schemeToken, Header: "X-Token"}), "X-Token", secret, true},
		"second of two is bad": {append(signed, Scheme{Scheme: schemeToken, Header: "X-Token"}), "X-Token", "guess", false},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			if tc.header != "" {
				h.Set(tc.header, tc.value)
			}
			err := Announces(tc.schemes, secret, h)
			if (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrUnauthenticated) {
				t.Errorf("want let on %v, got %v", tc.ok, err)
			}
		})
	}
}
