package main

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/triaged-dev/triaged/web"
)

// doors says who answers what: the API, the hooks, which authenticate by themselves, and the pages everything else. externalURL may
// have a path, under which a proxy shows triaged to the world.
func doors(api, hooks, pages http.Handler, externalURL string) http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/api/", "/-/", "/metrics", "/feedback/", "/auth/", "/mcp"} {
		mux.Handle(path, api)
	}
	mux.Handle("/hooks/", hooks)
	mux.Handle("/v2/change/enqueue", hooks)
	base := pathOf(externalURL)
	mux.Handle("/", web.Under(base, pages))
	return tidyPath(base, mux)
}

// pathOf is the path of a URL without a slash at its end; "" for none.
func pathOf(externalURL string) string {
	u, err := url.Parse(externalURL)
	if err != nil {
		return ""
	}
	return strings.TrimRight(u.EscapedPath(), "/")
}

// verbatim are the paths behind which an id follows, in which slashes mean themselves.
var verbatim = []string{"/api/v1/changes/", "/changes/", "/feedback/"}

// tidyPath takes the path off that a proxy left on, and reads addresses as people paste them together: a slash too many at the
// end or in the middle is the address without. A redirect would not do: senders follow it with a GET, or not at all.
func tidyPath(base string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := tidied(base, r.URL.EscapedPath())
		plain, err := url.PathUnescape(path)
		if path == r.URL.EscapedPath() || err != nil {
			next.ServeHTTP(w, r)
			return
		}
		tidy := r.Clone(r.Context())
		tidy.URL.Path, tidy.URL.RawPath = plain, path
		next.ServeHTTP(w, tidy)
	})
}

// tidied is the path that was meant.
func tidied(base, path string) string {
	path = "/" + strings.TrimLeft(path, "/")
	if rest, under := strings.CutPrefix(path, base); under && base != "" && (rest == "" || rest[0] == '/') {
		path = "/" + strings.TrimLeft(rest, "/")
	}
	for _, v := range verbatim {
		if strings.HasPrefix(path, v) && len(path) > len(v) {
			return path
		}
	}
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	if len(path) > 1 {
		path = strings.TrimRight(path, "/")
	}
	return path
}
