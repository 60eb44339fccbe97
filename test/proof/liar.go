package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// liar is a Prometheus that answers in the right form. What it says is up to its lie.
type liar struct{ lie atomic.Value }

// lies are what a peer can say instead of the truth, all of them well-formed JSON or nearly so.
var lies = []string{"NaN", "giant", "time jumps", "negative", "empty", "html", "endless"}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	lie, _ := l.lie.Load().(string)
	w.Header().Set("Content-Type", "application/json")
	now := time.Now().Unix()
	switch lie {
	case "html":
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><script>alert(1)</script></html>")
		return
	case "endless":
		for i := 0; r.Context().Err() == nil && i < 1<<12; i++ {
			if _, err := io.WriteString(w, strings.Repeat(" ", 64<<10)); err != nil {
				return
			}
		}
		return
	}
	if strings.HasSuffix(r.URL.Path, "/rules") {
		fmt.Fprint(w, `{"status":"success","data":{"groups":[]}}`)
		return
	}
	if strings.Contains(r.URL.Path, "/label") || strings.HasSuffix(r.URL.Path, "/series") || strings.HasSuffix(r.URL.Path, "/metadata") {
		fmt.Fprint(w, `{"status":"success","data":[]}`)
		return
	}
	kind := "vector"
	if strings.HasSuffix(r.URL.Path, "query_range") {
		kind = "matrix"
	}
	fmt.Fprintf(w, `{"status":"success","data":{"resultType":%q,"result":[`, kind)
	series := 1
	if lie == "giant" {
		series = 20_000
	}
	if lie == "empty" {
		series = 0
	}
	for s := range series {
		if s > 0 {
			fmt.Fprint(w, ",")
		}
		fmt.Fprintf(w, `{"metric":{"service":"service-%04d","instance":"%d"},`, s%50, s)
		if kind == "vector" {
			fmt.Fprintf(w, `"value":[%d,%q]}`, now, sample(lie, 0))
			continue
		}
		fmt.Fprint(w, `"values":[`)
		for i := range 60 {
			if i > 0 {
				fmt.Fprint(w, ",")
			}
			at := now - int64(60-i)*60
			if lie == "time jumps" {
				at = now + int64(i%7-3)*1e6*int64(i)
			}
			fmt.Fprintf(w, `[%d,%q]`, at, sample(lie, i))
		}
		fmt.Fprint(w, "]}")
	}
	fmt.Fprint(w, "]}}")
}

func sample(lie string, i int) string {
	switch {
	case lie == "NaN":
		return []string{"NaN", "+Inf", "-Inf", "1e308"}[i%4]
	case lie == "negative":
		return fmt.Sprint(-i * 1e6)
	case i > 55:
		return "0.5"
	}
	return "0.01"
}
