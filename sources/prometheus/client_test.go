package prometheus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(code int, body string) *http.Response {
	return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

const emptyMatrix = `{"status":"success","data":{"resultType":"matrix","result":[]}}`

// clientOver is a client whose server is a function.
func clientOver(t *testing.T, rt roundTrip, edit func(*Config)) *client {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Name, cfg.URL, cfg.Cache.MaxBytes = "test", "http://prometheus.example/prefix", 0
	if edit != nil {
		edit(&cfg)
	}
	c, err := newClient(cfg, rt, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

func someGrid() grid {
	to := time.Now().Truncate(time.Minute)
	return newGrid(to.Add(-10*time.Minute), to, 15*time.Second)
}

func reasonOf(err error) Reason {
	if qe, ok := errors.AsType[*QueryError](err); ok {
		return qe.Reason
	}
	return ""
}

func TestWhatGoesOut(t *testing.T) {
	var got *http.Request
	var form map[string][]string
	c := clientOver(t, func(r *http.Request) (*http.Response, error) {
		got = r
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		form = r.Form
		return respond(200, emptyMatrix), nil
	}, func(c *Config) { c.Tenant = "team-a" })
	if _, err := c.matrix(t.Context(), "up", someGrid()); err != nil {
		t.Fatal(err)
	}
	if got.URL.Path != "/prefix/api/v1/query_range" {
		t.Errorf("path %s", got.URL.Path)
	}
	if got.Header.Get("X-Scope-OrgID") != "team-a" {
		t.Errorf("tenant header %q", got.Header.Get("X-Scope-OrgID"))
	}
	for _, k := range []string{"query", "start", "end", "step", "timeout"} {
		if len(form[k]) != 1 {
			t.Errorf("parameter %s: %v", k, form[k])
		}
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	long := strings.Repeat(" ", 2048)
	for _, tt := range []struct {
		name string
		code int
		body string
		want Reason
	}{
		{"server error", 503, "upstream token=hunter2", ReasonServer},
		{"bad gateway in html", 502, "<html>", ReasonServer},
		{"unauthorised", 401, "", ReasonAuth},
		{"too many requests", 429, "", ReasonRateLimited},
		{"not found", 404, "", ReasonRefused},
		{"bad expression", 400, `{"status":"error","errorType":"bad_data","error":"parse error"}`, ReasonRefused},
		{"too many samples", 422, `{"status":"error","errorType":"execution","error":"too many samples"}`, ReasonRefused},
		{"server's own timeout", 503, `{"status":"error","errorType":"timeout","error":"query timed out"}`, ReasonServer},
		{"error with status 200", 200, `{"status":"error","errorType":"timeout","error":"x"}`, ReasonTimeout},
		{"not json", 200, "hello", ReasonBadAnswer},
		{"empty", 200, "", ReasonBadAnswer},
		{"another type", 200, `{"status":"success","data":{"resultType":"vector","result":[]}}`, ReasonBadAnswer},
		{"no type", 200, `{"status":"success","data":{"result":[]}}`, ReasonBadAnswer},
		{"numbers as numbers", 200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,1]]}]}}`, ReasonBadAnswer},
		{"labels as list", 200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":[1],"values":[]}]}}`, ReasonBadAnswer},
		{"giant", 200, `{"status":"success","data":{"resultType":"matrix","result":[` + long + `]}}`, ReasonTooLarge},
		{"cut short", 200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"val`, ReasonBadAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := clientOver(t, func(*http.Request) (*http.Response, error) { return respond(tt.code, tt.body), nil },
				func(c *Config) { c.MaxResponseBytes = 1024 })
			_, err := c.matrix(t.Context(), "up", someGrid())
			if got := reasonOf(err); got != tt.want {
				t.Errorf("want %s, got %s (%v)", tt.want, got, err)
			}
		})
	}
}

// An operator's password, a token in the URL and the URL itself must not be in what we log or show.
func TestErrorsCarryNoCredentials(t *testing.T) {
	for _, code := range []int{0, 401, 500} {
		c := clientOver(t, func(r *http.Request) (*http.Response, error) {
			if code == 0 {
				return nil, fmt.Errorf("dial tcp: lookup failed")
			}
			return respond(code, r.Header.Get("Authorization")), nil
		}, func(c *Config) { c.URL = "http://prometheus.example/token-hunter2" })
		_, err := c.matrix(t.Context(), "up", someGrid())
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "prometheus.example") {
			t.Errorf("code %d: %v", code, err)
		}
	}
}

func TestHangingServerEndsWithTheDeadlineAndOpensTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		c := clientOver(t, func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, func(c *Config) { c.Timeout, c.Breaker.Failures = 10_000_000_000, 3 })
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := c.matrix(ctx, "up", someGrid())
		cancel()
		if reasonOf(err) != ReasonTimeout || time.Since(start) != 5*time.Second {
			t.Fatalf("after %s: %v", time.Since(start), err)
		}
		for i := range 2 {
			_, err := c.matrix(t.Context(), fmt.Sprintf("up%d", i), someGrid())
			if reasonOf(err) != ReasonTimeout {
				t.Fatal(err)
			}
		}
		if c.healthy() {
			t.Fatal("want the breaker open after 3 failures in a row")
		}
		before := asked.Load()
		if _, err := c.matrix(t.Context(), "up9", someGrid()); reasonOf(err) != ReasonBreaker || asked.Load() != before {
			t.Fatalf("an open breaker must not ask: %v", err)
		}
		time.Sleep(31 * time.Second)
		if _, err := c.matrix(t.Context(), "up10", someGrid()); reasonOf(err) != ReasonTimeout || asked.Load() != before+1 {
			t.Fatalf("after the open time one query is tried: %v", err)
		}
		c.close()
	})
}

