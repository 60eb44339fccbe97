package github

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// The wire types hold what this package reads and nothing else: GitHub changes the form of other fields with the event, the
// product and the year, and what nobody reads must not be able to refuse an event. A field that is read but has another form than
// ever seen is left empty; what an event cannot do without is asked for afterwards, in readEvent.

// unmarshal reads JSON into a wire type. encoding/json goes on after a value of the wrong type and reports it at the end: that
// report is dropped. What stays an error is a body that is no JSON.
func unmarshal(data []byte, v any) error {
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] != '{' && json.Valid(trimmed) {
		return errors.New("want a JSON object")
	}
	err := json.Unmarshal(data, v)
	if _, odd := errors.AsType[*json.UnmarshalTypeError](err); odd {
		return nil
	}
	return err
}

// stamp is a time in any form GitHub uses: RFC 3339, or Unix seconds as in pushed_at of a push. One that cannot be read is zero.
type stamp struct{ time.Time }

func (s *stamp) UnmarshalJSON(raw []byte) error {
	at, err := triage.ParseTimeJSON(raw)
	if err == nil {
		s.Time = at
	}
	return nil
}

// user is a person or a bot; of it only the link is ever kept.
type user struct {
	Login   string `json:"login"`
	HTMLURL string `json:"html_url"`
}

type deployment struct {
	ID          int64           `json:"id"`
	SHA         string          `json:"sha"`
	Ref         string          `json:"ref"`
	Task        string          `json:"task"`
	Payload     json.RawMessage `json:"payload"`
	Environment string          `json:"environment"`
	Description string          `json:"description"`
	Creator     user            `json:"creator"`
	CreatedAt   stamp           `json:"created_at"`
	UpdatedAt   stamp           `json:"updated_at"`
	Transient   bool            `json:"transient_environment"`
	Production  bool            `json:"production_environment"`
	Via         struct {
		Slug string `json:"slug"`
	} `json:"performed_via_github_app"`
}

const (
	actionsBot = "github-actions[bot]"
	actionsApp = "github-actions"
)

// byActions reports whether GitHub Actions made the deployment. Such a one may wait for an approval first, and always says when it
// runs; of all others the creation is the best start we know.
func (d *deployment) byActions() bool {
	return d.Creator.Login == actionsBot || d.Via.Slug == actionsApp
}

// payload is what the deployer attached: an object, an object in a string, or text, which is none.
func (d *deployment) payload() map[string]any {
	raw := d.Payload
	var s string
	if json.Unmarshal(raw, &s) == nil {
		raw = json.RawMessage(s)
	}
	var m map[string]any
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

// lookup walks a dotted path to a string; "" when there is none.
func lookup(m map[string]any, path string) string {
	if path == "" {
		return ""
	}
	key, rest, deeper := strings.Cut(path, ".")
	switch v := m[key].(type) {
	case string:
		if !deeper {
			return clean(v)
		}
	case map[string]any:
		if deeper {
			return lookup(v, rest)
		}
	}
	return ""
}

type deploymentStatus struct {
	State       string `json:"state"`
	Environment string `json:"environment"`
	LogURL      string `json:"log_url"`
	TargetURL   string `json:"target_url"`
	CreatedAt   stamp  `json:"created_at"`
}

type workflow struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

type workflowRun struct {
	ID              int64  `json:"id"`
	Name            string `json:"name"`
	Path            string `json:"path"`
	Event           string `json:"event"`
	Status          string `json:"status"`
	Conclusion      string `json:"conclusion"`
	HeadBranch      string `json:"head_branch"`
	HeadSHA         string `json:"head_sha"`
	DisplayTitle    string `json:"display_title"`
	HTMLURL         string `json:"html_url"`
	RunAttempt      int    `json:"run_attempt"`
	Actor           user   `json:"actor"`
	TriggeringActor user   `json:"triggering_actor"`
	CreatedAt       stamp  `json:"created_at"`
	UpdatedAt       stamp  `json:"updated_at"`
	RunStartedAt    stamp  `json:"run_started_at"`
}

// file is the workflow's path, without the ref that GitHub appends for reusable ones.
func (w *workflowRun) file() string {
	p, _, _ := strings.Cut(w.Path, "@")
	return p
}

// start is when this attempt began to run.
func (w *workflowRun) start() time.Time {
	if !w.RunStartedAt.IsZero() {
		return w.RunStartedAt.Time
	}
	return w.CreatedAt.Time
}

type workflowJob struct {
	ID          int64  `json:"id"`
	RunID       int64  `json:"run_id"`
	RunAttempt  int    `json:"run_attempt"`
	Status      string `json:"status"`
	Conclusion  string `json:"conclusion"`
	HTMLURL     string `json:"html_url"`
	StartedAt   stamp  `json:"started_at"`
	CompletedAt stamp  `json:"completed_at"`
}
