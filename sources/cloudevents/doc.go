// Package cloudevents turns CloudEvents 1.0 into Changes and Anomalies: from HTTP and from Kafka, in structured, binary
// and batch mode, around CDEvents 0.4–0.6 or around our own schema; and CDEvents that come without an envelope.
//
// It does not guess: an event type it does not know is triage.Ignored with the type in the reason, to be read by a
// mapping instead; broken input is an error that names the field. It opens nothing and keeps nothing.
//
// # Our own types
//
// A producer that speaks CloudEvents and has no CDEvent to send uses one of
//
//	type dev.triaged.change.v1    data: one Change, as in POST /api/v1/changes
//	type dev.triaged.anomaly.v1   data: one Anomaly, as in POST /api/v1/anomalies
//
// The data is read strictly. Where it has no id, the event's own identity "<source>#<id>" becomes the id, so that a
// redelivered event is the same Change; where it has no time, the event's time is its end.
package cloudevents
