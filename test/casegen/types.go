package main

import (
	"slices"
	"time"

	"github.com/triaged-dev/triaged/test/casegen/scenario"
	"github.com/triaged-dev/triaged/triage"
)

// typed builds a hand-described scenario: an incident without a source, and what only such a one can have.
func typed(f fact) scenario.Scenario {
	s := incident(f)
	switch {
	case f.Play.Blind:
		s = hideTruth(s, "blind_source")
	case f.Play.UnseenAtReport:
		// It is there, but nobody can know of it yet: later reports may name it.
		s.Expect.NoneReason, s.Expect.Truth = "late", []triage.ChangeID{}
		s.Expect.Action = []triage.Action{triage.ActionInvestigate, triage.ActionDoNotRollBack}
	}
	if slices.Contains(f.Types, "out-of-order") {
		s.Changes = slices.Clone(s.Changes)
		report := s.Alerts[0].StartsAt
		for i := range s.Changes { // what happened first is heard of last, all of it just before the report
			s.Changes[i].ObservedAt = report.Add(-time.Duration(2+5*i) * time.Second)
		}
		slices.SortStableFunc(s.Changes, func(a, b triage.Change) int { return b.OccurredAt().Compare(a.OccurredAt()) })
		for i := range s.Changes {
			if at := report.Add(-time.Duration(90-i) * time.Second); at.After(s.Changes[i].OccurredAt()) {
				s.Changes[i].ObservedAt = at
			}
		}
	}
	return s
}

func clockTime(hhmm string) time.Time {
	t, err := time.Parse(time.DateTime, "2026-05-12 "+hhmm+":00")
	if err != nil {
		panic(err) // a typing error in this folder
	}
	return t
}

// when gives the times of a hand-described scenario; change is empty for the seed to choose.
func when(change, onset, alert, over string) published {
	p := published{Onset: clockTime(onset), FirstAlert: clockTime(alert), Mitigated: clockTime(over)}
	if change != "" {
		p.ChangeStart = clockTime(change).Format(time.RFC3339)
	}
	return p
}

// rule is the alert source of a scenario whose alert has a rule behind it.
const rule = "automated"

// typeFacts are scenarios of the types that the published incidents do not cover, or cover too thinly.
func typeFacts() []fact { return slices.Concat(plainTypes(), awkwardTypes()) }

