package web

import (
	"context"
	"net/http"
)

// routes is every page: where it is and what a visitor must be allowed.
func (w *Web) routes() http.Handler {
	mux := http.NewServeMux()
	page := func(pattern string, scope Scope, e endpoint) {
		mux.Handle(pattern, w.opts.Protect(scope, w.serve(e)))
	}
	page("GET /{$}", ScopeRead, w.getIncidents)
	page("GET /incidents", ScopeRead, w.getIncidents)
	page("GET /incidents/{id}", ScopeRead, w.getIncident)
	mux.Handle("GET /incidents/{id}/axis.json", w.opts.Protect(ScopeRead, http.HandlerFunc(w.serveAxis)))
	page("POST /incidents/{id}/feedback", ScopeFeedback, w.postFeedback)

	page("GET /changes", ScopeRead, w.getChanges)
	page("GET /changes/{id...}", ScopeRead, w.getChange)
	page("POST /changes", ScopeWriteChanges, w.postChange)

	page("GET /services", ScopeRead, w.getServices)
	page("GET /services/{name...}", ScopeRead, w.getService)
	page("GET /sources", ScopeRead, w.getSources)
	page("GET /sources/quarantine", ScopeAdmin, w.getQuarantine)
	page("POST /sources/quarantine/{id}/retry", ScopeAdmin, w.postRetry)
	page("GET /deliveries", ScopeRead, w.getDeliveries)
	page("POST /deliveries/{id}/resend", ScopeAdmin, w.postResend)
	page("GET /accuracy", ScopeRead, w.getAccuracy)
	page("GET /config", ScopeAdmin, w.getConfig)

	mux.Handle("GET /assets/", w.opts.Protect(ScopeOpen, w.assets))
	page("/", ScopeOpen, w.getNothing)
	return mux
}

// getNothing answers what no route matches.
func (w *Web) getNothing(*http.Request) (page, error) {
	return page{}, fail(http.StatusNotFound, "There is no page at this address.", nil)
}

// all reads the pages of a list until its end, or until most of them are read; more says that there were more.
func all[T any](ctx context.Context, most int, read func(ctx context.Context, after string) ([]T, string, error)) (out []T, more bool, err error) {
	after := ""
	for {
		items, next, err := read(ctx, after)
		if err != nil {
			return nil, false, err
		}
		out = append(out, items...)
		if len(out) > most {
			return out[:most], true, nil
		}
		if next == "" {
			return out, false, nil
		}
		after = next
	}
}
