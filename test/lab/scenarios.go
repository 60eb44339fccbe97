package main

import (
	"context"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/test/lab/service"
	"github.com/triaged-dev/triaged/triage"
)

// scenario is one way in which the office breaks.
type scenario struct {
	name, about string
	none        string          // why no change is to blame; "" where one is
	action      []triage.Action // what is right to do
	keep        []string        // services that innocent changes leave alone meanwhile
	decoys      []string        // deployed, well, before it begins …
	lead        time.Duration   // … by so much
	begin       func(context.Context, *town) (fault, error)
}

// fault is what was broken.
type fault struct {
	truth []triage.Change             // the changes that did it, whether told or not
	of    map[string]int              // service of an alert → index of its own truth, where there are several
	heal  func(context.Context) error // what ends it where no change is to blame
}

var (
	rollback  = []triage.Action{triage.ActionRollback, triage.ActionPauseRollout}
	flagOff   = []triage.Action{triage.ActionFlagOff}
	revert    = []triage.Action{triage.ActionConfigRevert}
	scaleBack = []triage.Action{triage.ActionRollback, triage.ActionConfigRevert}
	hands     = []triage.Action{triage.ActionDoNotRollBack}
)

// blame is a fault with one change behind it.
func blame(c triage.Change, err error) (fault, error) {
	return fault{truth: []triage.Change{c}}, err
}

// badDeploy deploys the next version of a service, with something wrong in it.
func badDeploy(name string, build service.Build, canary bool, how telling) func(context.Context, *town) (fault, error) {
	return func(ctx context.Context, t *town) (fault, error) {
		return blame(t.deployer.deploy(ctx, triage.KindDeploy, name, t.deployer.next(name), build, canary, how))
	}
}

func badConfig(name, key string, from, to float64, how telling) func(context.Context, *town) (fault, error) {
	return func(ctx context.Context, t *town) (fault, error) {
		return blame(t.deployer.configure(ctx, name, key, from, to, how))
	}
}

func badFlag(name, flag string, how telling) func(context.Context, *town) (fault, error) {
	return func(ctx context.Context, t *town) (fault, error) {
		return blame(t.deployer.flip(ctx, name, flag, true, how))
	}
}

// vendor makes a vendor misbehave: nobody here changed anything.
func vendor(name, key string, value float64) func(context.Context, *town) (fault, error) {
	return func(_ context.Context, t *town) (fault, error) {
		set := func(v float64) error {
			return t.fleet.adjust(name, func(values map[string]float64, _ map[string]bool) { values[key] = v })
		}
		return fault{heal: func(context.Context) error { return set(0) }}, set(value)
	}
}

var scenarios = slices.Concat(guilty, nobodys)

