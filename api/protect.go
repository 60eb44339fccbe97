package api

import (
	"net/http"
)

// Protect wraps a handler of pages so that only callers with the scope reach it; "" asks nothing. It bounds the requests
// worked on at once like those of the API's own, and refuses what other sites send. Bodies are the handler's own. A
// browser is asked for a token as the password of basic authentication, with any user name.
func (a *API) Protect(scope Scope, next http.Handler) http.Handler {
	return a.watch("pages", func(w *writer, r *request) error {
		lane := laneSmall
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			lane = laneRead
		}
		release, err := a.admit(w, r, scope, lane)
		if err != nil {
			if p := a.problemFor(r, err); p.kind == kindUnauthorized {
				return p.head("WWW-Authenticate", `Basic realm="triaged: any name, a token as the password", charset="UTF-8"`)
			}
			return err
		}
		defer release()
		next.ServeHTTP(w, r.Request)
		return nil
	})
}