// plainTypes are incidents where the facts are complete and the difficulty lies in the picture.
func plainTypes() []fact {
	return []fact{
		{
			ID: "type-red-herring-fresh-deploy", AlertSource: rule, Published: when("10:02", "10:04", "10:08", "10:31"), ChangeCaused: true,
			Kind: "config", Change: "connection limit of the primary", Services: []string{"accounts-db", "accounts-core", "sign-in"},
			Recommended: "config_revert", Undo: &other{Kind: "config", Title: "connection limit put back"},
			Types: []string{"red-herring"}, Play: play{Signals: "el"},
		},
		{
			ID: "type-red-herring-same-minute", AlertSource: rule, Published: when("15:40", "15:41", "15:46", "16:02"), ChangeCaused: true,
			Kind: "flag", Change: "new-tax-rules", Services: []string{"tax-rules", "order-totals", "web-shop"},
			OtherChanges: []other{
				{Kind: "deploy", Service: "help-pages", Title: "search in archived items", MinFromOnset: -0.5},
				{Kind: "deploy", Service: "web-shop", Title: "cleaner error page", MinFromOnset: -14},
			},
			Recommended: "flag_off", Undo: &other{Kind: "flag", Title: "new-tax-rules"}, Types: []string{"red-herring"}, Play: play{Signals: "e"},
		},
		{
			ID: "type-loud-victim-database", AlertSource: rule, Published: when("22:14", "22:15", "22:19", "22:50"), ChangeCaused: true,
			Kind: "infra", Change: "storage class of the orders database", Services: []string{"orders-primary", "order-intake", "storefront", "mobile-edge"},
			Recommended: "rollback", Undo: &other{Kind: "infra", Title: "storage class put back"}, Types: []string{"loud-victim"}, Play: play{Signals: "le"},
		},
		{
			ID: "type-global-push-dns", AlertSource: rule, Published: when("07:30", "07:31", "07:34", "07:52"), ChangeCaused: true,
			Kind: "config", Change: "resolver settings of all clusters", Services: []string{"resolver", "edge-proxy"}, Global: true,
			Recommended: "config_revert", Undo: &other{Kind: "config", Title: "resolver settings put back"}, Types: []string{"global-push"},
			Play: play{Signals: "el"},
		},
		{
			ID: "type-staged-rollout-regions", AlertSource: rule, Published: when("11:00", "11:40", "11:43", "12:05"), ChangeCaused: true,
			Kind: "deploy", Change: "gateway release, region by region", Services: []string{"api-edge"}, StillRunning: true,
			Steps:       []step{{clockTime("11:00"), 10}, {clockTime("11:20"), 40}, {clockTime("11:39"), 70}},
			Recommended: "rollback", Undo: &other{Kind: "rollback", Title: "gateway back to the version before"},
			Types: []string{"staged-rollout"}, Play: play{Signals: "e", Region: "ap1"},
		},
		{
			ID: "type-staged-rollout-canary", AlertSource: rule, Published: when("09:10", "09:11", "09:16", "09:30"), ChangeCaused: true,
			Kind: "deploy", Change: "pricing release", Services: []string{"price-engine", "basket"}, StillRunning: true,
			Recommended: "rollback", Undo: &other{Kind: "rollback", Title: "pricing back to the version before"},
			Types: []string{"staged-rollout"}, Play: play{Signals: "el", Versions: true},
		},
		{
			ID: "type-slow-leak-release", AlertSource: rule, Published: when("05:10", "05:50", "08:20", "08:55"), ChangeCaused: true,
			Kind: "deploy", Change: "session handling release", Services: []string{"session-cache", "portal"},
			Recommended: "rollback", Undo: &other{Kind: "rollback", Title: "session handling back to the version before"},
			Types: []string{"slow-leak"}, Play: play{Signals: "sl", Shape: "ramp"},
		},
		{
			ID: "type-surge-campaign", AlertSource: rule, Published: when("", "18:00", "18:06", "18:45"), Services: []string{"offers", "landing-pages"},
			NoneReason: "traffic", Recommended: "do_not_roll_back", Types: []string{"surge", "no-change"},
			Play: play{Signals: "sle", Surge: &surge{Service: "landing-pages", Factor: 3.2}},
		},
		{
			ID: "type-surge-among-deploys", AlertSource: rule, Published: when("", "12:00", "12:04", "12:40"), Services: []string{"ticket-stock", "ticket-shop"},
			OtherChanges: []other{
				{Kind: "deploy", Service: "ticket-shop", Title: "translation update", MinFromOnset: -22},
				{Kind: "config", Service: "ticket-stock", Title: "cache lifetime", MinFromOnset: -11},
			},
			NoneReason: "traffic", Recommended: "do_not_roll_back", Types: []string{"surge", "no-change", "red-herring"},
			Play: play{Signals: "le", Surge: &surge{Service: "ticket-shop", Factor: 4.5}},
		},
		{
			ID: "type-expiry-certificate", AlertSource: rule, Published: when("", "00:00", "00:04", "01:20"), Services: []string{"identity", "partner-gateway"},
			NoneReason: "cert_expiry", Recommended: "do_not_roll_back", Types: []string{"expiry", "no-change"}, Play: play{Signals: "e"},
		},
		{
			ID: "type-vendor-payments", AlertSource: rule, Published: when("", "03:21", "03:25", "04:08"), Services: []string{"vendor:api.card-acquirer.example", "card-payments"},
			NoneReason: "dependency", Recommended: "do_not_roll_back", Types: []string{"vendor", "no-change"}, Play: play{Signals: "el"},
		},
		{
			ID: "type-no-change-disk", AlertSource: rule, Published: when("", "04:32", "04:37", "05:30"), Services: []string{"blob-nodes", "attachments"},
			NoneReason: "hardware", Recommended: "do_not_roll_back", Types: []string{"no-change"}, Play: play{Signals: "le"},
		},
		{
			ID: "type-no-change-flapping", AlertSource: rule, Published: when("", "13:05", "13:07", "13:09"), Services: []string{"thumbnail-queue"},
			NoneReason: "noise", Recommended: "investigate", Types: []string{"no-change"}, Play: play{Signals: "l", FlapMin: 9},
		},
	}
}
