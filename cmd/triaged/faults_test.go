package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// lies are the ways in which an HTTP peer fails its caller.
var lies = map[string]func(http.ResponseWriter, *http.Request){
	"hanging": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	"429": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	},
	"500": func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<html>oops", http.StatusInternalServerError)
	},
	"ok false": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"ok":false,"error":"internal_error"}`)
	},
	"wrong types": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"ok":"certainly","ts":17,"channel":[],"incidents":"none","notes":4,"note":[]}`)
	},
	"login page": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `<html><body>Please log in</body></html>`)
	},
	"cut off": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"ok":tr`)
	},
}

// reportLimit is how soon a report must be there when no metrics are configured, on a machine that runs other tests.
const reportLimit = 5 * time.Second

// A source that is down, hangs or lies must not hold up the report, and Coverage must not call it ok.
func TestReportWhileSourcesFail(t *testing.T) {
	t.Parallel()
	garbage := func(answer string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				if answer != "" {
					_, _ = io.WriteString(c, answer)
				}
				t.Cleanup(func() { c.Close() })
			}
		}()
		return l.Addr().String()
	}
	cases := map[string]string{
		"kafka down":    fmt.Sprintf("kafka: [{name: it, brokers: [%q], topics: [{topic: deploys, format: triaged}]}]", freePort(t)),
		"kafka hanging": fmt.Sprintf("kafka: [{name: it, brokers: [%q], topics: [{topic: deploys, format: triaged}]}]", garbage("")),
		"kafka lying":   fmt.Sprintf("kafka: [{name: it, brokers: [%q], topics: [{topic: deploys, format: triaged}]}]", garbage("HTTP/1.1 400 Bad Request\r\n\r\nthis is no broker")),
		"github down":   fmt.Sprintf("github: [{name: it, token: x, api_url: %q, repositories: [{name: acme/cart}]}]", "http://"+freePort(t)),
	}
	for name, lie := range lies {
		if name == "ok false" {
			continue // Slack's own
		}
		s := httptest.NewServer(http.HandlerFunc(lie))
		t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
		cases["github "+name] = fmt.Sprintf("github: [{name: it, token: x, api_url: %q, repositories: [{name: acme/cart}]}]", s.URL)
	}
	for name, source := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startDaemon(t, "sources: {"+source+"}\nincidents: {second_looks: []}\nhooks: [{name: ci, type: argocd, secret: x}]\n")
			now := time.Now().UTC()
			d.post(t, "/api/v1/changes", triage.Change{ID: "x:1", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "checkout"}, StartedAt: now.Add(-3 * time.Minute), Version: "v2"})
			asked := time.Now()
			d.post(t, "/api/v1/alerts", alertBody("CheckoutErrorRatioHigh", "checkout", now))
			_, rep := firstReport(t, d.asker, 15*time.Second)
			if took := time.Since(asked); took > reportLimit {
				t.Errorf("the report took %s; want it within %s", took, reportLimit)
			}
			states := make(map[string]triage.SourceState)
			for _, c := range rep.Coverage {
				states[c.Source] = c.State
			}
			if s, there := states["it"]; !there || s == triage.SourceOK {
				t.Errorf("coverage says %q of the source that fails", s)
			}
			if states["push"] != triage.SourceOK || states["ci"] != triage.SourceOK {
				t.Errorf("coverage of those that work: %v", states)
			}
			if l := rep.Leader(); l == nil || l.ID() != "x:1" {
				t.Errorf("what the other sources told must still be ranked, got %+v", rep.Suspects)
			}
		})
	}
}

// Slack and PagerDuty that are down, hang or lie: the report is there on time all the same, and when they are well again it is
// posted, once.
func TestPostArrivesOnceWhenPeersReturn(t *testing.T) {
	t.Parallel()
	for _, peer := range []string{"slack", "pagerduty"} {
		for _, fault := range []string{"down", "hanging", "429", "500", "ok false", "wrong types", "login page", "cut off"} {
			if peer == "pagerduty" && fault == "ok false" {
				continue
			}
			t.Run(peer+" "+fault, func(t *testing.T) {
				t.Parallel()
				postOnceAfter(t, peer, fault)
			})
		}
	}
}

func postOnceAfter(t *testing.T, peer, fault string) {
	var well atomic.Bool
	lie := func(w http.ResponseWriter, r *http.Request) bool {
		if well.Load() || lies[fault] == nil {
			return false
		}
		lies[fault](w, r)
		return true
	}
	slack := &slackServer{t: t, lie: lie}
	pager := newPagerDuty(t)
	pager.lie = lie
	var handler http.Handler = slack
	receiver := "slack_configs: [{token: xoxb-test, channel: C0123456789, api_url: http://%s/}]"
	if peer == "pagerduty" {
		handler = pager
		receiver = "pagerduty_configs: [{token: pd-test, from: triaged@example.com, api_url: http://%s}]"
	}
	address := freePort(t)
	open := func() {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second}
		go func() { _ = s.Serve(l) }()
		t.Cleanup(func() { s.Close() })
	}
	if fault != "down" {
		open()
	}
	d := startDaemon(t, fmt.Sprintf(`
incidents: {second_looks: [], delivery: {timeout: 1s, backoff_min: 100ms, backoff_max: 300ms}}
route: {receiver: oncall, mode: live}
receivers: [{name: oncall, `+receiver+`}]
`, address))
	body := alertBody("CheckoutErrorRatioHigh", "checkout", time.Now().UTC())
	key := sha256.Sum256([]byte(body["groupKey"].(string)))
	pager.page(hex.EncodeToString(key[:]))
	asked := time.Now()
	d.post(t, "/api/v1/alerts", body)
	firstReport(t, d.asker, 15*time.Second)
	if took := time.Since(asked); took > reportLimit {
		t.Errorf("the report took %s; want it within %s", took, reportLimit)
	}
	delivery := func() (triage.Delivery, error) {
		var page struct{ Items []triage.Delivery }
		if err := d.get("/api/v1/deliveries", &page); err != nil {
			return triage.Delivery{}, err
		}
		if len(page.Items) != 1 {
			return triage.Delivery{}, fmt.Errorf("%d deliveries", len(page.Items))
		}
		return page.Items[0], nil
	}
	eventually(t, 15*time.Second, "the delivery was tried and not given up", func() error {
		del, err := delivery()
		if err == nil && (del.Attempts < 2 || del.State != triage.DeliveryPending) {
			err = fmt.Errorf("%+v", del)
		}
		if strings.Contains(del.LastError, "xoxb-test") || strings.Contains(del.LastError, "pd-test") || strings.Contains(del.LastError, address) {
			t.Errorf("the error gives something away: %s", del.LastError)
		}
		return err
	})
	well.Store(true)
	if fault == "down" {
		open()
	}
	eventually(t, 20*time.Second, "delivered", func() error {
		del, err := delivery()
		if err == nil && del.State != triage.DeliveryDelivered {
			err = fmt.Errorf("%+v", del)
		}
		return err
	})
	roots, _ := slack.visible()
	posts := len(roots)
	for _, notes := range pager.written() {
		posts += len(notes)
	}
	if posts != 1 {
		t.Errorf("want one post, got %d after %v %v", posts, slack.called(), pager.requests)
	}
}
