package github

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triaged-dev/triaged/triage"
)

// TestLimits: however GitHub says "wait", nothing is sent until the time it named, Status says until when, and afterwards what
// happened meanwhile is read.
func TestLimits(t *testing.T) {
	start := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	hdr := func(kv ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(kv); i += 2 {
			h.Set(kv[i], kv[i+1])
		}
		return h
	}
	reset := strconv.FormatInt(start.Add(20*time.Minute).Unix(), 10)
	for name, x := range map[string]struct {
		fault fault
		wait  time.Duration
		kind  string
	}{
		"primary": {
			fault{status: 403, header: hdr("X-RateLimit-Limit", "5000", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset), body: `{"message":"API rate limit exceeded"}`},
			20*time.Minute + time.Second, "primary",
		},
		"primary as 429":    {fault{status: 429, header: hdr("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset)}, 20*time.Minute + time.Second, "primary"},
		"secondary":         {fault{status: 403, header: hdr("Retry-After", "90"), body: `{"message":"You have exceeded a secondary rate limit"}`}, 90 * time.Second, "secondary"},
		"secondary no time": {fault{status: 403, body: `{"message":"You have exceeded a secondary rate limit. Please wait."}`}, time.Minute, "secondary"},
		"abuse of old":      {fault{status: 403, body: `{"message":"x","documentation_url":"https://developer.github.com/v3/#abuse-rate-limits"}`}, time.Minute, "secondary"},
		"429 seconds":       {fault{status: 429, header: hdr("Retry-After", "45"), body: "slow down"}, 45 * time.Second, "secondary"},
		"429 date":          {fault{status: 429, header: hdr("Retry-After", start.Add(2*time.Minute).Format(http.TimeFormat))}, 2 * time.Minute, "secondary"},
		"429 bare":          {fault{status: 429}, time.Minute, "secondary"},
		"429 absurd":        {fault{status: 429, header: hdr("Retry-After", "99999999")}, time.Hour, "secondary"},
		"429 nonsense":      {fault{status: 429, header: hdr("Retry-After", "soon")}, time.Minute, "secondary"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.hub.set(deploys, newest(fakeDeployment(1, sha("a"), "production", g.at, nil)))
			g.hub.set(deploys+"/1/statuses", []any{})
			x.fault.left = 1
			g.hub.fail(deploys, x.fault)
			g.expect("limited", 0, "")
			st := g.s.Status()
			want := x.kind + " rate limit until " + start.Add(x.wait).Format(time.RFC3339)
			if st.State != triage.SourceRateLimited || !strings.Contains(st.Detail, want) {
				t.Errorf("want rate_limited %q, got %s %q", want, st.State, st.Detail)
			}
			if d := g.s.untilNext(); d != x.wait && x.wait > DefaultPollInterval {
				t.Errorf("want the loop to sleep %s, got %s", x.wait, d)
			}
			g.hub.requests()
			g.s.poke(g.s.repos[0])
			g.expect("a webhook does not break the pause", x.wait-time.Second, "")
			if n := len(g.hub.requests()); n != 0 {
				t.Errorf("%d requests were sent during the pause", n)
			}
			g.hub.heal()
			g.expect("after it", time.Hour, "deployment/1 deploy started")
			if st := g.s.Status(); st.State != triage.SourceOK {
				t.Errorf("want ok again, got %+v", st)
			}
		})
	}
}

func TestSecondaryWaitsGrow(t *testing.T) {
	l := newLimits()
	now := time.Unix(1_000_000, 0)
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		got := l.refuse(429, http.Header{}, nil, now)
		if d := got.Until.Sub(now); d != want {
			t.Errorf("refusal %d: want a pause of %s, got %s", i, want, d)
		}
		now = got.Until
	}
	l.passed()
	if got := l.refuse(429, http.Header{}, nil, now); got.Until.Sub(now) != time.Minute {
		t.Errorf("after an answer: want a minute again, got %s", got.Until.Sub(now))
	}
}

// The quota is used up by others with the same token: polling must resume by itself in the next hour.
func TestQuotaOfTheHour(t *testing.T) {
	g := newRig(t)
	g.hub.limit = 3
	g.hub.set(deploys, newest(fakeDeployment(1, sha("a"), "production", g.at, nil)))
	g.hub.set(deploys+"/1/statuses", []any{})
	g.hub.set("repos/lumen-shop/checkout/commits/"+sha("a")+"/pulls", []any{})
	g.expect("first", 0, "deployment/1 deploy started")
	if left := testutil.ToFloat64(g.s.metrics.remaining.WithLabelValues("github")); left > 1 {
		t.Errorf("want at most 1 request left in the metric, got %v", left)
	}
	for i := range 5 {
		g.hub.set(deploys+"/1/statuses", []any{fakeStatus(int64(i), "pending", g.at)}) // every poll now costs
		g.poll(time.Minute)
	}
	if st := g.s.Status(); st.State != triage.SourceRateLimited {
		t.Errorf("want rate_limited, got %+v", st)
	}
	g.hub.set(deploys+"/1/statuses", []any{fakeStatus(9, "success", g.at)})
	g.hub.limit = 5000
	g.expect("next hour", time.Hour, "deployment/1 deploy succeeded")
}

// A renamed repository answers by redirect, which is followed with the token, and 304s go on being free.
func TestRenamedRepository(t *testing.T) {
	g := newRig(t)
	g.hub.fail(deploys, fault{status: 301, header: http.Header{"Location": {"https://api.github.com/repositories/7/deployments?per_page=100"}}})
	g.hub.set("repositories/7/deployments", newest(fakeDeployment(1, sha("a"), "production", g.at, nil)))
	g.hub.set(deploys+"/1/statuses", []any{})
	g.expect("renamed", 0, "deployment/1 deploy started")
	before := g.hub.charged()
	g.expect("again", time.Minute, "")
	if after := g.hub.charged(); after != before+1 { // the pull requests of the first deployment are not there
		t.Errorf("want free polls, got %d charged: %v", after-before, g.hub.requests())
	}
}

// The last request of the hour announces the pause; the next one is not even tried.
func TestLastRequestStartsThePause(t *testing.T) {
	g := newRig(t)
	g.hub.limit = 1
	g.hub.set(deploys, []any{})
	g.poll(0)
	if st := g.s.Status(); st.State != triage.SourceRateLimited {
		t.Errorf("want rate_limited until the reset, got %+v", st)
	}
	g.hub.requests()
	g.poll(time.Minute)
	if n := len(g.hub.requests()); n != 0 {
		t.Errorf("want no request, got %d", n)
	}
	g.hub.limit = 5000
	g.poll(time.Hour)
	if st := g.s.Status(); st.State != triage.SourceOK {
		t.Errorf("want ok in the next hour, got %+v", st)
	}
}

// With little of the quota left, enrichment is what is saved on, not the deployments.
func TestScarceQuotaSkipsEnrichment(t *testing.T) {
	g := newRig(t)
	g.hub.limit, g.hub.used, g.hub.resetAt = 1000, 950, g.at.Add(time.Hour)
	g.hub.set(deploys, newest(fakeDeployment(1, sha("a"), "production", g.at, nil)))
	g.hub.set(deploys+"/1/statuses", []any{fakeStatus(1, "success", g.at)})
	g.expect("thin", 0, "deployment/1 deploy succeeded")
	for _, q := range g.hub.requests() {
		if strings.Contains(q, "/pulls") || strings.Contains(q, "/compare/") {
			t.Errorf("enriched with 5 %% of the quota left: %s", q)
		}
	}
}

func TestPollIntervalOfTheServer(t *testing.T) {
	g := newRig(t)
	g.hub.pollEvery = "300"
	g.hub.set(deploys, []any{})
	g.poll(0)
	if d := g.s.untilNext(); d != 5*time.Minute {
		t.Errorf("want the server's 5m, got %s", d)
	}
}

func TestTrouble(t *testing.T) {
	for name, x := range map[string]struct {
		fault  fault
		state  triage.SourceState
		detail string
	}{
		"wrong token":    {fault{status: 401, body: `{"message":"Bad credentials"}`}, triage.SourceDown, "expired or revoked"},
		"no permission":  {fault{status: 403, body: `{"message":"Resource not accessible by personal access token"}`}, triage.SourceDown, "needs the permission Deployments: read"},
		"not found":      {fault{status: 404, body: `{}`}, triage.SourceDown, "check the repository's name"},
		"server error":   {fault{status: 502, body: "<html>bad gateway</html>"}, triage.SourceDown, "502 Bad Gateway"},
		"network":        {fault{network: true}, triage.SourceDown, "unexpected EOF"},
		"not JSON":       {fault{status: 200, body: "<html>login</html>"}, triage.SourceDown, "decode answer"},
		"object":         {fault{status: 200, body: `{"message":"hello"}`}, triage.SourceDown, "decode answer"},
		"empty":          {fault{status: 200}, triage.SourceDown, "decode answer"},
		"null":           {fault{status: 200, body: "null"}, triage.SourceDown, "decode answer"},
		"other redirect": {fault{status: 302, header: http.Header{"Location": {"https://elsewhere.invalid/steal"}}}, triage.SourceDown, "another host"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			x.fault.left = 1
			g.hub.fail(deploys, x.fault)
			g.expect("in trouble", 0, "")
			st := g.s.Status()
			if st.State != x.state || !strings.Contains(st.Detail, x.detail) {
				t.Errorf("want %s %q, got %s %q", x.state, x.detail, st.State, st.Detail)
			}
			for _, secret := range []string{"t0ken", "https://api.github.com"} {
				if strings.Contains(st.Detail, secret) {
					t.Errorf("the detail gives away %q: %s", secret, st.Detail)
				}
			}
			g.hub.set(deploys, newest(fakeDeployment(1, sha("a"), "production", g.at, nil)))
			g.hub.set(deploys+"/1/statuses", []any{})
			g.expect("healed", time.Hour, "deployment/1 deploy started")
		})
	}
}

