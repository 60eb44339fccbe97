package prometheus

import (
	"errors"
	"net/http"
	"net/http/httptest"
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
