package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

const maxAnswer = 16 << 20

// daemon asks a running triaged how it does.
func (e *examination) daemon(ctx context.Context) {
	var ready struct {
		Ready  bool
		Checks []struct {
			Name, Reason string
			OK           bool
		}
		Warnings []string
	}
	status, skew, dated, err := e.get(ctx, "/-/ready", &ready)
	if err != nil {
		e.wrong("daemon", e.o.URL, err.Error(), "start triaged, or give its address with --url and a token with --token-file")
		return
	}
	e.clock(e.o.URL, skew, dated)
	for _, c := range ready.Checks {
		if !c.OK {
			e.wrong("ready", c.Name, c.Reason, "until then the load balancer sends it nothing")
		}
	}
	for _, w := range ready.Warnings {
		e.hint("auth", "", w, "see auth in the configuration")
	}
	if status == http.StatusOK {
		e.ok("ready", e.o.URL, "it is ready")
	}
	e.sources(ctx)
	e.seenKinds(ctx)
	e.incidents(ctx)
	e.deliveries(ctx)
}

// get decodes an answer of the daemon. Not being ready is an answer.
func (e *examination) get(ctx context.Context, path string, v any) (status int, skew time.Duration, dated bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(e.o.URL, "/")+path, nil)
	if err != nil {
		return 0, 0, false, errors.New("--url: is no address")
	}
	if e.o.Token != "" {
		req.Header.Set("Authorization", "Bearer "+string(e.o.Token))
	}
	w := &watch{next: e.o.Daemon, now: e.now}
	resp, err := w.RoundTrip(req)
	if err != nil {
		return 0, 0, false, errors.New("it does not answer: " + bare(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, 0, false, errors.New("its answer broke off")
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		return resp.StatusCode, 0, false, fmt.Errorf("%s answers %s", path, resp.Status)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return resp.StatusCode, 0, false, fmt.Errorf("%s is not what triaged answers", path)
	}
	return resp.StatusCode, w.skew, w.dated, nil
}

// bare is an error without the address.
func bare(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return err.Error()
}

// sources says which cannot be heard, measured against their own usual rate.
func (e *examination) sources(ctx context.Context) {
	var list struct{ Items []triage.SourceStatus }
	if _, _, _, err := e.get(ctx, "/api/v1/sources", &list); err != nil {
		e.wrong("sources", "", err.Error(), "give a token that may read")
		return
	}
	for _, s := range list.Items {
		detail := s.Detail
		if detail != "" {
			detail = ": " + detail
		}
		switch s.State {
		case triage.SourceSilent:
			says := "it is silent" + detail
			if !s.LastEvent.IsZero() && s.UsualGapS > 0 {
				says = fmt.Sprintf("it has been silent for %s; usually something comes every %s", say.Span(e.now().Sub(s.LastEvent)), say.Span(time.Duration(s.UsualGapS*float64(time.Second))))
			}
			e.wrong("sources", s.Name, says, s.State.Remedy())
		case triage.SourceDown:
			e.wrong("sources", s.Name, "it cannot be reached"+detail, s.State.Remedy())
		case triage.SourceLate:
			e.wrong("sources", s.Name, fmt.Sprintf("it is %s behind%s", say.Span(time.Duration(s.LagS*float64(time.Second))), detail), s.State.Remedy())
		case triage.SourceRateLimited:
			e.wrong("sources", s.Name, "it is rate-limited"+detail, s.State.Remedy())
		default:
			e.ok("sources", s.Name, "%d events so far", s.Events)
		}
		if s.Quarantined > 0 {
			e.wrong("quarantine", s.Name, fmt.Sprintf("%d of its records could not be read and were set aside", s.Quarantined), "GET /api/v1/quarantine?source="+url.QueryEscape(s.Name)+" says why; mend the sender or the mapping, then read them again: POST /api/v1/quarantine/{id}/retry")
		}
	}
}

// seenKinds looks at what has been reported in the last month.
func (e *examination) seenKinds(ctx context.Context) {
	var seen kinds
	from := url.QueryEscape(e.now().AddDate(0, 0, -30).UTC().Format(time.RFC3339))
	for _, h := range howToReport {
		var list struct{ Items []triage.Change }
		if _, _, _, err := e.get(ctx, "/api/v1/changes?limit=1&from="+from+"&kind="+string(h.kind), &list); err != nil {
			e.hint("change kinds", "", err.Error(), "give a token that may read")
			return
		}
		for _, c := range list.Items {
			seen.add(h.kind, c.Source)
		}
	}
	e.missingKinds(seen, "to it in 30 days")
}

// incidents looks whether those of the last weeks led to a service.
func (e *examination) incidents(ctx context.Context) {
	var list struct{ Items []triage.Incident }
	if _, _, _, err := e.get(ctx, "/api/v1/incidents?limit=100", &list); err != nil {
		return // sources has said so
	}
	if len(list.Items) == 0 {
		e.hint("incidents", "", "no alert has ever arrived", "point Alertmanager at /api/v1/alerts; triaged init writes the snippet")
		return
	}
	var lost []string
	for _, i := range list.Items {
		if i.Service == "" && len(i.Alerts) > 0 {
			lost = append(lost, i.Alerts[0].Name())
		}
	}
	if share := 1 - float64(len(lost))/float64(len(list.Items)); share < namedShare {
		e.wrong("services of incidents", "", fmt.Sprintf("%d of the last %d incidents name no service, like %s", len(lost), len(list.Items), say.List(lost)), "keep a service label in those rules")
		return
	}
	e.ok("services of incidents", "", "%d of the last %d name a service", len(list.Items)-len(lost), len(list.Items))
}

// deliveries looks for posts that were given up.
func (e *examination) deliveries(ctx context.Context) {
	var list struct{ Items []triage.Delivery }
	if _, _, _, err := e.get(ctx, "/api/v1/deliveries?state=dead&limit=100", &list); err != nil {
		return
	}
	if n := len(list.Items); n > 0 {
		d := list.Items[0]
		e.wrong("deliveries", d.Receiver, fmt.Sprintf("%d posts were given up, the last because: %s", n, say.Trouble(d)), "mend the receiver, then POST /api/v1/deliveries/"+d.ID+"/resend")
	}
}
