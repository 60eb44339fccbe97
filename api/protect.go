package api

import (
	"bytes"
	"io"
	"net/http"
)

// maxPage bounds what a page may write, bytes.
const maxPage = 8 << 20

// Protect wraps a handler of pages so that only callers with the scope reach it; "" asks nothing. It bounds the requests
// worked on at once like those of the API's own, and refuses what other sites send. A body is read whole before, and the answer
// is sent after the handler is done, so that nobody's slow connection takes a place from others. A browser is asked for a token
// as the password of basic authentication, with any user name.
func (a *API) Protect(scope Scope, next http.Handler) http.Handler {
	return a.watch("pages", func(w *writer, r *request) error {
		if err := a.admit(r, scope); err != nil {
			if p := a.problemFor(r, err); p.kind == kindUnauthorized {
				if people := r.settings.auth.people; people.signsIn() {
					if navigates(r.Request) {
						return a.toProvider(w, r)
					}
					return err
				}
				return p.head("WWW-Authenticate", `Basic realm="triaged: any name, a token as the password", charset="UTF-8"`)
			}
			return err
		}
		lane := laneLink
		switch reads := r.Method == http.MethodGet || r.Method == http.MethodHead; {
		case scope != "" && reads:
			lane = laneRead
		case scope != "":
			lane = laneSmall
		}
		if lane == laneSmall {
			free, err := a.readBody(w, r, lane)
			if err != nil {
				return err
			}
			defer free()
			r.Body = io.NopCloser(bytes.NewReader(r.body))
		}
		page := &kept{header: w.Header()}
		rep, err := a.work(r, lane, func(r *request) (any, error) {
			next.ServeHTTP(page, r.Request)
			if page.overflow {
				return nil, problem(kindParameter, "The page would be larger than %d bytes; ask for a shorter time or fewer items.", maxPage)
			}
			return reply{status: page.status, raw: page.body.Bytes()}, nil
		})
		a.audit(r, scope, "page "+r.Pattern, err == nil && page.status < http.StatusBadRequest)
		if err != nil {
			return err
		}
		return a.finish(w, r, rep)
	})
}

// kept is an answer that is held until its handler is done.
type kept struct {
	header   http.Header
	status   int
	body     bytes.Buffer
	overflow bool
}

func (k *kept) Header() http.Header { return k.header }

func (k *kept) WriteHeader(status int) {
	if k.status == 0 {
		k.status = status
	}
}

func (k *kept) Write(b []byte) (int, error) {
	if k.overflow = k.overflow || k.body.Len()+len(b) > maxPage; k.overflow {
		return 0, http.ErrContentLength
	}
	return k.body.Write(b)
}
