// Package correlate ranks the likely triggers of an alert among the changes around its onset and recommends a next step.
//
// Rank is pure: the same Input gives the same bytes on every platform. It never reads a clock, writes no log, asks no
// network, and never blames a change whose start was observed after the symptom began. Correlator gathers the Input
// through the small interfaces declared here and gives up on evidence, never on the answer, when its deadline comes.
package correlate
