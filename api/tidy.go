package api

import (
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// Lists in answers are never null. These copy what they change: the input may be shared.

func some[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func tidyReport(r triage.Report) triage.Report {
	r.Suspects = append([]triage.Suspect{}, r.Suspects...)
	for i := range r.Suspects {
		s := &r.Suspects[i]
		s.For, s.Against = some(s.For), some(s.Against)
	}
	r.None.Evidence = some(r.None.Evidence)
	r.Coverage = some(r.Coverage)
	return r
}

func tidyReports(reports []triage.Report) []triage.Report {
	reports = slices.Clone(reports)
	for i := range reports {
		reports[i] = tidyReport(reports[i])
	}
	return reports
}

func tidyIncident(inc triage.Incident) triage.Incident {
	inc.Alerts = some(inc.Alerts)
	return inc
}

func tidyCase(c triage.Case) triage.Case {
	c.Changes, c.Alerts = some(c.Changes), some(c.Alerts)
	c.Series = append([]triage.Series{}, c.Series...)
	for i := range c.Series {
		s := &c.Series[i]
		if s.Labels == nil {
			s.Labels = map[string]string{}
		}
		s.Values = triage.Values(some([]float64(s.Values)))
	}
	return c
}
