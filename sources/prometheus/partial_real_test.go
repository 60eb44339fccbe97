package prometheus

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// One expensive query that hangs takes nothing else with it: what the others brought comes at the deadline, with the error that
// says it is not all.
func TestHalfAnAnswerComesAtTheDeadline(t *testing.T) {
	needPeer(t, "prometheus")
	now := time.Now()
	rec, _ := shop(now)
	base := startPrometheus(t, rec, shopConf, map[string]string{"rules.yml": shopRules})
	set := NewSet([]*Source{newSource(t, base, shopDirectory, func(o *Options) {
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Body != nil {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					return nil, err
				}
				if form, _ := url.ParseQuery(string(body)); strings.Contains(form.Get("query"), "histogram_quantile") {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			return http.DefaultTransport.RoundTrip(r)
		})
	})})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	got, err := set.Signals(ctx, triage.SignalQuery{Services: []string{"checkout", "cart"}, From: now.Add(-time.Hour), To: now})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("want the error that something is missing, got %v", err)
	}
	have := make(map[string]bool)
	for _, sr := range got {
		have[sr.Labels["service"]+" "+string(sr.Signal)] = true
	}
	for _, want := range []string{"checkout errors", "checkout traffic", "cart errors"} {
		if !have[want] {
			t.Errorf("want %s all the same, got %v", want, have)
		}
	}
	if have["checkout latency"] {
		t.Error("the hanging query cannot have an answer")
	}
}
