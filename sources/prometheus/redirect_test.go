package prometheus

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/common/config"
)

// Neither the tenant nor the query follows a redirect to another host.
func TestRedirectsToOtherHostsAreNotFollowed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the other host was asked, with tenant %q", r.Header.Get("X-Scope-OrgID"))
	}))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/here" {
			return
		}
		if r.URL.Path == "/same" {
			http.Redirect(w, r, "/here", http.StatusFound)
			return
		}
		http.Redirect(w, r, other.URL, http.StatusFound)
	}))
	defer server.Close()
	rt, err := newTransport(Config{Name: "p", Tenant: "bank", MaxResponseBytes: 1 << 20, HTTPConfig: config.DefaultHTTPClientConfig}, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: rt}
	if _, err := client.Get(server.URL + "/away"); !errors.Is(err, errOtherHost) {
		t.Errorf("want the redirect refused, got %v", err)
	}
	resp, err := client.Get(server.URL + "/same")
	if err != nil {
		t.Fatalf("a redirect within the host: %v", err)
	}
	_ = resp.Body.Close()
}

// Very many small series fit into few bytes and take twenty times as many when they are decoded; as many as a large installation has
// are read.
func TestAnswersOfVeryManySeries(t *testing.T) {
	for n, want := range map[int]Reason{30_000: "", 300_000: ReasonTooLarge} {
		series := strings.Repeat(`{"metric":{"a":"1"},"values":[[1,"1"]]},`, n-1) + `{"metric":{},"values":[[1,"1"]]}`
		c := clientOver(t, func(*http.Request) (*http.Response, error) {
			return respond(200, `{"status":"success","data":{"resultType":"matrix","result":[`+series+`]}}`), nil
		}, func(c *Config) { c.MaxResponseBytes = 16 << 20 })
		m, err := c.matrix(t.Context(), "up", someGrid())
		if (err == nil) != (want == "") || err != nil && reasonOf(err) != want {
			t.Errorf("%d series: want %q, got %v", n, want, err)
		}
		if err == nil && len(m) != c.cfg.MaxSeries {
			t.Errorf("%d series: %d are kept", n, len(m))
		}
	}
}
