// Package demo plays one recorded case against the real daemon on this machine: the metrics behind Prometheus' own query
// engine, the changes through an in-process Kafka broker that speaks the real protocol, the alert through the webhook.
// The case is shifted so that its alert fires now; nothing else is pretended, and the daemon never sees the right answer.
package demo
