// Package triage holds the words of the domain: changes, anomalies, alerts, incidents, suspects, reports.
//
// It does no I/O, starts no goroutine, writes no log and never reads the clock: time is always an argument.
// The JSON form of its types is the one schema used by the API, Kafka, the journal, exports and case files.
// All times are UTC; all durations in JSON are seconds and say so in their name (for_s, step_s).
package triage
