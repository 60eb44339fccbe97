// Package kafka reads changes and anomalies from the topics of one Kafka cluster, as a member of a consumer group.
//
// Records are acknowledged only after the emit function has taken what they hold, so nothing is lost when we or the broker
// die; they may come twice, which the receiver of events must bear. A record that cannot be read goes to the quarantine
// with its place in the log and never blocks the records behind it. What the package does not do: create topics, decide
// what is interesting, or know any format but our own; other formats are decoders handed in.
//
// Two things kafka-go leaves to its users are done here. On the first start the group has no offsets, so those of
// "now − start" are committed before joining. And a log that was emptied or cut behind our back leaves a reader waiting
// for ever past its end without an error, so the ends of the log are compared with our positions while we read.
package kafka
