package main

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/triaged-dev/triaged/alerting"
	"github.com/triaged-dev/triaged/api"
	"github.com/triaged-dev/triaged/triage"
)

// alertIntake decodes for the API, which knows no alerting.
type alertIntake struct{ alerts *alerting.Alerting }

func (i alertIntake) AcceptWebhook(ctx context.Context, body []byte) ([]error, error) {
	return i.accept(ctx, alerting.DecodeWebhook, body)
}

func (i alertIntake) AcceptAlerts(ctx context.Context, body []byte) ([]error, error) {
	return i.accept(ctx, alerting.DecodeAlerts, body)
}

// accept takes the alerts that can be read and reports those that cannot.
func (i alertIntake) accept(ctx context.Context, decode func([]byte, time.Time) (alerting.Group, error), body []byte) ([]error, error) {
	group, err := decode(body, time.Now().UTC())
	if err != nil {
		return nil, api.InvalidInput(err)
	}
	return group.Problems, i.alerts.Accept(ctx, group)
}

// retake takes a body of alerts again that could not be read, or not all of it, by the door it came through: what of it was taken then
// is the same alert now. One that has ended since is closed like any other that nobody repeats.
func (i alertIntake) retake(ctx context.Context, q triage.Quarantined) (int, error) {
	decode := alerting.DecodeWebhook
	if bytes.HasPrefix(bytes.TrimSpace(q.Body), []byte("[")) { // as Prometheus sends them
		decode = alerting.DecodeAlerts
	}
	group, err := decode(q.Body, q.RecordTime)
	if err = errors.Join(append(group.Problems, err)...); err != nil {
		return 0, &triage.FieldError{Field: "record", Value: q.ID, Remedy: "still cannot be read: " + err.Error()}
	}
	return len(group.Alerts), i.alerts.Accept(ctx, group)
}
