// Package prometheus asks Prometheus servers, and what speaks their API (Thanos, Mimir, VictoriaMetrics), about alerts and services:
// the rule behind an alert and the alert's own raw series, the RED and saturation series of services, who calls whom,
// anomalies of those series, and changes that can be seen in metrics alone.
//
// It refuses to be a burden on a server that may be dying: few queries in flight, a budget per minute, aggregated queries only,
// bounded answers, a breaker. It never ranks, and it never guesses silently: what it had to assume it says in Symptom.Notes.
package prometheus
