package backfill

// The alerts of rules.yml that page.
const (
	Errors  = "HighErrorRatio"
	Latency = "HighLatency"
	Backlog = "QueueBacklog"
)

// script is one page: how many hours after the beginning it happens, and what happens.
var script = []struct {
	hour    float64
	service string
	alert   string
	cause   string
	changed string
	share   float64 // of requests that fail or are slow while it lasts
	minutes int
}{
	{14.3, "checkout", Errors, "rollout", "checkout", .32, 34},
	{31.7, "payments", Errors, "vendor", "", .38, 47},
	{45.1, "search", Latency, "rollout", "search", .45, 41},
	{58.6, "shipping", Errors, "config", "shipping", .24, 28},
	{70.2, "notifications", Backlog, "flap", "", 0, 6},
	{83.4, "cart", Errors, "rollout", "cart", .18, 26},
	{97.8, "checkout", Errors, "rollout", "pricing", .30, 36},
	{112.5, "catalog", Latency, "surge", "", .35, 40},
	{127.1, "reviews", Errors, "rollout", "reviews", .55, 22},
	{140.9, "notifications", Backlog, "flap", "", 0, 8},
	{155.3, "accounts", Latency, "scale", "accounts", .40, 38},
	{170.6, "fraud", Errors, "rollout", "fraud", .28, 31},
	{186.2, "inventory", Errors, "node", "", .21, 33},
	{200.8, "ledger", Errors, "config", "ledger", .36, 27},
	{215.4, "recommendations", Latency, "rollout", "recommendations", .50, 44},
	{230.1, "payments", Errors, "vendor", "", .30, 52},
	{246.7, "catalog", Errors, "rollout", "inventory", .26, 29},
	{262.3, "payments", Errors, "rollout", "payments", .42, 24},
	{283.9, "search", Latency, "surge", "", .33, 35},
	{307.6, "notifications", Backlog, "flap", "", 0, 7},
}

// pages plays the script.
func (w *World) pages() {
	for _, p := range script {
		begin := int(p.hour * 60)
		end := begin + p.minutes
		s := w.byName[p.service]
		page := Page{
			Service: p.service, Alert: p.alert, Cause: p.cause, Changed: p.changed, Share: p.share,
			Onset: w.at(begin + 1), End: w.at(end),
		}
		bad := func(s *service, share float64) {
			for i := begin + 1; i < end; i++ {
				if p.alert == Latency {
					s.slow[i] += share
				} else {
					s.fail[i] += share
				}
			}
		}
		switch p.cause {
		case "rollout":
			changed := w.byName[p.changed]
			fail, slow := p.share, 0.0
			if p.alert == Latency {
				fail, slow = 0, p.share
			}
			if changed != s { // the callee is slow, its caller runs into timeouts
				fail, slow = 0, .6
				bad(s, p.share)
			}
			page.set = w.rollout(changed, begin-1, fail, slow)
			changed.phases = append(changed.phases, phase{at: end - 2, back: true})
		case "config":
			bad(s, p.share)
			s.configs = append(s.configs, begin, end-1)
		case "scale":
			bad(s, p.share)
			s.sizes = append(s.sizes, resize{begin, 1}, resize{end - 1, 4})
		case "surge":
			bad(s, p.share)
			for _, name := range append([]string{"frontend"}, p.service) {
				for i := begin; i < end; i++ {
					w.byName[name].surge[i] = 3.2
				}
			}
		case "node": // an innocent rollout of the same service shortly before
			w.rollout(s, begin-23, 0, 0)
			bad(s, p.share)
		case "vendor":
			w.rollout(w.byName["reviews"], begin-11, 0, 0)
			bad(s, p.share)
		}
		w.Pages = append(w.Pages, page)
	}
}
