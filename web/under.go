package web

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// absolute finds the addresses in a page that begin at the root of the host. Templates quote every attribute and escape every quote
// in what they are given, so nothing from outside can look like one.
var absolute = regexp.MustCompile(`(\s(?:href|src|action|formaction|data-axis|data-script|data-sheet)=")(/[^/])`)

// Under serves next for visitors who reach it under a path, "/triaged", behind a proxy: every address in its pages and redirects
// begins with that path. Whether the proxy has taken the path off the request makes no difference here.
func Under(path string, next http.Handler) http.Handler {
	path = strings.TrimRight(path, "/")
	if path == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&underWriter{ResponseWriter: w, path: path}, r)
	})
}

// underWriter rewrites an answer on its way. A page comes whole in one Write, and no address spans two.
type underWriter struct {
	http.ResponseWriter
	path string
}

func (w *underWriter) page() bool {
	return strings.HasPrefix(w.Header().Get("Content-Type"), "text/html")
}

func (w *underWriter) WriteHeader(status int) {
	if to := w.Header().Get("Location"); strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") {
		w.Header().Set("Location", w.path+to)
	}
	if w.page() {
		w.Header().Del("Content-Length")
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *underWriter) Write(b []byte) (int, error) {
	if !w.page() {
		return w.ResponseWriter.Write(b)
	}
	out := absolute.ReplaceAll(b, []byte("${1}"+strings.ReplaceAll(w.path, "$", "$$")+"${2}"))
	out = []byte(strings.Replace(string(out), "<body", "<body data-root="+strconv.Quote(w.path), 1)) // for the script
	if _, err := w.ResponseWriter.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Unwrap lets http.ResponseController reach what is underneath.
func (w *underWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
