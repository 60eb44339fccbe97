package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// daemon is the running triaged, asked over HTTP like anybody would.
type daemon struct{ url string }

func (d daemon) do(ctx context.Context, method, path string, body, into any) error {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.url+path, payload)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer[:min(len(answer), 300)])
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// script is what is played and what should come of it.
type script struct {
	daemon  daemon
	c       triage.Case
	expect  triage.Expect
	changes []triage.Change
	promURL string
}

// arrival is how long the changes may take through Kafka; the case goes on without those that have not come by then, and says so.
const arrival = 20 * time.Second

// play waits for the daemon, fires the alert and prints the first report.
func play(ctx context.Context, o Options, s script) error {
	started := time.Now()
	if err := until(ctx, func() error { return s.daemon.do(ctx, "GET", "/-/ready", nil, nil) }); err != nil {
		return fmt.Errorf("wait for the daemon: %w", err)
	}
	fmt.Fprintln(o.Out, "the daemon listens; the changes come through Kafka")
	missing, err := s.awaitChanges(ctx, o.Out)
	if err != nil {
		return fmt.Errorf("wait for the changes to arrive through Kafka: %w", err)
	}
	if len(missing) > 0 {
		fmt.Fprintf(o.Out, "%d of %d changes did not arrive within %s, %s first; the report is made without them\n", len(missing), len(s.changes), arrival, missing[0])
	}
	fmt.Fprintf(o.Out, "%d changes through Kafka, metrics behind PromQL, ready after %s; the alert fires now\n\n",
		len(s.changes)-len(missing), time.Since(started).Round(10*time.Millisecond))
	fired := time.Now()
	if err := s.daemon.do(ctx, "POST", "/api/v1/alerts", s.webhook(), nil); err != nil {
		return fmt.Errorf("fire the alert: %w", err)
	}
	var incident triage.Incident
	var report triage.Report
	err = until(ctx, func() error {
		var page struct{ Items []triage.Incident }
		if err := s.daemon.do(ctx, "GET", "/api/v1/incidents", nil, &page); err != nil {
			return err
		}
		if len(page.Items) == 0 || page.Items[0].Reports == 0 {
			return errors.New("no report yet")
		}
		incident = page.Items[0]
		return s.daemon.do(ctx, "GET", fmt.Sprintf("/api/v1/incidents/%s/reports/%d", incident.ID, 1), nil, &report)
	})
	if err != nil {
		return fmt.Errorf("wait for the report: %w", err)
	}
	fmt.Fprintf(o.Out, "%s\n\nreported %s after the alert\n", o.Card(incident, report), time.Since(fired).Round(time.Millisecond))
	fmt.Fprintf(o.Out, "page   %s/incidents/%s\nAPI    %s/api/v1/incidents/%s/reports/1\n", s.daemon.url, incident.ID, s.daemon.url, incident.ID)
	right := s.right(report)
	if o.Exit {
		if !right {
			return fmt.Errorf("%w: expected %v, got %s", ErrUnexpected, s.expect.Truth, first(report))
		}
		fmt.Fprintln(o.Out, "expected trigger first: yes")
		return nil
	}
	fmt.Fprintf(o.Out, "metrics of the daemon %s/metrics · Ctrl-C ends the demo\n", s.daemon.url)
	return nil
}

// awaitChanges waits until every change that was published answers to its id: reports of one change are folded, so their number says
// nothing. It returns the ids of those that did not come in time.
func (s script) awaitChanges(ctx context.Context, out io.Writer) ([]triage.ChangeID, error) {
	var missing []triage.ChangeID
	for _, c := range s.changes {
		missing = append(missing, c.ID)
	}
	began, said := time.Now(), time.Now()
	for {
		left := missing[:0]
		for _, id := range missing {
			if s.daemon.do(ctx, "GET", "/api/v1/changes/"+url.PathEscape(string(id)), nil, nil) != nil {
				left = append(left, id)
			}
		}
		missing = left
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case len(missing) == 0, time.Since(began) > arrival:
			return missing, nil
		case time.Since(said) > 2*time.Second:
			said = time.Now()
			fmt.Fprintf(out, "%d of %d changes have arrived\n", len(s.changes)-len(missing), len(s.changes))
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// right reports whether the expected trigger came first; with nothing to blame, whether none outweighs every suspect.
func (s script) right(r triage.Report) bool {
	leader := r.Leader()
	if len(s.expect.Truth) == 0 {
		return leader == nil || leader.Change == nil || leader.Probability < r.None.Probability
	}
	return leader != nil && leader.Change != nil && slices.Contains(s.expect.Truth, leader.Change.ID)
}

func first(r triage.Report) string {
	if l := r.Leader(); l != nil && l.Probability >= r.None.Probability {
		return l.ID()
	}
	return "none"
}

// webhook is the alert as Alertmanager posts it.
func (s script) webhook() map[string]any {
	var alerts []map[string]any
	now := time.Now()
	for i, a := range s.c.Alerts {
		if i > 0 && a.StartsAt.After(now) {
			continue // has not fired yet
		}
		alerts = append(alerts, map[string]any{
			"status": "firing", "labels": a.Labels, "annotations": a.Annotations, "startsAt": a.StartsAt, "endsAt": "0001-01-01T00:00:00Z",
			"generatorURL": s.promURL + "/graph?g0.expr=" + url.QueryEscape(a.Expr) + "&g0.tab=1", "fingerprint": a.LabelFingerprint(),
		})
	}
	a := s.c.Alerts[0]
	return map[string]any{
		"version": "4", "groupKey": fmt.Sprintf("{}:{alertname=%q}", a.Name()), "truncatedAlerts": 0, "status": "firing",
		"receiver": "triaged", "groupLabels": map[string]string{"alertname": a.Name()}, "commonLabels": a.Labels,
		"commonAnnotations": a.Annotations, "externalURL": "http://alertmanager.demo.example", "alerts": alerts,
	}
}

// until tries again every tenth of a second until f succeeds, for at most a minute.
func until(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
