// Package hooks takes other tools' webhooks at POST /hooks/{name} and PagerDuty change events at POST /v2/change/enqueue.
//
// A request is bounded first, then authenticated over its raw body, then decoded, then stored; only what is durable is
// answered with 2xx. What cannot be read goes to the quarantine with its reason. The package decodes nothing itself: how a
// type of sender proves itself and what its JSON means is a Sender, handed in. It never follows what a body says: no URL in
// it is fetched, and nothing is sent.
package hooks
