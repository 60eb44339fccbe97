package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/triaged-dev/triaged/alerting"
)

// shadowCards shows on the console what a shadow route kept back, with a line above it that says so.
func shadowCards(out io.Writer) func(alerting.Whisper) {
	if out == nil {
		return nil
	}
	var one sync.Mutex // one card at a time
	return func(w alerting.Whisper) {
		one.Lock()
		defer one.Unlock()
		// A console that is gone takes no card; the page and the outbox have it.
		_, _ = fmt.Fprintf(out, "\nSHADOW MODE: would have posted to %s (route.mode: live posts it)\n%s\n", strings.Join(w.Receivers, ", "), w.Card.Text())
	}
}
