package hooks

import (
	"encoding/json"
	"net/http"

	"github.com/triaged-dev/triaged/triage"
)

// validationCode is what Azure Event Grid wants back before it delivers anything to an address; "" in every other body.
func validationCode(header http.Header, body []byte) string {
	if header.Get("Aeg-Event-Type") != "SubscriptionValidation" {
		return ""
	}
	var events []struct {
		Data struct {
			ValidationCode string `json:"validationCode"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &events) != nil || len(events) == 0 || len(events[0].Data.ValidationCode) > triage.MaxText {
		return ""
	}
	return events[0].Data.ValidationCode
}

// serveHandshake is the other handshake, that of CloudEvents webhooks: whoever asks may deliver, and proves himself when he does.
func serveHandshake(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", http.MethodPost)
	if origin := r.Header.Get("WebHook-Request-Origin"); origin != "" && len(origin) <= triage.MaxText {
		w.Header().Set("WebHook-Allowed-Origin", origin)
		w.Header().Set("WebHook-Allowed-Rate", "*")
	}
	w.WriteHeader(http.StatusNoContent)
}