// One odd element must not spoil the list, nor come up again with every poll.
func TestOddElementsAreSetAside(t *testing.T) {
	g := newRig(t)
	g.hub.set(deploys, append([]any{
		object{"id": "seven"}, 12, nil, object{"id": 3}, object{"id": 4, "created_at": "yesterday"},
	}, newest(fakeDeployment(1, sha("a"), "production", g.at, nil))...))
	g.hub.set(deploys+"/1/statuses", []any{"what", fakeStatus(1, "success", g.at), object{"state": 3}})
	g.hub.set("repos/lumen-shop/checkout/commits/"+sha("a")+"/pulls", []any{object{"number": "x"}})
	g.expect("the sound one", 0, "deployment/1 deploy succeeded")
	n := len(g.odd)
	if n != 7 {
		t.Errorf("want 5 deployments and 2 statuses set aside, got %d: %v", n, g.odd)
	}
	g.expect("again", time.Minute, "")
	if len(g.odd) != n {
		t.Errorf("set aside again: %d", len(g.odd)-n)
	}
	if st := g.s.Status(); st.Quarantined != uint64(n) || st.State != triage.SourceOK {
		t.Errorf("want ok with %d quarantined, got %+v", n, st)
	}
}

func TestFailingRepositoryIsAskedLessOften(t *testing.T) {
	g := newRig(t, Repository{Name: repoName1}, Repository{Name: "lumen-shop/search"})
	g.hub.set("repos/lumen-shop/search/deployments", []any{})
	var failed, fine int
	for range 240 { // an hour in steps of 15 s
		g.poll(15 * time.Second)
		for _, q := range g.hub.requests() {
			if strings.HasSuffix(q, "404") {
				failed++
			} else {
				fine++
			}
		}
	}
	if failed < 6 || failed > 14 || fine < 100 {
		t.Errorf("want some ten tries of the missing one and 120 of the other, got %d and %d", failed, fine)
	}
	if st := g.s.Status(); st.State != triage.SourceLate || !strings.Contains(st.Detail, "1 of 2 repositories") {
		t.Errorf("want late, 1 of 2; got %+v", st)
	}
}