// A caller with hardly any time left says nothing about the server.
func TestShortDeadlinesDoNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clientOver(t, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, func(c *Config) { c.Breaker.Failures = 2 })
		for i := range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_, err := c.matrix(ctx, fmt.Sprintf("up%d", i), someGrid())
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		}
		if !c.healthy() {
			t.Fatal("want the breaker closed")
		}
		c.close()
	})
}

func TestRefusalsDoNotOpenTheBreaker(t *testing.T) {
	c := clientOver(t, func(*http.Request) (*http.Response, error) {
		return respond(400, `{"status":"error","errorType":"bad_data","error":"no"}`), nil
	}, func(c *Config) { c.Breaker.Failures = 2 })
	for i := range 5 {
		if _, err := c.matrix(t.Context(), fmt.Sprintf("up%d", i), someGrid()); reasonOf(err) != ReasonRefused {
			t.Fatal(err)
		}
	}
	if !c.healthy() {
		t.Fatal("want the breaker closed")
	}
}

func TestAtMostFourInFlightAndBackgroundAtMostHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most, background atomic.Int32
		c := clientOver(t, func(r *http.Request) (*http.Response, error) {
			n := now.Add(1)
			most.Store(max(most.Load(), n))
			time.Sleep(time.Second)
			now.Add(-1)
			return respond(200, emptyMatrix), nil
		}, nil)
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				if _, err := c.inBackground().matrix(t.Context(), fmt.Sprintf("bg%d", i), someGrid()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		background.Store(now.Load())
		for i := range 12 {
			wg.Go(func() {
				if _, err := c.matrix(t.Context(), fmt.Sprintf("fg%d", i), someGrid()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if background.Load() != 2 || most.Load() != 4 {
			t.Errorf("want 2 in background, 4 at most; got %d and %d", background.Load(), most.Load())
		}
		c.close()
	})
}

func TestBudgetPerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		c := clientOver(t, func(*http.Request) (*http.Response, error) {
			asked.Add(1)
			return respond(200, emptyMatrix), nil
		}, func(c *Config) { c.QueriesPerMinute = 60 })
		start := time.Now()
		for i := range 90 {
			if _, err := c.matrix(t.Context(), fmt.Sprintf("up%d", i), someGrid()); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d < 59*time.Second || d > 61*time.Second { // 30 at once, as one triage asks, then one a second
			t.Errorf("90 queries took %s", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := c.matrix(ctx, "more", someGrid()); reasonOf(err) != ReasonBudget {
			t.Errorf("no time to wait for budget: %v", err)
		}
		if asked.Load() != 90 {
			t.Errorf("asked %d times", asked.Load())
		}
		c.close()
	})
}

func TestSameQuestionIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		c := clientOver(t, func(*http.Request) (*http.Response, error) {
			asked.Add(1)
			time.Sleep(time.Second)
			return respond(200, emptyMatrix), nil
		}, nil)
		// The first caller gives up; the others must still get their answer.
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.matrix(ctx, "up", someGrid()); !errors.Is(err, context.Canceled) {
				t.Errorf("want canceled, got %v", err)
			}
		})
		synctest.Wait()
		for range 5 {
			wg.Go(func() {
				if _, err := c.matrix(t.Context(), "up", someGrid()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if asked.Load() != 1 {
			t.Errorf("asked %d times", asked.Load())
		}
		c.close()
	})
}

func TestAnswersAreCached(t *testing.T) {
	var asked atomic.Int32
	c := clientOver(t, func(*http.Request) (*http.Response, error) {
		asked.Add(1)
		return respond(200, emptyMatrix), nil
	}, func(c *Config) { c.Cache.MaxBytes = 1 << 20 })
	g := someGrid()
	for range 3 {
		if _, err := c.matrix(t.Context(), "up", g); err != nil {
			t.Fatal(err)
		}
		c.cache.Wait()
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	if got := testutil.ToFloat64(c.m.cacheHits); got != 2 {
		t.Errorf("cache hits %g", got)
	}
}

func TestMetricsSurviveAReload(t *testing.T) {
	reg := prom.NewPedanticRegistry()
	o := Options{Config: DefaultConfig(), Signals: DefaultSignalsConfig(), Registerer: reg}
	o.Config.Name, o.Config.URL = "a", "http://127.0.0.1:1"
	o.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return respond(200, emptyMatrix), nil })
	for range 2 {
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.client.matrix(t.Context(), "up", someGrid()); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	o.Config.Name = "b"
	if _, err := New(o); err != nil {
		t.Fatal(err)
	}
	want := `
# HELP triaged_prometheus_queries_total Requests to Prometheus by outcome: ok, or why there was no answer.
# TYPE triaged_prometheus_queries_total counter
triaged_prometheus_queries_total{outcome="ok",server="a"} 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "triaged_prometheus_queries_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(reg, "triaged_prometheus_breaker_state"); err != nil || n != 2 {
		t.Errorf("breaker gauges: %d, %v", n, err)
	}
}

// A real Prometheus 2 refuses timeout=4.998s; what is sent must be whole seconds, and never nothing.
func TestTimeoutIsSentInWholeSeconds(t *testing.T) {
	for left, want := range map[time.Duration]string{
		4998702246: "5s", time.Nanosecond: "1s", 0: "1s", 61 * time.Second: "1m1s", 2 * time.Second: "2s",
	} {
		if got := wholeSeconds(left).String(); got != want {
			t.Errorf("%d: want %s, got %s", left, want, got)
		}
	}
}
