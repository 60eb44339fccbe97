package github

import (
	"io"
	"log/slog"
	"regexp"
)

func mustRegexp(s string) *regexp.Regexp { return regexp.MustCompile(s) }

func testLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
