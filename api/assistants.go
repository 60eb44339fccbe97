package api

import (
	"bytes"
	"io"
	"net/http"
)

// postMCP answers an assistant. What it asks for is asked of this API again, by the same caller, so that every bound and every scope
// holds; the tool that writes is not even offered to a token that may not.
func (a *API) postMCP(r *request) (any, error) {
	if a.opts.MCP == nil {
		return nil, problem(kindNotFound, "Assistants are not served here.")
	}
	r.Body = io.NopCloser(bytes.NewReader(r.body))
	r.ContentLength = int64(len(r.body))
	w := &whole{header: make(http.Header), status: http.StatusOK}
	a.opts.MCP(a.Handler(), r.caller.may(ScopeFeedback)).ServeHTTP(w, r.Request)
	w.header.Del("Content-Length")
	return reply{status: w.status, header: w.header, raw: append([]byte{}, w.body.Bytes()...)}, nil
}

// whole is an answer kept until it is complete, so that a slow reader holds no place. The protocol's answers are bounded by their tools.
type whole struct {
	header http.Header
	status int
	begun  bool
	body   bytes.Buffer
}

func (w *whole) Header() http.Header { return w.header }

func (w *whole) WriteHeader(status int) {
	if !w.begun {
		w.begun, w.status = true, status
	}
}

func (w *whole) Write(b []byte) (int, error) {
	w.begun = true
	return w.body.Write(b)
}

// Flush is asked for by the protocol's library; there is nobody to flush to yet.
func (w *whole) Flush() {}
