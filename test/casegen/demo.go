package main

import (
	"time"

	"github.com/triaged-dev/triaged/test/casegen/scenario"
	"github.com/triaged-dev/triaged/triage"
)

// invented is what every demo case says of itself.
var invented = []string{"everything: services, changes, metrics and alert are made up for the demonstration"}

func at(hhmmss string) time.Time {
	t, err := time.Parse(time.DateTime, "2026-03-01 "+hhmmss)
	if err != nil {
		panic(err) // a typing error in this file
	}
	return t
}

func no() *bool { v := false; return &v }

// regions is the split of a service that runs in two regions.
var regions = []map[string]string{{"region": "eu1"}, {"region": "us1"}}

func demoScenarios() []scenario.Scenario {
	return []scenario.Scenario{guiltyFlag(), ambiguousPair(), vendorOutage(), harmfulRollback()}
}

func shopServices() map[string]triage.Service {
	return map[string]triage.Service{
		"frontend":  {Owner: "team-web", Channel: "#web-oncall", Tier: 1, UserFacing: true, AutoSync: no()},
		"checkout":  {Owner: "team-checkout", Channel: "#checkout-oncall", Tier: 1, AutoSync: no(), Aliases: []string{"checkout-api"}},
		"pricing":   {Owner: "team-pricing", Channel: "#pricing-oncall", Schedule: "pricing-primary", Tier: 2, AutoSync: no()},
		"payments":  {Owner: "team-payments", Channel: "#payments-oncall", Tier: 1, AutoSync: no()},
		"cart":      {Owner: "team-checkout", Channel: "#checkout-oncall", Tier: 2, AutoSync: no()},
		"catalog":   {Owner: "team-catalog", Tier: 3, AutoSync: no()},
		"orders-db": {Owner: "team-storage", Channel: "#storage-oncall", Tier: 1, AutoSync: no()},
		"search":    {Owner: "team-search", Tier: 3, AutoSync: no()},
	}
}

var shopEdges = [][2]string{
	{"frontend", "checkout"},
	{"frontend", "catalog"},
	{"frontend", "search"},
	{"checkout", "pricing"},
	{"checkout", "payments"},
	{"checkout", "cart"},
	{"pricing", "catalog"},
	{"cart", "orders-db"},
	{"payments", "orders-db"},
	{"search", "catalog"},
}

func shopHealthy() []scenario.Healthy {
	return []scenario.Healthy{
		{Service: "frontend", Requests: 900, Errors: 0.001, Latency: 0.30, CPU: 0.35, Splits: regions},
		{Service: "checkout", Requests: 220, Errors: 0.002, Latency: 0.22, CPU: 0.30, Splits: regions},
		{Service: "pricing", Requests: 260, Errors: 0.0008, Latency: 0.06, CPU: 0.25, Splits: regions},
		{Service: "payments", Requests: 40, Errors: 0.005, Latency: 0.40, CPU: 0.20, Splits: regions},
		{Service: "cart", Requests: 180, Errors: 0.0006, Latency: 0.05, CPU: 0.28, Splits: regions},
		{Service: "catalog", Requests: 600, Errors: 0.0005, Latency: 0.04, CPU: 0.40},
		{Service: "search", Requests: 150, Errors: 0.001, Latency: 0.12, CPU: 0.45},
		{Service: "orders-db", Requests: 900, Errors: 0.0001, Latency: 0.008, CPU: 0.50},
	}
}

func deploy(id, service, started string, took time.Duration, version, previous string) triage.Change {
	return triage.Change{
		ID: triage.ChangeID(id), Kind: triage.KindDeploy, Status: triage.StatusSucceeded,
		Scope:     triage.Scope{Service: service, Environment: "production"},
		StartedAt: at(started), FinishedAt: at(started).Add(took), ObservedAt: at(started).Add(5 * time.Second),
		Version: version, PreviousVersion: previous, Title: "Roll out " + service + " " + version,
		Labels: map[string]string{"namespace": "shop"},
	}
}

func errorAlert(name, service, region, fires string) triage.Alert {
	labels := map[string]string{"alertname": name, "service": service, "severity": "page", "environment": "production"}
	selector := `service="` + service + `"`
	if region != "" {
		labels["region"] = region
		selector += `,region="` + region + `"`
	}
	return triage.Alert{
		Labels:      labels,
		Annotations: map[string]string{"summary": service + " answers more than 5 % of its requests with an error"},
		StartsAt:    at(fires), ActiveAt: at(fires).Add(-3 * time.Minute), ForS: 180, EvalIntervalS: 15,
		Expr: "max by (service, region) (service:request_errors:ratio_rate1m{" + selector + "}) > 0.05",
	}
}

