package main

// awkwardTypes are incidents where the record of the changes is the difficulty: late, torn, reversed, or missing.
func awkwardTypes() []fact {
	return []fact{
		{
			ID: "type-rollback-as-trigger", AlertSource: rule, Published: when("16:20", "16:21", "16:25", "16:50"), ChangeCaused: true,
			Kind: "rollback", Change: "search back to the version before", Services: []string{"search-core", "search-pages"},
			Reverts:     &other{Kind: "deploy", Service: "search-core", Title: "search release with a new index format", HoursBefore: 5},
			Recommended: "do_not_roll_back", Unsafe: "the version before cannot read the new index; going forward again is the way out, and no reversal",
			Types: []string{"rollback-as-trigger"}, Play: play{Signals: "e"},
		},
		{
			ID: "type-revert-of-revert", AlertSource: rule, Published: when("14:10", "14:11", "14:15", "14:33"), ChangeCaused: true,
			Kind: "deploy", Change: "reapply: batched writes", Services: []string{"write-buffer", "timeline-api"},
			Reverts: &other{Kind: "rollback", Service: "write-buffer", Title: "take back: batched writes", HoursBefore: 3},
			Latent:  []other{{Kind: "deploy", Service: "write-buffer", Title: "batched writes", HoursBefore: 4}},
			Undo:    &other{Kind: "rollback", Title: "take back again: batched writes"}, Recommended: "rollback",
			Types: []string{"revert-of-revert"}, Play: play{Signals: "el"},
		},
		{
			ID: "type-late-event", AlertSource: rule, Published: when("08:40", "08:41", "08:47", "09:10"), ChangeCaused: true,
			Kind: "config", Change: "queue limits", Services: []string{"task-broker", "task-runner"}, Recommended: "config_revert",
			Undo: &other{Kind: "config", Title: "queue limits put back"}, Types: []string{"late-event"}, Play: play{Signals: "e", LateS: 330},
		},
		{
			ID: "type-late-event-after-report", AlertSource: rule, Published: when("17:05", "17:06", "17:10", "17:40"), ChangeCaused: true,
			Kind: "deploy", Change: "ledger release", Services: []string{"book-keeping", "statements"}, Recommended: "rollback",
			Undo: &other{Kind: "rollback", Title: "ledger back to the version before"}, Types: []string{"late-event"},
			Play: play{Signals: "e", UnseenAtReport: true},
		},
		{
			ID: "type-out-of-order-events", AlertSource: rule, Published: when("20:12", "20:14", "20:18", "20:35"), ChangeCaused: true,
			Kind: "deploy", Change: "quota service release", Services: []string{"quota", "upload-api"}, Recommended: "rollback",
			Undo: &other{Kind: "rollback", Title: "quota service back to the version before"}, Types: []string{"out-of-order"}, Play: play{Signals: "e"},
		},
		{
			ID: "type-finish-only", AlertSource: rule, Published: when("06:30", "06:32", "06:38", "07:00"), ChangeCaused: true,
			Kind: "deploy", Change: "stock service release", Services: []string{"stock-levels", "product-pages"}, Recommended: "rollback",
			Undo: &other{Kind: "rollback", Title: "stock service back to the version before"}, Types: []string{"finish-only"},
			Play: play{Signals: "el", FinishOnly: true},
		},
		{
			ID: "type-blind-source", AlertSource: rule, Published: when("19:50", "19:51", "19:55", "20:40"), ChangeCaused: true,
			Kind: "infra", Change: "security group of the cache hosts", Services: []string{"cache-hosts", "profile-api"}, Recommended: "rollback",
			Types: []string{"blind-source"}, Play: play{Signals: "le", Blind: true},
		},
		{
			ID: "type-flag-in-one-region", AlertSource: rule, Published: when("03:00", "03:01", "03:06", "03:16"), ChangeCaused: true,
			Kind: "flag", Change: "express-delivery", Services: []string{"delivery-options", "order-form"}, Recommended: "flag_off",
			Undo: &other{Kind: "flag", Title: "express-delivery"}, Types: []string{"staged-rollout"}, Play: play{Signals: "e", Region: "eu1"},
		},
		{
			ID: "type-migration-with-deploy", AlertSource: rule, Published: when("09:40", "09:41", "09:45", "10:20"), ChangeCaused: true,
			Kind: "migration", Change: "contracts: drop column", Services: []string{"contracts-db", "contracts-api"},
			OtherChanges: []other{{Kind: "deploy", Service: "contracts-api", Title: "contracts release", MinFromOnset: -2}},
			Recommended:  "do_not_roll_back", Unsafe: "the column and its data are gone", Types: []string{"red-herring"}, Play: play{Signals: "e"},
		},
		{
			ID: "type-pair-latent-and-activating", AlertSource: rule, Published: when("13:20", "13:21", "13:26", "13:50"), ChangeCaused: true,
			Kind: "config", Change: "partner list", Services: []string{"partner-router", "public-api"},
			Latent:      []other{{Kind: "deploy", Service: "partner-router", Title: "partner router release", HoursBefore: 130}},
			Recommended: "config_revert", Undo: &other{Kind: "config", Title: "partner list put back"}, Types: []string{"latent-pair"}, Play: play{Signals: "se"},
		},
		{
			ID: "type-reaction-of-autoscaler", AlertSource: rule, Published: when("21:02", "21:03", "21:08", "21:30"), ChangeCaused: true,
			Kind: "deploy", Change: "image service release", Services: []string{"image-transform"}, Recommended: "rollback",
			Undo: &other{Kind: "rollback", Title: "image service back to the version before"}, Types: []string{"reaction"}, Play: play{Signals: "ls", Reaction: true},
		},
		{
			ID: "type-metastable-after-undo", AlertSource: rule, Published: when("12:30", "12:31", "12:35", "13:00"), ChangeCaused: true,
			Kind: "config", Change: "retry policy of the clients", Services: []string{"directory", "directory-clients"}, Recommended: "config_revert",
			Undo: &other{Kind: "config", Title: "retry policy put back"}, Types: []string{"metastable"}, Play: play{Signals: "els", NotUndone: true},
		},
		{
			ID: "type-command-by-hand", AlertSource: rule, Published: when("23:15", "23:16", "23:19", "23:58"), ChangeCaused: true,
			Kind: "command", Change: "old partitions dropped by hand", Services: []string{"metrics-archive", "usage-reports"}, Recommended: "do_not_roll_back",
			Unsafe: "dropped partitions come back from the backup only", Types: []string{"command"}, Play: play{Signals: "e"},
		},
		{
			ID: "type-same-service-in-staging", AlertSource: rule, Published: when("10:50", "10:52", "10:57", "11:15"), ChangeCaused: true,
			Kind: "config", Change: "thread count of the workers", Services: []string{"mail-render", "mail-front"}, Recommended: "config_revert",
			Undo: &other{Kind: "config", Title: "thread count put back"}, Types: []string{"red-herring", "staging"}, Play: play{Signals: "l"},
		},
		{
			ID: "type-busy-platform", AlertSource: rule, Published: when("15:00", "15:02", "15:06", "15:25"), ChangeCaused: true,
			Kind: "deploy", Change: "entitlement release", Services: []string{"entitlements", "library", "player"}, Recommended: "rollback",
			Undo: &other{Kind: "rollback", Title: "entitlements back to the version before"}, Types: []string{"busy"}, Play: play{Signals: "e", Decoys: 38},
		},
	}
}
