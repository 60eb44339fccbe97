package github

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

// lenientSource takes the repositories of one owner, with all that can be a Change, and keeps what is set aside.
func lenientSource(t *testing.T, patterns ...string) (*Source, *[]triage.Quarantined) {
	t.Helper()
	cfg := DefaultConfig()
	for _, p := range patterns {
		cfg.Repositories = append(cfg.Repositories, everything(p))
	}
	cfg.Webhook = &Webhook{Secret: testSecret}
	var aside []triage.Quarantined
	s := newTestSource(t, Options{Config: cfg, Transport: refuseAll{t}, Quarantine: func(_ context.Context, q triage.Quarantined) { aside = append(aside, q) }})
	return s, &aside
}

// An organisation's push names the organisation as a string, a custom property may be a list, and tomorrow another field will
// have another form: what is not read can refuse nothing. Every field that is not read is replaced in turn by every other kind of value.
func TestAFieldThatIsNotReadRefusesNothing(t *testing.T) {
	for event, file := range map[string]string{
		"push": "push.config", "deployment_status": "deployment_status.success", "workflow_run": "workflow_run.completed",
		"release": "release.published", "pull_request": "pull_request.merged",
	} {
		t.Run(event, func(t *testing.T) {
			body := fixture(t, file)
			s, aside := lenientSource(t, "lumen-shop/*")
			var whole map[string]any
			if err := json.Unmarshal(body, &whole); err != nil {
				t.Fatal(err)
			}
			whole["organization"] = "lumen-shop"
			repo, _ := whole["repository"].(map[string]any)
			for _, odd := range []any{"text", 7, true, nil, []any{"a", 1}, map[string]any{"a": []any{}}} {
				for _, name := range []string{"organization", "custom_properties", "topics", "license", "owner", "created_at", "permissions", "a_field_of_tomorrow"} {
					repo[name] = odd
				}
				for _, name := range []string{"sender", "enterprise", "installation", "pusher", "compare", "check_run"} {
					whole[name] = odd
				}
				out, err := json.Marshal(whole)
				if err != nil {
					t.Fatal(err)
				}
				w, rec := serve(t, s, (&recorder{}).emit), &recorder{}
				if status, answer := deliverTo(t, w, headers(event, "", out), out); status != 200 || len(*aside) > 0 {
					t.Fatalf("%v: want 200, got %d %s, set aside %v", odd, status, answer, *aside)
				}
				if out, err := s.Webhook(t.Context(), headers(event, "", out), out, rec.emit); out != OutcomeAccepted || err != nil {
					t.Errorf("%v: want it accepted, got %s, %v", odd, out, err)
				}
			}
		})
	}
}

// What was signed but cannot be understood is kept whole and read again once that has been mended: nothing is lost by a refusal.
func TestUnreadableDeliveriesAreKeptAndReadAgain(t *testing.T) {
	s, aside := lenientSource(t, "lumen-shop/*")
	u := serve(t, s, (&recorder{}).emit)
	good := fixture(t, "deployment_status.success")
	for name, body := range map[string]string{
		"not JSON": "{", "no repository": "{}", "id of another form": strings.ReplaceAll(string(good), `"id":`, `"id":[],"was":`),
	} {
		*aside = nil
		status, answer := deliverTo(t, u, headers("deployment_status", name, []byte(body)), []byte(body))
		if status != http.StatusBadRequest || !strings.Contains(answer, "quarantine") {
			t.Errorf("%s: want 400 that names the quarantine, got %d %s", name, status, answer)
		}
		if len(*aside) != 1 || string((*aside)[0].Body) != body || (*aside)[0].Headers["x-github-event"] != "deployment_status" {
			t.Fatalf("%s: want the body and its event kept, got %+v", name, *aside)
		}
		for header, value := range (*aside)[0].Headers {
			if strings.Contains(strings.ToLower(header+value), "sha256") {
				t.Errorf("%s: a signature was kept: %s", name, header)
			}
		}
		if _, err := s.Redecode((*aside)[0]); err == nil {
			t.Errorf("%s: reads well now", name)
		}
	}
	q := (*aside)[0]
	q.Body = good // as a newer version would be able to read it
	events, err := s.Redecode(q)
	if err != nil || len(events) != 1 || events[0].Change.Kind != triage.KindDeploy {
		t.Errorf("want the deploy, got %+v, %v", events, err)
	}
	forged := headers("deployment_status", "x", []byte("{"))
	forged.Set("X-Hub-Signature-256", sign([]byte("other")))
	*aside = nil
	if status, _ := deliverTo(t, u, forged, []byte("{")); status != http.StatusUnauthorized || len(*aside) != 0 {
		t.Errorf("unsigned: want 401 and nothing kept, got %d, %d", status, len(*aside))
	}
}

// A delivery without a readable time happened about when it was told, and says that this is not sure.
func TestUnreadableTimeIsNowAndUncertain(t *testing.T) {
	s, _ := lenientSource(t, "lumen-shop/*")
	body := `{"deployment":{"id":9,"sha":"2222222222222222222222222222222222222222","environment":"production","created_at":"yesterday"},
		"deployment_status":{"state":"success","created_at":"2026-11-27T16:41:00"},"repository":{"full_name":"lumen-shop/checkout"}}`
	f, err := s.readEvent("deployment_status", []byte(body))
	if err != nil || len(f.changes) != 1 {
		t.Fatalf("got %+v, %v", f, err)
	}
	c := f.changes[0]
	if !c.FinishedAt.Equal(c.ObservedAt) || c.TimeUncertaintyS != unreadTime.Seconds() || !c.StartedAt.IsZero() {
		t.Errorf("started %s finished %s ± %v", c.StartedAt, c.FinishedAt, c.TimeUncertaintyS)
	}
}

// The examples that GitHub's own library is tested with, where they are: npm pack @octokit/webhooks-examples, unpacked, and also those of the
// Enterprise servers in it.
func TestOctokitExamplesAreAllAnswered200(t *testing.T) {
	root := os.Getenv("OCTOKIT_EXAMPLES")
	if root == "" {
		t.Skip("OCTOKIT_EXAMPLES is not set: the examples of @octokit/webhooks-examples are not tested")
	}
	files, err := filepath.Glob(filepath.Join(root, "*", "index.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no index.json below %s: %v", root, err)
	}
	total, changes, quiet := 0, 0, 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var events []struct {
			Name     string            `json:"name"`
			Examples []json.RawMessage `json:"examples"`
		}
		if err := json.Unmarshal(raw, &events); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		owners := make(map[string]bool)
		for _, e := range events {
			for _, body := range e.Examples {
				var d delivery
				_ = unmarshal(body, &d)
				if owner, _, ok := strings.Cut(d.Repository.FullName, "/"); ok {
					owners[strings.ToLower(owner)+"/*"] = true
				}
			}
		}
		s, aside := lenientSource(t, slices.Sorted(maps.Keys(owners))...)
		rec := &recorder{}
		u := serve(t, s, rec.emit)
		for _, e := range events {
			for i, body := range e.Examples {
				total++
				before := len(rec.changes)
				status, answer := deliverTo(t, u, headers(e.Name, "", body), body)
				if status != 200 {
					t.Errorf("%s: %s[%d]: %d %s", file, e.Name, i, status, answer)
				}
				if len(rec.changes) == before {
					quiet++
				}
			}
		}
		changes += len(rec.changes)
		if len(*aside) > 0 {
			t.Errorf("%s: set aside: %+v", file, (*aside)[0].Reason)
		}
	}
	t.Logf("%d examples answered 200: %d changes, %d that are none", total, changes, quiet)
}
