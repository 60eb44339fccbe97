package mcp

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// The addresses of resources. A report never changes, so its address always leads to the same words.
const (
	incidentsURI = "triaged://incidents"
	reportURI    = "triaged://incidents/{incident}/reports/{report}"
)

func (t *tools) resources(s *sdk.Server) {
	s.AddResource(&sdk.Resource{
		URI: incidentsURI, Name: "incidents", Title: "The latest incidents", MIMEType: "application/json",
	}, func(ctx context.Context, _ *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		raw, err := t.Ask(ctx, "GET", "/api/v1/incidents?limit=20", nil)
		if err != nil {
			return nil, err
		}
		return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: incidentsURI, MIMEType: "application/json", Text: string(raw)}}}, nil
	})
	s.AddResourceTemplate(&sdk.ResourceTemplate{
		URITemplate: reportURI, Name: "report", Title: "One report of an incident", MIMEType: "application/json",
		Description: "The report as JSON and, beside it, as on-call sees it. The report is a number, or latest.",
	}, t.readReport)
}

func (t *tools) readReport(ctx context.Context, req *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
	uri := req.Params.URI
	id, number, ok := strings.Cut(strings.TrimPrefix(uri, incidentsURI+"/"), "/reports/")
	incident, err := url.PathUnescape(id)
	n := 0
	if number != "latest" {
		n, err = strconv.Atoi(number)
		ok = ok && n > 0
	}
	if !ok || err != nil || incident == "" {
		return nil, sdk.ResourceNotFoundError(uri)
	}
	inc, _, err := t.one(ctx, incident)
	if err != nil {
		return nil, err
	}
	r, raw, err := t.numbered(ctx, incident, n)
	if err != nil {
		return nil, err
	}
	return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{
		{URI: uri, MIMEType: "application/json", Text: string(raw)},
		{URI: uri + "#card", MIMEType: "text/plain", Text: t.report(inc, r)},
	}}, nil
}
