// Package try says what triaged would have said on the pages of the last days, from a Prometheus alone: no configuration, no
// daemon, nothing written anywhere.
//
// It only reads, a few queries at a time, and says what that cost. It gives the ranking nothing that was not known when the
// page came: what is learnt afterwards (how a rollout ended, what was rolled back) is shown beside the answer, never part of it.
package try
