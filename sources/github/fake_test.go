package github

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fakeGitHub is a GitHub that keeps its rules: a token or 401, ETags and free 304s, pages with Link headers, an hourly quota, a
// secondary limit, and whatever trouble a test asks for. It serves as a handler and, without a network, as a RoundTripper.
type fakeGitHub struct {
	mu        sync.Mutex
	now       func() time.Time
	token     string // "": any
	limit     int
	used      int // requests that counted
	resetAt   time.Time
	expiry    string // token expiration header
	pollEvery string
	page      int // elements per page, at most what is asked for

	bodies  map[string]any   // path → answer; a slice is paged
	trouble map[string]fault // path → what goes wrong instead; "*": everywhere
	log     []string         // "GET path status"
}

// fault is one kind of trouble. left counts down to its end; -1 lasts.
type fault struct {
	left    int
	status  int
	header  http.Header
	body    string
	hang    bool
	network bool
}

func newFake(now func() time.Time) *fakeGitHub {
	return &fakeGitHub{now: now, token: "t0ken", limit: 5000, page: perPage, bodies: map[string]any{}, trouble: map[string]fault{}}
}

// set answers a path (without /api/v3/ and query) with v. Setting it again is how the world changes.
func (f *fakeGitHub) set(path string, v any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bodies[path] = v
}

func (f *fakeGitHub) fail(path string, x fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x.left == 0 {
		x.left = -1
	}
	f.trouble[path] = x
}

func (f *fakeGitHub) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trouble = map[string]fault{}
}

// requests returns what was asked since the last call, and forgets it.
func (f *fakeGitHub) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.log
	f.log = nil
	return out
}

func (f *fakeGitHub) charged() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used
}

// fault takes the trouble that is due for a path.
func (f *fakeGitHub) fault(path string) (fault, bool) {
	for _, key := range []string{path, "*"} {
		x, ok := f.trouble[key]
		if !ok || x.left == 0 {
			continue
		}
		if x.left > 0 {
			x.left--
			f.trouble[key] = x
		}
		return x, true
	}
	return fault{}, false
}

// apiPath is the path below the API's root, on github.com and on an Enterprise Server.
func apiPath(req *http.Request) string {
	return strings.TrimPrefix(strings.TrimPrefix(req.URL.Path, "/api/v3"), "/")
}

// RoundTrip implements http.RoundTripper without a network.
func (f *fakeGitHub) RoundTrip(req *http.Request) (*http.Response, error) {
	path := apiPath(req)
	f.mu.Lock()
	x, bad := f.fault(path)
	f.mu.Unlock()
	switch {
	case bad && x.hang:
		<-req.Context().Done()
		return nil, req.Context().Err()
	case bad && x.network:
		return nil, io.ErrUnexpectedEOF
	}
	rec := httptest.NewRecorder()
	if bad {
		f.answerFault(rec, path, x)
	} else {
		f.ServeHTTP(rec, req)
	}
	resp := rec.Result()
	resp.Request = req
	return resp, nil
}

func (f *fakeGitHub) answerFault(w http.ResponseWriter, path string, x fault) {
	f.mu.Lock()
	f.log = append(f.log, fmt.Sprintf("%s %d", path, x.status))
	f.mu.Unlock()
	for k, v := range x.header {
		w.Header()[http.CanonicalHeaderKey(k)] = v
	}
	w.WriteHeader(x.status)
	_, _ = io.WriteString(w, x.body)
}

// ServeHTTP implements http.Handler.
func (f *fakeGitHub) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	path := apiPath(req)
	f.mu.Lock()
	defer f.mu.Unlock()
	status := f.serve(w, req, path)
	f.log = append(f.log, fmt.Sprintf("%s %d", path, status))
}

