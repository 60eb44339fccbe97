// Package setup writes a first configuration from what a Prometheus and its Alertmanagers show: triaged init.
//
// It changes nothing anywhere: it writes files that a person reads before using them.
package setup
