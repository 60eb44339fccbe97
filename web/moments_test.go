package web_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

func cutSuffix(s, suffix string) (string, bool) { return strings.CutSuffix(s, suffix) }

// addChanges adds a change of uncertain start, one that is going on and one that began during the incident.
func addChanges(s *store) {
	at := s.incidents[0].Alerts[0].StartsAt
	s.changes = append(
		s.changes,
		triage.Change{
			ID: "argocd:cart/77", Source: "deploys", Kind: triage.KindDeploy, Status: triage.StatusSucceeded, Scope: triage.Scope{Service: "cart", Environment: "production"},
			FinishedAt: at.Add(-15 * time.Minute), ObservedAt: at.Add(-15 * time.Minute), Version: "v88", PreviousVersion: "v87", Title: "Roll out cart v88",
		},
		triage.Change{
			ID: "hpa:checkout/12", Source: "deploys", Kind: triage.KindScale, Status: triage.StatusStarted, Scope: triage.Scope{Service: "checkout", Environment: "production"},
			StartedAt: at.Add(time.Minute), ObservedAt: at.Add(time.Minute), Title: "checkout replicas 6 → 9", Labels: map[string]string{"from": "6", "to": "9"},
		},
	)
	s.sort()
}

// rich is a store with all recorded incidents and some of everything else.
func rich(t testing.TB) *store {
	s := newStore(t, "flag", "pair", "vendor", "migration", "recovered")
	s.incidents[4].ID += "-r" // recorded later, of the same demo
	s.incidents[4].OpenedAt = s.incidents[4].OpenedAt.Add(-26 * time.Hour)
	for old, to := s.incidents[0].ID, s.incidents[4].ID; old != ""; old = "" {
		f := load(t, "recovered")
		s.reports[to] = f.Reports
		for n, c := range f.Cases {
			s.cases[to+"/"+n] = c
		}
		s.reports[old] = load(t, "flag").Reports
	}
	addChanges(s)
	now := s.now
	last := &s.reports[s.incidents[0].ID][len(s.reports[s.incidents[0].ID])-1]
	last.OtherAlerts = []triage.ActiveAlert{
		{Name: "CartLatencyHigh", Service: "cart", Severity: "page", State: "firing", ActiveAt: last.CreatedAt.Add(-6 * time.Minute)},
		{Name: "QueueFillsUp", Severity: "ticket", State: "pending", ActiveAt: last.CreatedAt.Add(-time.Minute)},
	}
	s.sources = []triage.SourceStatus{
		{Name: "deploys", Type: "kafka", State: triage.SourceOK, LastSuccess: now.Add(-2 * time.Second), LastEvent: now.Add(-4 * time.Minute), UsualGapS: 260, Events: 18234},
		{Name: "github", Type: "github", State: triage.SourceRateLimited, Detail: "GitHub allows the next request at 00:31", LagS: 812, LastSuccess: now.Add(-14 * time.Minute), LastEvent: now.Add(-22 * time.Minute), UsualGapS: 900, Events: 932, Quarantined: 2},
		{Name: "prometheus", Type: "prometheus", State: triage.SourceOK, LastSuccess: now.Add(-3 * time.Second), LastEvent: now.Add(-4 * time.Minute), Events: 61},
		{Name: "launchdarkly", Type: "hook", State: triage.SourceOK, LastSuccess: now.Add(-5 * time.Hour), LastEvent: now.Add(-5 * time.Hour), UsualGapS: 2400, Events: 211},
	}
	s.coverage = []triage.Coverage{{Source: "launchdarkly", State: triage.SourceSilent, Detail: "quiet for 5 h; usually something comes every 40 min", UsualGapS: 2400}}
	s.quarantined = []triage.Quarantined{
		{ID: "github:1", Source: "github", Origin: "event=deployment_status delivery=4f2a", Reason: `started_at: "yesterday": use RFC 3339 with a zone, like 2026-03-01T03:02:10Z`, Body: []byte("{\n  \"deployment\": {\"id\": 4411, \"environment\": \"production\"},\n  \"started_at\": \"yesterday\"\n}"), At: now.Add(-40 * time.Minute)},
		{ID: "github:2", Source: "github", Origin: "event=release delivery=51cc", Reason: "kind: must not be empty", Body: []byte(`{"release": {"tag_name": "v4"}}`), At: now.Add(-3 * time.Hour)},
	}
	s.deliveries = append(
		s.deliveries,
		triage.Delivery{ID: "d-dead", IncidentID: s.incidents[1].ID, ReportNumber: 1, Receiver: "oncall/slack-1", State: triage.DeliveryDead, Attempts: 12, CreatedAt: now.Add(-9 * time.Minute), LastError: "slack: channel_not_found: invite the bot to the channel"},
		triage.Delivery{ID: "d-held", IncidentID: s.incidents[2].ID, ReportNumber: 1, Receiver: "oncall/teams-1", State: triage.DeliveryHeld, Attempts: 1, CreatedAt: now.Add(-8 * time.Minute), LastError: "the connection closed before an answer; it may have been posted"},
	)
	s.outcomes = []triage.Outcome{
		{Service: "pricing", Kind: triage.KindFlag, Outcome: "confirmed", N: 3},
		{Service: "pricing", Kind: triage.KindDeploy, Outcome: "harmless", N: 214},
		{Service: "pricing", Kind: triage.KindDeploy, Outcome: "rejected", N: 2},
	}
	return s
}

