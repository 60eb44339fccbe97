package cloudevents

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const cdeventsPrefix = "dev.cdevents."

func isCDEvent(typ string) bool { return strings.HasPrefix(typ, cdeventsPrefix) }

// cdevent is the part of a CDEvent that every version from 0.4 on spells the same way.
type cdevent struct {
	Context struct {
		ID        string          `json:"id"`
		Source    string          `json:"source"`
		Type      string          `json:"type"`
		Timestamp json.RawMessage `json:"timestamp"`
		ChainID   string          `json:"chainId"`
	} `json:"context"`
	Subject struct {
		ID      string `json:"id"`
		Source  string `json:"source"`
		Content struct {
			Environment struct {
				ID string `json:"id"`
			} `json:"environment"`
			ArtifactID   string          `json:"artifactId"`
			Name         string          `json:"name"`
			PipelineName string          `json:"pipelineName"`
			TaskName     string          `json:"taskName"`
			URI          string          `json:"uri"`
			URL          string          `json:"url"` // 0.4 spells some URIs this way
			Outcome      string          `json:"outcome"`
			Errors       json.RawMessage `json:"errors"`
		} `json:"content"`
	} `json:"subject"`
}

// kindOf splits dev.cdevents.<subject>.<predicate>.<version> and drops the version.
func (e cdevent) kindOf() string {
	rest := strings.TrimPrefix(e.Context.Type, cdeventsPrefix)
	subject, rest, _ := strings.Cut(rest, ".")
	predicate, _, _ := strings.Cut(rest, ".")
	return subject + "." + predicate
}

// cdevent reads one CDEvent. seen stands in for a missing timestamp.
func (d *Decoder) cdevent(data []byte, seen time.Time) (triage.Event, error) {
	var e cdevent
	// Versions and extensions put other kinds of value into fields; encoding/json reads on past them and says so at the end.
	err := json.Unmarshal(data, &e)
	if _, odd := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !odd {
		return triage.Event{}, fmt.Errorf("read CDEvent: %w", err)
	}
	if !isCDEvent(e.Context.Type) {
		return triage.Event{}, &triage.FieldError{Field: "context.type", Value: e.Context.Type, Remedy: "must begin with " + cdeventsPrefix}
	}
	if e.Context.ID == "" || e.Context.Source == "" {
		return triage.Event{}, &triage.FieldError{Field: "context.id", Value: e.Context.ID, Remedy: "is required, and context.source with it"}
	}
	at, err := triage.ParseTimeJSON(e.Context.Timestamp)
	unread := err != nil
	if unread || at.IsZero() {
		at = seen
	}
	kind := e.kindOf()
	c := triage.Change{ID: triage.ChangeID(e.Context.Source + "#" + e.Context.ID), Labels: map[string]string{"cdevent": kind}}
	if e.Context.ChainID != "" {
		c.Labels["chain"] = e.Context.ChainID
	}
	c.URL = e.Subject.Content.URI
	if c.URL == "" {
		c.URL = e.Subject.Content.URL
	}
	switch subject, predicate, _ := strings.Cut(kind, "."); subject {
	case "service":
		err = e.service(&c, predicate, at)
	case "environment":
		err = e.environment(&c, predicate, at)
	case "pipelinerun", "taskrun":
		err = e.run(&c, subject, predicate, at, d.Pipelines)
	case "incident":
		err = &triage.Ignored{Reason: kind + ": an incident, not a change; send alerts to /api/v1/alerts"}
	case "change":
		err = &triage.Ignored{Reason: kind + ": code, nothing runs yet"}
	case "artifact", "build":
		err = &triage.Ignored{Reason: kind + ": names a version, nothing runs yet"}
	default:
		err = &triage.Ignored{Reason: fmt.Sprintf("CDEvent %q changes no running system", clip(kind))}
	}
	if err != nil {
		return triage.Event{}, err
	}
	if unread {
		c = unsure(c)
	}
	return d.checked(c)
}

