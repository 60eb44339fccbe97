package try

import (
	_ "embed"
	"html/template"
	"io"
	"time"
)

//go:embed page.html
var pageText string

// writeHTML writes one page that needs nothing else: no script, no font, no request.
func writeHTML(w io.Writer, r Result) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"mod2":  func(i int) bool { return i%2 == 1 },
		"stamp": func(t time.Time) string { return t.UTC().Format("Mon 2 Jan 15:04") },
		"day":   func(t time.Time) string { return t.UTC().Format("2 January 2006") },
		"title": Page.title,
		"lines": Result.summaryLines,
		"class": func(p Page) string {
			return map[string]string{"🔴": "named", "🟠": "open", "⚪": "none"}[mark(p.Word)]
		},
		"at": func(p Page) float64 { return 100 * p.Start.Sub(r.From).Seconds() / r.To.Sub(r.From).Seconds() },
		"ticks": func() []tick {
			var out []tick
			for d := r.From.Truncate(24 * time.Hour).Add(24 * time.Hour); d.Before(r.To); d = d.Add(24 * time.Hour) {
				out = append(out, tick{100 * d.Sub(r.From).Seconds() / r.To.Sub(r.From).Seconds(), d.Format("2 Jan")})
			}
			return out
		},
	}).Parse(pageText)
	if err != nil {
		return err
	}
	return t.Execute(w, r)
}

type tick struct {
	At   float64
	Name string
}