// guiltyFlag: a flag goes to 100 % in one region and breaks what is behind it 40 seconds later. Two deploys lie nearer and farther.
func guiltyFlag() scenario.Scenario {
	eu, onset := map[string]string{"region": "eu1"}, at("03:02:10")
	flag := triage.Change{
		ID: "flags:new-pricing/181", Kind: triage.KindFlag, Status: triage.StatusSucceeded,
		Scope:     triage.Scope{Service: "pricing", Environment: "production", Region: "eu1", Cluster: "prod-eu1"},
		StartedAt: at("03:01:30"), FinishedAt: at("03:01:30"), ObservedAt: at("03:01:32"), RolloutPercent: new(100.0),
		Title:      "flag new-pricing 0 → 100 % in prod-eu1",
		Labels:     map[string]string{"flag": "new-pricing", "from": "0 %", "to": "100 %"},
		Reversible: triage.Reversible{Value: triage.ReversibleYes, Reason: "a flag goes back to its previous value"},
	}
	return scenario.Scenario{
		ID: "demo-flag", Synthetic: invented, From: at("02:00:00"), To: at("03:30:00"),
		Edges: shopEdges, Services: shopServices(), Healthy: shopHealthy(),
		Faults: []scenario.Fault{
			{Service: "pricing", Signal: triage.SignalErrors, Where: eu, From: onset, Level: 0.17},
			{Service: "checkout", Signal: triage.SignalErrors, Where: eu, From: onset.Add(5 * time.Second), Level: 0.14},
			{Service: "frontend", Signal: triage.SignalErrors, Where: eu, From: onset.Add(10 * time.Second), Level: 0.03},
			// The decoy's own restart blip, long over.
			{Service: "pricing", Signal: triage.SignalLatency, From: at("02:41:30"), To: at("02:42:30"), Level: 1.6},
		},
		Changes: []triage.Change{
			deploy("github:shop/pricing/deployment/812", "pricing", "02:41:00", 2*time.Minute, "v812", "v811"),
			deploy("github:shop/search/deployment/77", "search", "02:58:20", 90*time.Second, "v77", "v76"),
			deploy("github:shop/catalog/deployment/340", "catalog", "02:50:05", 3*time.Minute, "v340", "v339"),
			flag,
		},
		Alerts: []triage.Alert{errorAlert("CheckoutErrorRatioHigh", "checkout", "eu1", "03:06:00")},
		Expect: triage.Expect{
			Truth: []triage.ChangeID{flag.ID}, Action: []triage.Action{triage.ActionFlagOff},
			Onset: &triage.ExpectOnset{Earliest: onset, Latest: onset.Add(15 * time.Second)},
		},
	}
}

// ambiguousPair: a deploy and a config push of the same service, twenty seconds apart, and nothing that tells them from each other.
func ambiguousPair() scenario.Scenario {
	onset := at("14:20:40")
	config := triage.Change{
		ID: "gitops:cart/5511", Kind: triage.KindConfig, Status: triage.StatusSucceeded,
		Scope:     triage.Scope{Service: "cart", Environment: "production"},
		StartedAt: at("14:20:00"), FinishedAt: at("14:20:05"), ObservedAt: at("14:20:06"), Title: "cart: connection pool 200 → 40",
		Version: "5511", PreviousVersion: "5498", Labels: map[string]string{"config": "cart-pool", "from": "200", "to": "40"},
	}
	roll := deploy("github:shop/cart/deployment/91", "cart", "14:19:40", 50*time.Second, "v91", "v90")
	return scenario.Scenario{
		ID: "demo-pair", Synthetic: invented, From: at("13:20:00"), To: at("14:50:00"),
		Edges: shopEdges, Services: shopServices(), Healthy: shopHealthy(),
		Faults: []scenario.Fault{
			{Service: "cart", Signal: triage.SignalErrors, From: onset, Level: 0.21},
			{Service: "cart", Signal: triage.SignalLatency, From: onset, Level: 7},
			{Service: "checkout", Signal: triage.SignalErrors, From: onset.Add(10 * time.Second), Level: 0.12},
			{Service: "checkout", Signal: triage.SignalLatency, From: onset.Add(10 * time.Second), Level: 3},
		},
		Changes: []triage.Change{
			roll, config,
			deploy("github:shop/search/deployment/78", "search", "14:02:00", 2*time.Minute, "v78", "v77"),
		},
		Alerts: []triage.Alert{errorAlert("CheckoutErrorRatioHigh", "checkout", "", "14:24:30")},
		Expect: triage.Expect{
			Truth:  []triage.ChangeID{config.ID},
			Action: []triage.Action{triage.ActionConfigRevert, triage.ActionRollback, triage.ActionInvestigate},
			Onset:  &triage.ExpectOnset{Earliest: onset, Latest: onset.Add(15 * time.Second)},
		},
	}
}

