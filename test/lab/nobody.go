package main

import (
	"context"
	"time"
)

// nobodys are the scenarios for which no change is to blame, though there are changes around.
var nobodys = []scenario{
	{
		name: "surge", about: "three times as many visitors", none: "traffic", action: hands,
		begin: func(_ context.Context, t *town) (fault, error) {
			t.load.factor.Store(300)
			return fault{heal: func(context.Context) error { t.load.factor.Store(100); return nil }}, nil
		},
	},
	{
		name: "vendor-outage", about: "the acquirer declines most charges with errors", none: "dependency", action: hands,
		decoys: []string{"pay"}, lead: 15 * time.Second, keep: []string{"pay"},
		begin: vendor("acquirer", "fail_share", .7),
	},
	{
		name: "vendor-slow", about: "the postbox takes three seconds a mail", none: "dependency", action: hands,
		begin: vendor("postbox", "delay_ms", 3000),
	},
	{
		name: "warm-up", about: "gate and orders are freshly deployed when the acquirer fails", none: "dependency", action: hands,
		decoys: []string{"orders", "gate"}, lead: 4 * time.Second, keep: []string{"gate", "orders"},
		begin: vendor("acquirer", "fail_share", .6),
	},
	{
		name: "dead-dependency", about: "both instances of fees die with their machine", none: "hardware", action: hands, keep: []string{"fees"},
		decoys: []string{"search"}, lead: 20 * time.Second,
		begin: func(_ context.Context, t *town) (fault, error) {
			t.fleet.lose("fees")
			return fault{heal: func(ctx context.Context) error { return t.fleet.replace(ctx, "fees") }}, nil
		},
	},
	{
		name: "certificate", about: "the acquirer's certificate runs out", none: "cert_expiry", action: hands,
		begin: func(_ context.Context, t *town) (fault, error) {
			return fault{heal: func(context.Context) error { return t.certify(24 * time.Hour) }}, t.certify(time.Second)
		},
	},
	{
		name: "noisy-neighbour", about: "somebody else uses up the processor of fees' machine", none: "hardware", action: hands, keep: []string{"fees"},
		decoys: []string{"orders"}, lead: 25 * time.Second,
		begin: func(ctx context.Context, t *town) (fault, error) {
			return fault{heal: t.throttle(ctx, "fees")}, nil
		},
	},
	{
		name: "slow-line", about: "the network between orders and seats gets slow", none: "hardware", action: hands, keep: []string{"orders", "seats"},
		begin: func(ctx context.Context, t *town) (fault, error) {
			ctx, cut := context.WithCancel(ctx)
			l, err := openLine(ctx, t.fleet.addresses("seats")[0], 500*time.Millisecond)
			if err != nil {
				cut()
				return fault{}, err
			}
			heal := func(context.Context) error {
				defer cut()
				return t.fleet.detour("orders", "seats", "")
			}
			return fault{heal: heal}, t.fleet.detour("orders", "seats", l.address())
		},
	},
}
