package api

import (
	"net/http"

	"github.com/triaged-dev/triaged/api/signin"
)

// routes is the whole API: what it answers, the scope a caller needs ("" for none), and the lane that bounds it.
func (a *API) routes() {
	a.route("POST /api/v1/alerts", ScopeWriteAlerts, laneAlerts, a.postAlertWebhook)
	a.route("POST /api/v2/alerts", ScopeWriteAlerts, laneAlerts, a.postAlerts)

	a.route("POST /api/v1/changes", ScopeWriteChanges, laneIntake, a.postChanges)
	a.route("GET /api/v1/changes", ScopeRead, laneRead, a.getChanges)
	a.route("GET /api/v1/changes/{id...}", ScopeRead, laneRead, a.getChange)
	a.route("POST /api/v1/anomalies", ScopeWriteChanges, laneIntake, a.postAnomalies)
	a.route("GET /api/v1/anomalies", ScopeRead, laneRead, a.getAnomalies)

	a.route("GET /api/v1/incidents", ScopeRead, laneRead, a.getIncidents)
	a.route("GET /api/v1/incidents/{id}", ScopeRead, laneRead, a.getIncident)
	a.route("GET /api/v1/incidents/{id}/reports", ScopeRead, laneRead, a.getReports)
	a.route("GET /api/v1/incidents/{id}/reports/{n}", ScopeRead, laneRead, a.getReport)
	a.route("GET /api/v1/incidents/{id}/timeline", ScopeRead, laneRead, a.getTimeline)
	a.route("GET /api/v1/incidents/{id}/timeline.png", ScopeRead, laneRead, a.getPicture)
	a.route("GET /api/v1/incidents/{id}/case", ScopeRead, laneRead, a.getCase)
	a.route("GET /api/v1/incidents/{id}/postmortem", ScopeRead, laneRead, a.getPostmortem)
	a.route("GET /api/v1/incidents/{id}/update", ScopeRead, laneRead, a.getUpdate)
	a.route("POST /api/v1/incidents/{id}/feedback", ScopeFeedback, laneSmall, a.postFeedback)
	a.route("GET /api/v1/incidents/{id}/feedback", ScopeRead, laneRead, a.getFeedback)

	a.route("GET "+signin.LoginPath, "", laneLink, a.getLogin)
	a.route("GET "+signin.CallbackPath, "", laneLink, a.getCallback)
	a.route("POST "+signin.LogoutPath, "", laneLink, a.postLogout)

	a.route("GET /feedback/{token}", "", laneLink, a.getFeedbackLink) // the token is the permission
	a.route("POST /feedback/{token}", "", laneLink, a.postFeedbackLink)

	a.route("POST /api/v1/triage", ScopeRead, laneTriage, a.postTriage)

	a.route("GET /api/v1/topology", ScopeRead, laneRead, a.getTopology)
	a.route("GET /api/v1/services", ScopeRead, laneRead, a.getServices)
	a.route("GET /api/v1/services/{name}/outcomes", ScopeRead, laneRead, a.getOutcomes)
	a.route("GET /api/v1/accuracy", ScopeRead, laneRead, a.getAccuracy)
	a.route("GET /api/v1/accuracy/cases", ScopeRead, laneRead, a.getLabelledCases)
	a.route("GET /api/v1/sources", ScopeRead, laneRead, a.getSources)
	a.route("GET /api/v1/deliveries", ScopeRead, laneRead, a.getDeliveries)
	a.route("POST /api/v1/deliveries/{id}/resend", ScopeAdmin, laneAdmin, a.postResend)
	a.route("GET /api/v1/quarantine", ScopeAdmin, laneRead, a.getQuarantine)
	a.route("POST /api/v1/quarantine/{id}/retry", ScopeAdmin, laneAdmin, a.postRetry)
	a.route("GET /api/v1/status/config", ScopeAdmin, laneRead, a.getConfig)

	a.route("POST /mcp", ScopeRead, laneSmall, a.postMCP)

	a.stream("GET /api/v1/events", ScopeRead, a.serveEvents)

	a.route("GET /api/openapi.yaml", "", laneOpen, a.getOpenAPI)
	a.route("GET /metrics", "", laneOpen, a.getMetrics)
	a.route("GET /-/healthy", "", laneOpen, a.getHealthy)
	a.route("GET /-/ready", "", laneOpen, a.getReady)
	a.route("POST /-/reload", ScopeAdmin, laneAdmin, a.postReload)
}

// Handler serves the routes. What matches none is answered with a problem: 404, or 405 with the methods there are.
func (a *API) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := a.mux.Handler(r); pattern == "" {
			a.serveUnknown(w, r)
			return
		}
		a.mux.ServeHTTP(w, r)
	})
}