// busy adds n changes spread over a day, the same ones every time.
func busy(t testing.TB, s *store, n int) *store {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	kinds := []triage.Kind{triage.KindDeploy, triage.KindDeploy, triage.KindDeploy, triage.KindConfig, triage.KindFlag, triage.KindFlag, triage.KindMigration, triage.KindInfra}
	services := []string{"cart", "catalog", "checkout", "frontend", "payments", "pricing", "search", "orders-db"}
	for i := range n {
		k, svc := kinds[r.IntN(len(kinds))], services[r.IntN(len(services))]
		back := time.Duration(r.Float64() * float64(24*time.Hour))
		if i%3 == 0 {
			back = time.Duration(r.Float64() * float64(3*time.Hour))
		}
		at := s.now.Add(-back).Truncate(time.Second)
		c := triage.Change{
			ID: triage.ChangeID(fmt.Sprintf("ci:%s/%d", svc, 4000+i)), Source: "deploys", Kind: k, Status: triage.StatusSucceeded,
			Scope: triage.Scope{Service: svc, Environment: "production"}, StartedAt: at, ObservedAt: at.Add(3 * time.Second),
		}
		switch k {
		case triage.KindDeploy:
			c.FinishedAt = at.Add(time.Duration(2+r.IntN(9)) * time.Minute)
			c.Version, c.PreviousVersion, c.Title = fmt.Sprintf("v%d", 300+i), fmt.Sprintf("v%d", 299+i), fmt.Sprintf("Roll out %s v%d", svc, 300+i)
		case triage.KindFlag:
			c.Labels = map[string]string{"flag": svc + "-" + []string{"beta", "fast-path", "new-ui"}[r.IntN(3)], "from": "0 %", "to": []string{"5 %", "50 %", "100 %"}[r.IntN(3)]}
			c.Title = "flag " + c.Labels["flag"] + " 0 → " + c.Labels["to"]
		case triage.KindConfig:
			c.Labels = map[string]string{"key": svc + "-timeout", "from": "200 ms", "to": fmt.Sprintf("%d ms", 100+50*r.IntN(9))}
			c.Title = svc + ": request timeout"
		default:
			c.Title = string(k) + " of " + svc
		}
		s.changes = append(s.changes, c)
	}
	s.sort()
	return s
}

// labelled is a store with n incidents that people have judged; about one in six against the first suspect.
func labelled(t testing.TB, n int) *store {
	s := newStore(t, "flag")
	base, rep := s.incidents[0], s.reports[s.incidents[0].ID][0]
	r := rand.New(rand.NewPCG(7, 7))
	for i := range n {
		inc := base
		inc.ID, inc.State, inc.Reports = fmt.Sprintf("inc-%03d", i), triage.IncidentClosed, 1
		inc.OpenedAt = base.OpenedAt.Add(-time.Duration(i+1) * 9 * time.Hour)
		one := rep
		one.IncidentID = inc.ID
		one.Suspects = append([]triage.Suspect(nil), rep.Suspects...)
		p := 0.35 + 0.62*r.Float64()
		one.Suspects[0].Probability, one.None.Probability = p, (1-p)*0.6
		s.incidents = append(s.incidents, inc)
		s.reports[inc.ID] = []triage.Report{one}
		f := triage.Feedback{IncidentID: inc.ID, Verdict: triage.FeedbackConfirm, ChangeID: one.Suspects[0].Change.ID, At: inc.OpenedAt.Add(time.Hour)}
		if r.Float64() > p {
			f.Verdict, f.ChangeID = triage.FeedbackNone, ""
		}
		s.feedback[inc.ID] = []triage.Feedback{f}
	}
	return s
}