// guilty are the scenarios with a change to blame.
var guilty = []scenario{
	{
		name: "bad-deploy", about: "orders' new version fails three requests in ten", action: rollback, keep: []string{"orders"},
		begin: badDeploy("orders", service.Build{ErrorShare: .3}, false, atOnce),
	},
	{
		name: "slow-deploy", about: "seats' new version takes a third of a second longer", action: rollback, keep: []string{"seats"},
		begin: badDeploy("seats", service.Build{DelayMS: 380}, false, atOnce),
	},
	{
		name: "canary-errors", about: "one of two instances of seats runs a version that fails half its requests", action: rollback, keep: []string{"seats"},
		begin: badDeploy("seats", service.Build{ErrorShare: .5}, true, atOnce),
	},
	{
		name: "canary-slow", about: "one of two instances of search is slow", action: rollback, keep: []string{"search"},
		begin: badDeploy("search", service.Build{DelayMS: 900}, true, atOnce),
	},
	{
		name: "slow-leak", about: "orders' new version loses database connections until none is left", action: rollback, keep: []string{"orders"},
		begin: badDeploy("orders", service.Build{LeakShare: .05}, false, atOnce),
	},
	{
		name: "pool-cut", about: "orders gets one database connection instead of two", action: revert, keep: []string{"orders"},
		begin: badConfig("orders", "pool_size", 2, 1, atOnce),
	},
	{
		name: "timeout-cut", about: "orders waits 25 ms for pay, whose vendor takes 45", action: revert, keep: []string{"orders"},
		begin: badConfig("orders", "timeout_ms.pay", 1500, 25, atOnce),
	},
	{
		name: "ttl-cut", about: "search keeps no answers any more; its index has one reader", action: revert, keep: []string{"search"},
		begin: badConfig("search", "ttl_ms", 20000, 0, atOnce),
	},
	{
		name: "flag-errors", about: "a flag of orders fails six requests in ten", action: flagOff, keep: []string{"orders"},
		begin: badFlag("orders", "one-click", atOnce),
	},
	{
		name: "flag-slow", about: "a flag makes search ask fees forty times a query", action: flagOff, keep: []string{"search"},
		begin: badFlag("search", "typo-tolerance", atOnce),
	},
	{
		name: "migration-lock", about: "a migration of seats locks the table in PostgreSQL", keep: []string{"seats"},
		action: []triage.Action{triage.ActionDoNotRollBack, triage.ActionPauseRollout, triage.ActionFixForward},
		begin: func(ctx context.Context, t *town) (fault, error) {
			f, err := blame(t.migrate(ctx, "seats", "seats"))
			return f, err
		},
	},
	{
		name: "scale-down", about: "orders loses one of its two instances", action: scaleBack, keep: []string{"orders"},
		begin: func(ctx context.Context, t *town) (fault, error) {
			return blame(t.deployer.scale(ctx, "orders", 2, 1, atOnce))
		},
	},
	{
		name: "retry-storm", about: "orders waits 3 ms for seats and tries again five times", action: revert, keep: []string{"orders"},
		begin: func(ctx context.Context, t *town) (fault, error) {
			err := t.fleet.adjust("orders", func(values map[string]float64, _ map[string]bool) { values["retries.seats"] = 5 })
			if err != nil {
				return fault{}, err
			}
			return blame(t.deployer.configure(ctx, "orders", "timeout_ms.seats", 1500, 3, atOnce))
		},
	},
	{
		name: "crash-loop", about: "pay's new version panics three seconds after every start", action: rollback, keep: []string{"pay"},
		begin: badDeploy("pay", service.Build{CrashAfterS: 3}, false, atOnce),
	},
	{
		name: "backlog", about: "issuer's new version is slower than orders come in", action: rollback, keep: []string{"issuer"},
		begin: badDeploy("issuer", service.Build{DelayMS: 900}, false, atOnce),
	},
	{
		name: "fan-out", about: "notify sends sixty mails for each order", action: revert, keep: []string{"notify"},
		begin: badConfig("notify", "fan_out", 2, 60, atOnce),
	},
	{
		name: "shared-store", about: "the store syncs every write; a victim's deploy is 20 s old", action: revert, keep: []string{"seats", "store"},
		decoys: []string{"seats"}, lead: 20 * time.Second,
		begin: badConfig("store", "op_ms", 0.4, 240, atOnce),
	},
	{
		name: "rollback-trigger", about: "pay goes back to a version that fails", keep: []string{"pay"},
		action: []triage.Action{triage.ActionRollback, triage.ActionFixForward, triage.ActionDoNotRollBack}, // forward again is no rollback
		begin: func(ctx context.Context, t *town) (fault, error) {
			return blame(t.deployer.deploy(ctx, triage.KindRollback, "pay", staffOf("pay").version(-3), service.Build{ErrorShare: .5}, false, atOnce))
		},
	},
	{
		name: "told-at-end", about: "fees' slow version is told when its rollout is over", action: rollback, keep: []string{"fees"},
		begin: badDeploy("fees", service.Build{DelayMS: 600}, false, atEnd),
	},
	{
		name: "told-late", about: "the guilty flag is told long after the page; a good deploy is told at once", action: flagOff, keep: []string{"orders"},
		decoys: []string{"gate"}, lead: 8 * time.Second,
		begin: badFlag("orders", "one-click", late),
	},
	{
		name: "never-told", about: "the guilty configuration is never told; a good deploy of the same service is", action: revert, keep: []string{"orders"},
		decoys: []string{"orders"}, lead: 12 * time.Second,
		begin: badConfig("orders", "timeout_ms.pay", 1500, 25, never),
	},
	{
		name: "flapping", about: "seats' new version fails for 12 s, then not for 12 s", action: rollback, keep: []string{"seats"},
		begin: badDeploy("seats", service.Build{ErrorShare: .6, BurstS: 12}, false, atOnce),
	},
	{
		name: "two-at-once", about: "issuer falls behind while a flag makes search slow", action: append(rollback, flagOff...), keep: []string{"issuer", "search"},
		begin: func(ctx context.Context, t *town) (fault, error) {
			one, err := t.deployer.deploy(ctx, triage.KindDeploy, "issuer", t.deployer.next("issuer"), service.Build{DelayMS: 900}, false, atOnce)
			if err != nil {
				return fault{}, err
			}
			sleep(ctx, 3*time.Second)
			two, err := t.deployer.flip(ctx, "search", "typo-tolerance", true, atOnce)
			return fault{truth: []triage.Change{one, two}, of: map[string]int{"broker": 0, "issuer": 0, "search": 1, "fees": 1, "gate": 1}}, err
		},
	},
}
