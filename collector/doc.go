// Package collector keeps sources running and holds the recent changes, folded and in order of time.
//
// It is the only place where two reports become one Change. It never ranks, filters by taste or knows a concrete source,
// and it never says yes before the journal has: Emit returns nil only for what is durable and visible to Find.
//
// One goroutine, the committer, owns every decision about identity: it folds a group of reports against the window, appends
// the group to the journal once, publishes it and answers everyone who waited. While it appends, the next group gathers, so
// throughput follows the journal's. Nothing is changed in memory before the journal has accepted it, so an error needs no undoing.
package collector