func (f *fakeGitHub) serve(w http.ResponseWriter, req *http.Request, path string) int {
	h := w.Header()
	refuse := func(status int, message, doc string) int {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": message, "documentation_url": doc})
		return status
	}
	if f.token != "" && req.Header.Get("Authorization") != "Bearer "+f.token {
		return refuse(401, "Bad credentials", "")
	}
	if f.expiry != "" {
		h.Set("GitHub-Authentication-Token-Expiration", f.expiry)
	}
	if f.pollEvery != "" {
		h.Set("X-Poll-Interval", f.pollEvery)
	}
	now := f.now()
	if !now.Before(f.resetAt) {
		f.resetAt, f.used = now.Truncate(time.Hour).Add(time.Hour), 0
	}
	quota := func() {
		h.Set("X-RateLimit-Limit", strconv.Itoa(f.limit))
		h.Set("X-RateLimit-Remaining", strconv.Itoa(max(f.limit-f.used, 0)))
		h.Set("X-RateLimit-Reset", strconv.FormatInt(f.resetAt.Unix(), 10))
		h.Set("X-RateLimit-Resource", "core")
	}
	if f.used >= f.limit {
		quota()
		return refuse(403, "API rate limit exceeded", "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api")
	}
	v, ok := f.bodies[path]
	if !ok {
		f.used++
		quota()
		return refuse(404, "Not Found", "")
	}
	body, next := f.render(v, req)
	if next > 0 {
		u := *req.URL
		q := u.Query()
		q.Set("page", strconv.Itoa(next))
		u.RawQuery = q.Encode()
		h.Set("Link", fmt.Sprintf(`<https://github.invalid%s>; rel="next"`, u.RequestURI()))
	}
	sum := sha256.Sum256(body)
	etag := `W/"` + hex.EncodeToString(sum[:8]) + `"`
	h.Set("ETag", etag)
	h.Set("Cache-Control", "private, max-age=60, s-maxage=60")
	h.Set("Vary", "Accept, Authorization, Cookie, X-GitHub-OTP")
	if req.Header.Get("If-None-Match") == etag {
		quota()
		w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified
	}
	f.used++
	quota()
	h.Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(body)
	return http.StatusOK
}

// render gives one page of a list, or the whole of anything else.
func (f *fakeGitHub) render(v any, req *http.Request) (body []byte, next int) {
	if raw, ok := v.(json.RawMessage); ok {
		return raw, 0
	}
	key := ""
	if m, ok := v.(map[string][]any); ok {
		for k, list := range m {
			key, v = k, list
		}
	}
	if list, ok := v.([]any); ok {
		size := min(f.page, atoi(req.URL.Query().Get("per_page"), 30))
		page := atoi(req.URL.Query().Get("page"), 1)
		from := min((page-1)*size, len(list))
		to := min(from+size, len(list))
		if to < len(list) {
			next = page + 1
		}
		v = list[from:to]
		if key != "" {
			v = map[string]any{"total_count": len(list), key: list[from:to]}
		}
	}
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(v)
	return b.Bytes(), next
}

func atoi(s string, fallback int) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	return fallback
}

// The little of GitHub's objects that is read.

type object = map[string]any

func fakeDeployment(id int64, sha, env string, created time.Time, more object) object {
	o := object{
		"id": id, "sha": sha, "ref": "main", "task": "deploy", "environment": env, "payload": object{}, "description": "",
		"created_at": created.UTC().Format(time.RFC3339), "updated_at": created.UTC().Format(time.RFC3339),
		"creator": object{"login": "deploy-robot", "html_url": "https://github.com/deploy-robot"},
	}
	maps.Copy(o, more)
	return o
}

func fakeStatus(id int64, state string, at time.Time) object {
	return object{"id": id, "state": state, "created_at": at.UTC().Format(time.RFC3339), "updated_at": at.UTC().Format(time.RFC3339), "log_url": ""}
}

func fakeCompare(status string, messages []string, files ...object) object {
	var commits []any
	for i, m := range messages {
		commits = append(commits, object{"sha": fmt.Sprintf("%040d", i+1), "commit": object{
			"message": m, "committer": object{"name": "GitHub", "date": "2026-03-01T02:59:00Z"},
		}})
	}
	fs := make([]any, 0, len(files))
	for _, f := range files {
		fs = append(fs, f)
	}
	return object{"status": status, "ahead_by": len(messages), "total_commits": len(messages), "commits": commits, "files": fs}
}

func fakeFile(name string, added, deleted int) object {
	return object{"filename": name, "additions": added, "deletions": deleted, "status": "modified"}
}

// newest orders deployments as GitHub does.
func newest(ds ...object) []any {
	sort.SliceStable(ds, func(i, j int) bool { return ds[i]["id"].(int64) > ds[j]["id"].(int64) })
	out := make([]any, len(ds))
	for i, d := range ds {
		out[i] = d
	}
	return out
}

func sha(c string) string { return strings.Repeat(c, 40)[:40] }

// withToken authenticates like the transport that http_config describes.
type withToken struct {
	token string
	next  http.RoundTripper
}

func (w withToken) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+w.token)
	return w.next.RoundTrip(req)
}

// memory is a State that survives the Source.
type memory struct {
	mu   sync.Mutex
	m    map[string][]byte
	err  error
	sets int
}

func newMemory() *memory { return &memory{m: map[string][]byte{}} }
