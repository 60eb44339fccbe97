// Package backfill makes up two weeks of a shop on Kubernetes, as a Prometheus with kube-state-metrics, cAdvisor and a service
// graph would have recorded them: rollouts, rollbacks, configuration, traffic by day and night, and 20 pages of which 12 were
// set off by a change. It writes them as TSDB blocks that a real Prometheus serves.
//
// It knows nothing of the ranking, and it is deterministic: the same end and seed give the same samples.
package backfill
