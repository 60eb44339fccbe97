package triage

import "time"

// ChangeQuery selects changes by the interval [From, To] that their activity meets (start to last activity, either end uncertain).
// Empty fields select everything. Results are sorted by OccurredAt, then ID.
type ChangeQuery struct {
	From, To    time.Time
	Services    []string // canonical names; a global or service-less Change always matches
	Environment string
	Kind        Kind
	Text        string // substring of title, version or service, case-insensitive
	Limit       int    // 0: no limit
	Near        *Near  // which ones Limit keeps; nil: the earliest
	After       string // opaque cursor of the previous page, for stores that page
	Newest      bool   // the latest first, in stores that page; a cursor belongs to its order
}

// What changes are counted by.
const (
	CountAll       = "" // all under one empty name
	CountByKind    = "kind"
	CountByService = "service"
)

// Near prefers, where a query selects more changes than its Limit: those of one service and global ones first, then by how
// far from a time they were active. Only windows in memory know it.
type Near struct {
	At      time.Time
	Service string
}

// SignalQuery asks for the RED and saturation series of services over [From, To].
type SignalQuery struct {
	Services []string // canonical names
	Scope    Scope    // environment, cluster, namespace and region to match, where known
	From, To time.Time
	SplitBy  []string // further labels to keep: version, pod, region; empty: one series per service and signal
	Turn     int      // of several questions asked at once, one with a lower number is answered first
	Edges    bool     // what the services see of what they call, one series per edge and signal, instead of their own; see Series.Edge
}
