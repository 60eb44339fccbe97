package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage/say"
)

//go:embed assets templates
var files embed.FS

// asset is one embedded file, compressed once.
type asset struct {
	body, gzipped []byte
	contentType   string
	etag          string
}

// assets are the embedded files by their address. The address holds a hash of the content, so a browser may keep it for
// ever and a new build is never served from an old cache.
type assets struct {
	byPath map[string]asset
	urls   map[string]string // name → address
}

// loadAssets reads, hashes and compresses the embedded files.
func loadAssets() (*assets, error) {
	a := &assets{byPath: make(map[string]asset), urls: make(map[string]string)}
	err := fs.WalkDir(files, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:6])
		short := strings.TrimPrefix(name, "assets/")
		ext := path.Ext(short)
		url := "/assets/" + strings.TrimSuffix(short, ext) + "." + hash + ext
		var zipped bytes.Buffer
		z, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := z.Write(body); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		contentType := mime.TypeByExtension(ext)
		switch ext {
		case ".svg":
			contentType = "image/svg+xml"
		case ".LICENSE":
			contentType = "text/plain; charset=utf-8"
		}
		a.byPath[url] = asset{body: body, gzipped: zipped.Bytes(), contentType: contentType, etag: `"` + hash + `"`}
		a.urls[short] = url
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read embedded assets: %w", err)
	}
	return a, nil
}

// ServeHTTP serves an asset at its hashed address.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := a.byPath[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	secure(h)
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Etag", f.etag)
	h.Set("Vary", "Accept-Encoding")
	body := f.body
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.gzipped
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// loadPages parses each page's template together with the layout and the shared parts.
func loadPages(a *assets) (map[string]*template.Template, error) {
	funcs := template.FuncMap{
		"asset": func(name string) (string, error) {
			url, ok := a.urls[name]
			if !ok {
				return "", fmt.Errorf("there is no asset %q", name)
			}
			return url, nil
		},
		"time":    timeTag,
		"near":    near,
		"say":     timed,
		"trouble": say.Trouble,
		"undone":  say.Undone,
		"span":    say.Span,
		"percent": say.Percent,
		"number":  say.Number,
		"plural":  say.Plural,
		"words":   func(s any) string { return say.Enum(fmt.Sprint(s)) },
		"clean":   say.Clean,
		"url":     say.URL,
		"dict":    dict,
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	shared := []string{"templates/layout.html", "templates/parts.html"}
	pages := make(map[string]*template.Template)
	for _, name := range names {
		if name == shared[0] || name == shared[1] {
			continue
		}
		t, err := template.New(path.Base(name)).Funcs(funcs).ParseFS(files, append(shared, name)...)
		if err != nil {
			return nil, fmt.Errorf("parse embedded templates: %w", err)
		}
		pages[path.Base(name)] = t
	}
	return pages, nil
}

// dict makes a map of keys and values, to hand several things to a part.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict: a key without a value")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		k, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: key %v is no string", pairs[i])
		}
		m[k] = pairs[i+1]
	}
	return m, nil
}
