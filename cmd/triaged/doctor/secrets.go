package doctor

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/configs"
	"github.com/triaged-dev/triaged/sources/github"
)

// secrets looks at every file and every secret the configuration names: readable, not empty, not about to expire.
func (e *examination) secrets(cfg *configs.Config) {
	n, bad := 0, len(e.out)
	walk(reflect.ValueOf(cfg).Elem(), "", func(path string, v reflect.Value) {
		switch {
		case v.Type() == reflect.TypeFor[config.Secret]() && v.String() != "":
			n++
			e.expiry(path, []byte(v.String()))
		case v.Kind() == reflect.String && strings.HasSuffix(path, "_file") && v.String() != "":
			n++
			body, err := readFile(v.String())
			switch {
			case err != nil:
				e.wrong("secrets", path, fmt.Sprintf("%s cannot be read: %v", v.String(), err), "put the file there, readable for the user triaged runs as")
			case strings.TrimSpace(string(body)) == "":
				e.wrong("secrets", path, v.String()+" is empty", "write the secret into it")
			default:
				e.expiry(path, body)
			}
		}
	})
	if n > 0 && len(e.out) == bad {
		e.ok("secrets", "", "%d are there, and none expires within %d days as far as they say", n, int(expiresWithin.Hours()/24))
	}
}

// Files says which of the files that a configuration names cannot be read or hold nothing, each with its path in the configuration.
func Files(cfg *configs.Config) []error {
	var out []error
	walk(reflect.ValueOf(cfg).Elem(), "", func(path string, v reflect.Value) {
		if v.Kind() != reflect.String || !strings.HasSuffix(path, "_file") || v.String() == "" {
			return
		}
		body, err := readFile(v.String())
		switch {
		case err != nil:
			out = append(out, fmt.Errorf("%s: %q: cannot be read: %w", path, v.String(), err))
		case strings.TrimSpace(string(body)) == "":
			out = append(out, fmt.Errorf("%s: %q: is empty", path, v.String()))
		}
	})
	return out
}

const maxSecret = 1 << 20

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		if pe, ok := errors.AsType[*os.PathError](err); ok {
			err = pe.Err // the path is said beside it
		}
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSecret))
}

// walk calls visit for every string beneath v, with its path in the file.
func walk(v reflect.Value, path string, visit func(string, reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			walk(v.Elem(), path, visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if !f.IsExported() || name == "-" {
				continue
			}
			at := path
			if !strings.Contains(options, "inline") {
				if name == "" {
					name = strings.ToLower(f.Name)
				}
				at = strings.TrimPrefix(path+"."+name, ".")
			}
			walk(v.Field(i), at, visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			walk(it.Value(), fmt.Sprintf("%s.%v", path, it.Key()), visit)
		}
	case reflect.String:
		visit(path, v)
	default: // numbers hold no secret
	}
}

// expiry reads when a secret ends, where it says so: a JWT or a certificate.
func (e *examination) expiry(path string, body []byte) {
	at, ok := notAfter(body)
	if !ok {
		return
	}
	e.expires("secrets", path, at)
}

func (e *examination) expires(check, path string, at time.Time) {
	switch left := at.Sub(e.now()); {
	case left <= 0:
		e.wrong(check, path, "it expired on "+at.UTC().Format("2006-01-02 15:04 UTC"), "renew it")
	case left < expiresWithin:
		e.wrong(check, path, fmt.Sprintf("it expires on %s, in %d days", at.UTC().Format("2006-01-02 15:04 UTC"), int(left.Hours()/24)), "renew it before then")
	}
}

func notAfter(body []byte) (time.Time, bool) {
	if block, _ := pem.Decode(body); block != nil {
		if block.Type != "CERTIFICATE" {
			return time.Time{}, false
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return time.Time{}, false
		}
		return c.NotAfter, true
	}
	parts := strings.Split(strings.TrimSpace(string(body)), ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	if json.Unmarshal(raw, &claims) != nil || claims.Exp <= 0 {
		return time.Time{}, false
	}
	return time.Unix(int64(claims.Exp), 0), true
}

// github asks whether the token works and when it ends. /rate_limit costs nothing of the quota.
func (e *examination) github(ctx context.Context, g github.Config) {
	token := string(g.Token)
	if g.TokenFile != "" {
		body, err := readFile(g.TokenFile)
		if err != nil {
			return // secrets has said so
		}
		token = strings.TrimSpace(string(body))
	}
	if token == "" {
		if g.App == nil {
			e.wrong("github", g.Name, "it has neither token nor app: 60 requests an hour, public repositories only", "give token_file, or app")
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(g.APIURL, "/")+"/rate_limit", nil)
	if err != nil {
		e.wrong("github", g.Name, "its api_url is no address", "mend api_url")
		return
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := e.o.Transport.RoundTrip(req)
	if err != nil {
		e.wrong("github", g.Name, "it does not answer: "+bare(err), "check api_url and the network")
		return
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		e.wrong("github", g.Name, "it refuses the token: "+resp.Status, "renew the token, with the permissions of docs/sources-github.md")
		return
	}
	for _, form := range []string{"2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700"} {
		if at, err := time.Parse(form, resp.Header.Get("GitHub-Authentication-Token-Expiration")); err == nil {
			e.expires("github", g.Name, at)
			if at.Sub(e.now()) < expiresWithin {
				return
			}
		}
	}
	e.ok("github", g.Name, "takes the token")
}
