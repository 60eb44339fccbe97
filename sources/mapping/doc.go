// Package mapping turns other tools' JSON into Changes and Anomalies by rules that are data: CEL expressions in YAML, the
// shipped ones in configs/hooks, further ones beside the user's configuration.
//
// A mapping file names who may send (auth) and has rules. The first rule whose match holds decides what the input is:
//
//	description: What sends this, and how to make it send here.
//	auth:                                  # any of these; see Scheme
//	  - {scheme: hmac-sha256, header: X-Signature, prefix: "sha256="}
//	rules:
//	  - match: has(body.deploy)            # bool over body, headers, received
//	    foreach: body.deploy.targets       # optional: a list; item is then each element in turn, else the body
//	    let:                               # optional: names for the expressions below, in order
//	      - {name: env, value: "item.?environment.orValue('')"}
//	    ignore:
//	      - {when: env == 'test', reason: not a place we watch}
//	    change:                            # the schema of a Change (or anomaly:), a CEL expression in every leaf
//	      id: "'acme:' + text(body.deploy.id)"
//	      kind: deploy                     # kinds, statuses and signals may stand as they are
//	      service: item.service
//	      started_at: time(item.?start)    # null, "" and absent leave a field out
//
// Besides CEL's own, with optional types, strings and regex, the functions are time(x) for every time format senders use,
// first([a, b]) for the first value that is there, text(x) for a value as text, image_tag(x) and
// image_digest(x), json(x) for a document inside a text and base64(x) for a text inside base64.
// JSON null is the same as absent. Whole numbers are ints.
//
// A rule can neither loop for ever nor allocate without bound: cost, time and the number of items are limited. The package
// reads no files but what it is given, and never guesses: what no rule matches is triage.Ignored, and a rule that breaks on
// an input is an error that names the file, the field and the expression.
package mapping
