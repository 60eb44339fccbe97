package main

import (
	"context"
	"errors"
	"fmt"
)

// lists measures what people and scripts read.
func lists(ctx context.Context, d *daemon, r *results, n int) error {
	for _, l := range []struct{ name, path string }{
		{"API/changes-100", "/api/v1/changes?limit=100"},
		{"API/changes-of-a-service", "/api/v1/changes?service=service-0007&limit=100"},
		{"Page/changes", "/changes"},
		{"Page/incidents", "/incidents"},
		{"Metrics", "/metrics"},
	} {
		if err := d.get(ctx, l.path, nil); err != nil {
			if e, ok := errors.AsType[*statusError](err); ok && e.code == 404 {
				continue // pages may be switched off
			}
			return err
		}
		if err := reading(ctx, d, r, fmt.Sprintf("%s/changes=%d", l.name, n), l.path, 0); err != nil {
			return err
		}
	}
	return nil
}

// reading measures what it takes to fetch a path, 100 times; a budget of 0 is none.
func reading(ctx context.Context, d *daemon, r *results, name, path string, budget float64) error {
	took, _, err := sampled(100, func(int) error { return d.get(ctx, path, nil) })
	if err != nil {
		return err
	}
	r.add(line{Name: "Read/" + name, Ours: ms(quantile(took, .5)), Unit: "ms", Less: true, Budget: budget, Note: "p99 " + figure(ms(quantile(took, .99))) + " ms"})
	return nil
}

// incidentReads measures what a responder opens: the page of one incident and its picture.
func incidentReads(ctx context.Context, d *daemon, r *results) error {
	incidents, err := allIncidents(ctx, d)
	if err != nil {
		return err
	}
	if len(incidents) == 0 {
		return errors.New("no incident to read after the alerts")
	}
	id := string(incidents[0].ID)
	return firstOf(
		reading(ctx, d, r, "API/incident", "/api/v1/incidents/"+id, 0),
		reading(ctx, d, r, "Page/incident", "/incidents/"+id, 0),
		reading(ctx, d, r, "Picture/incident", "/api/v1/incidents/"+id+"/timeline.png", 50),
	)
}