// vendorOutage: the acquirer stops answering. Changes went out, none of them on the path.
func vendorOutage() scenario.Scenario {
	onset := at("03:21:00")
	services := shopServices()
	services["api.acmepay.example"] = triage.Service{External: true, Runbook: "https://runbooks.example/second-acquirer"}
	return scenario.Scenario{
		ID: "demo-vendor", Synthetic: invented, From: at("02:20:00"), To: at("03:50:00"),
		Edges:    append([][2]string{{"payments", "api.acmepay.example"}}, shopEdges...),
		Services: services,
		Healthy: append(shopHealthy(),
			scenario.Healthy{Service: "api.acmepay.example", Requests: 40, Errors: 0.004, Latency: 0.35}),
		Faults: []scenario.Fault{
			{Service: "api.acmepay.example", Signal: triage.SignalErrors, From: onset, Level: 0.40},
			{Service: "api.acmepay.example", Signal: triage.SignalLatency, From: onset, Level: 9},
			{Service: "payments", Signal: triage.SignalErrors, From: onset.Add(5 * time.Second), Level: 0.38},
			{Service: "payments", Signal: triage.SignalLatency, From: onset.Add(5 * time.Second), Level: 6},
		},
		Changes: []triage.Change{
			deploy("github:shop/search/deployment/79", "search", "03:12:10", 2*time.Minute, "v79", "v78"),
			deploy("github:shop/catalog/deployment/341", "catalog", "02:59:00", 3*time.Minute, "v341", "v340"),
			deploy("github:shop/search/deployment/80", "search", "03:18:40", 2*time.Minute, "v80", "v79"),
		},
		Alerts: []triage.Alert{errorAlert("PaymentsErrorRatioHigh", "payments", "", "03:24:45")},
		Expect: triage.Expect{
			Truth: []triage.ChangeID{}, NoneReason: "dependency",
			Action: []triage.Action{triage.ActionDoNotRollBack, triage.ActionInvestigate},
			Onset:  &triage.ExpectOnset{Earliest: onset, Latest: onset.Add(20 * time.Second)},
		},
	}
}

// harmfulRollback: a deploy ran a schema migration; going back would leave old code on a new schema.
func harmfulRollback() scenario.Scenario {
	onset := at("09:41:20")
	roll := deploy("github:shop/payments/deployment/403", "payments", "09:40:10", 80*time.Second, "v403", "v402")
	migration := triage.Change{
		ID: "migrate:payments/2026030101", Kind: triage.KindMigration, Status: triage.StatusSucceeded,
		Scope:     triage.Scope{Service: "payments", Environment: "production"},
		StartedAt: at("09:40:20"), FinishedAt: at("09:40:50"), ObservedAt: at("09:40:21"), Title: "payments: drop column legacy_token",
		Reversible: triage.Reversible{Value: triage.ReversibleNo, Reason: "the migration dropped a column"},
	}
	return scenario.Scenario{
		ID: "demo-migration", Synthetic: invented, From: at("08:40:00"), To: at("10:10:00"),
		Edges: shopEdges, Services: shopServices(), Healthy: shopHealthy(),
		Faults: []scenario.Fault{
			{Service: "payments", Signal: triage.SignalErrors, From: onset, Level: 0.55},
			{Service: "checkout", Signal: triage.SignalErrors, From: onset.Add(10 * time.Second), Level: 0.30},
		},
		Changes: []triage.Change{
			roll, migration,
			deploy("github:shop/search/deployment/81", "search", "09:20:00", 2*time.Minute, "v81", "v80"),
		},
		Alerts: []triage.Alert{errorAlert("PaymentsErrorRatioHigh", "payments", "", "09:45:15")},
		Expect: triage.Expect{
			Truth:  []triage.ChangeID{migration.ID, roll.ID},
			Action: []triage.Action{triage.ActionDoNotRollBack, triage.ActionFixForward},
			Unsafe: []triage.Unsafe{
				{ID: roll.ID, Reason: "the previous version reads a column that is gone"},
				{ID: migration.ID, Reason: "the column's data is gone"},
			},
			Onset: &triage.ExpectOnset{Earliest: onset, Latest: onset.Add(15 * time.Second)},
		},
	}
}
