package triage

import "slices"

// Placebo is what one signal of a service did here at times when nothing was wrong: after changes that no incident followed, or at
// quiet times. It is the null against which a shift beside a suspect is held, learned from the installation itself.
type Placebo struct {
	Service string         `json:"service"`
	Signal  Signal         `json:"signal"`
	After   PlaceboAfter   `json:"after"`
	Minute  PlaceboMinutes `json:"minute,omitempty"` // how long after the change; empty at quiet times
	// Shifts are the largest shifts seen, one for each occasion, smallest first, in robust standard deviations on the bad side; 0 where
	// nothing moved or what moved could not be felt.
	Shifts []float64 `json:"shifts"`
}

// PlaceboAfter is what went before.
type PlaceboAfter string

// What may go before. Processes are replaced by deploys and the like, and not by flags and configurations.
const (
	PlaceboDeploy PlaceboAfter = "deploy"
	PlaceboOther  PlaceboAfter = "change"
	PlaceboQuiet  PlaceboAfter = "quiet"
)

// PlaceboMinutes is how long after the change was looked.
type PlaceboMinutes string

// In its first minute a new process is slow, cold and restless; the five after it are another matter.
const (
	PlaceboFirst PlaceboMinutes = "first"
	PlaceboLater PlaceboMinutes = "later"
)

// PlaceboMost is how many occasions are kept of each: the latest.
const PlaceboMost = 40

// AtLeast counts the occasions on which it shifted by z or more.
func (p *Placebo) AtLeast(z float64) int {
	i, _ := slices.BinarySearch(p.Shifts, z)
	return len(p.Shifts) - i
}
