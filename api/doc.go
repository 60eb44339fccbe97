// Package api answers questions about what we know, and takes changes, anomalies and alerts in, over HTTP.
//
// It decides nothing: it checks who asks, decodes strictly, hands over, and says in plain words what was wrong with the
// rest. It knows no concrete store; what it reads is declared in ports.go. A 2xx to a sender means that what was
// sent is durable. The wire format is openapi.yaml, which is served at /api/openapi.yaml.
package api