func TestTokenExpiry(t *testing.T) {
	for _, x := range []struct {
		in   string
		want string
	}{
		{"2026-03-11 03:00:00 UTC", "expires on 2026-03-11, in 9 days"},
		{"2026-03-11 05:00:00 +0200", "expires on 2026-03-11, in 9 days"},
		{"2026-02-27 03:00:00 UTC", "expired on 2026-02-27"},
		{"2026-04-11 03:00:00 UTC", ""},
		{"", ""},
		{"one day", ""},
	} {
		t.Run(x.in, func(t *testing.T) {
			g := newRig(t)
			var logged strings.Builder
			g.s.log = testLogger(&logged)
			g.hub.expiry = x.in
			g.hub.set(deploys, []any{})
			for range 5 {
				g.poll(time.Minute)
			}
			st := g.s.Status()
			if x.want == "" && st.Detail != "" || !strings.Contains(st.Detail, x.want) || st.State != triage.SourceOK {
				t.Errorf("want ok and %q, got %s %q", x.want, st.State, st.Detail)
			}
			if n := strings.Count(logged.String(), "token ends soon"); n > 1 || (n == 1) != (x.want != "") {
				t.Errorf("want one warning if any, got %d", n)
			}
		})
	}
	g := newRig(t)
	g.hub.expiry = "2026-03-11 03:00:00 UTC"
	g.hub.set(deploys, []any{})
	g.poll(0)
	g.poll(time.Minute) // a 304 carries the header too
	if got := testutil.ToFloat64(g.s.metrics.expiry.WithLabelValues("github")); got != float64(time.Date(2026, 3, 11, 3, 0, 0, 0, time.UTC).Unix()) {
		t.Errorf("metric: got %v", got)
	}
}

func TestMetricsAreSharedAndNamed(t *testing.T) {
	g := newRig(t)
	g.hub.set(deploys, []any{})
	g.poll(0)
	second := newMetrics(g.reg) // a second source, or the one after a reload
	second.requests.WithLabelValues("other", "ok").Inc()
	got, err := testutil.GatherAndCount(g.reg, "triaged_github_requests_total", "triaged_github_rate_limit_remaining")
	if err != nil || got != 3 {
		t.Errorf("want two request series and one quota, got %d (%v)", got, err)
	}
	problems, err := testutil.GatherAndLint(g.reg)
	if err != nil || len(problems) > 0 {
		t.Error(fmt.Sprint(problems), err)
	}
}