// service reads service.*: reported once it is done, so only the end is known.
func (e cdevent) service(c *triage.Change, predicate string, at time.Time) error {
	c.Service, c.Environment = e.Subject.ID, e.Subject.Content.Environment.ID
	if c.Service == "" {
		return &triage.FieldError{Field: "subject.id", Remedy: "is required: the service"}
	}
	c.Status, c.FinishedAt = triage.StatusSucceeded, at
	if id := e.Subject.Content.ArtifactID; id != "" {
		// A version that cannot be read makes the change no less real: it is kept as it came.
		c.Version = id
		if p, err := parsePurl(id); err == nil {
			c.Version, c.Digest = p.tag(), p.digest()
			c.Labels["artifact"] = p.Name
		}
	}
	switch predicate {
	case "deployed", "upgraded":
		c.Kind = triage.KindDeploy
	case "rolledback":
		c.Kind = triage.KindRollback
	case "removed":
		c.Kind = triage.KindDeploy
		c.Labels["subkind"] = "removed"
		c.Reversible = triage.Reversible{Value: triage.ReversibleNo, Reason: "the service was removed"}
	case "published":
		c.Kind = triage.KindConfig
		c.Labels["subkind"] = "traffic"
	default:
		return &triage.Ignored{Reason: fmt.Sprintf("CDEvent service.%s is not one this reads", clip(predicate))}
	}
	c.Title = strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Service, predicate, c.Version))
	return nil
}

func (e cdevent) environment(c *triage.Change, predicate string, at time.Time) error {
	if e.Subject.ID == "" {
		return &triage.FieldError{Field: "subject.id", Remedy: "is required: the environment"}
	}
	switch predicate {
	case "created", "modified", "deleted":
	default:
		return &triage.Ignored{Reason: fmt.Sprintf("CDEvent environment.%s is not one this reads", clip(predicate))}
	}
	c.Kind, c.Environment = triage.KindInfra, e.Subject.ID
	c.Status, c.FinishedAt = triage.StatusSucceeded, at
	if predicate == "deleted" {
		c.Reversible = triage.Reversible{Value: triage.ReversibleNo, Reason: "the environment was deleted"}
	}
	name := e.Subject.Content.Name
	if name == "" {
		name = e.Subject.ID
	}
	c.Title = "environment " + name + " " + predicate
	return nil
}

// run reads pipelinerun.* and taskrun.* of listed pipelines. Start and end are two events; the shared ref makes them one Change.
func (e cdevent) run(c *triage.Change, subject, predicate string, at time.Time, pipelines map[string]Pipeline) error {
	name := e.Subject.Content.PipelineName
	if subject == "taskrun" {
		name = e.Subject.Content.TaskName
	}
	p, ok := pipelines[name]
	if !ok {
		return &triage.Ignored{Reason: fmt.Sprintf("%s %q is not listed as one that deploys", subject, clip(name))}
	}
	if e.Subject.ID == "" {
		return &triage.FieldError{Field: "subject.id", Remedy: "is required: the run"}
	}
	source := e.Subject.Source
	if source == "" {
		source = e.Context.Source
	}
	c.Kind, c.Service, c.Environment = triage.KindDeploy, p.Service, p.Environment
	c.Refs = []triage.Ref{{System: "cdevents-" + subject, ID: source + "#" + e.Subject.ID, URL: c.URL}}
	c.Title = name
	switch predicate {
	case "queued":
		return &triage.Ignored{Reason: subject + ".queued: nothing runs yet"}
	case "started":
		c.Status, c.StartedAt = triage.StatusStarted, at
	case "finished":
		c.FinishedAt = at
		switch strings.ToLower(e.Subject.Content.Outcome) {
		case "success":
			c.Status = triage.StatusSucceeded
		case "cancel", "cancelled", "canceled":
			c.Status = triage.StatusCancelled
		default: // failure, error, and whatever else is no success
			c.Status = triage.StatusFailed
		}
	default:
		return &triage.Ignored{Reason: fmt.Sprintf("CDEvent %s.%s is not one this reads", subject, clip(predicate))}
	}
	return nil
}
