package cloudevents

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

const digest = "sha256:0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427"

// specDeploy is what the conformance samples of the CDEvents specification say of service deployments, in every version.
func specDeploy(kind, title string) string {
	return kind + " succeeded service=mySubject123 env=test123 version=" + digest + " digest=" + digest + " ?–2023-03-20T14:27:05Z " + title
}

// ours are the samples of this repository and their namesakes in the shared collection.
var ours = map[string]string{
	"cdevents/service_deployed.json":                        "deploy succeeded service=checkout env=production version=v2.31.0 digest=" + digest + " ?–2026-03-02T14:21:07Z checkout deployed v2.31.0",
	"cdevents/change_merged.json":                           "ignored: change.merged: code, nothing runs yet",
	"cloudevents/batch.json":                                `ignored: CloudEvents type "com.example.config.changed" is not one this reads; use a mapping for it`,
	"cloudevents/kafka-binary.json":                         specDeploy("deploy", "mySubject123 upgraded "+digest),
	"cloudevents/structured.cdevents.service_upgraded.json": specDeploy("deploy", "mySubject123 upgraded "+digest),
}

// captured are the conformance samples of the CDEvents specification.
var captured = map[string]string{
	"cdevents/service_deployed.json":         specDeploy("deploy", "mySubject123 deployed "+digest),
	"cdevents/service_deployed.0.4.1.json":   specDeploy("deploy", "mySubject123 deployed "+digest),
	"cdevents/service_deployed.0.5.1.json":   specDeploy("deploy", "mySubject123 deployed "+digest),
	"cdevents/service_upgraded.json":         specDeploy("deploy", "mySubject123 upgraded "+digest),
	"cdevents/service_upgraded.0.4.1.json":   specDeploy("deploy", "mySubject123 upgraded "+digest),
	"cdevents/service_upgraded.0.5.1.json":   specDeploy("deploy", "mySubject123 upgraded "+digest),
	"cdevents/service_rolledback.json":       specDeploy("rollback", "mySubject123 rolledback "+digest),
	"cdevents/service_rolledback.0.4.1.json": specDeploy("rollback", "mySubject123 rolledback "+digest),
	"cdevents/service_rolledback.0.5.1.json": specDeploy("rollback", "mySubject123 rolledback "+digest),
	"cdevents/service_removed.json":          "deploy succeeded service=mySubject123 env=test123 subkind=removed reversible=no ?–2023-03-20T14:27:05Z mySubject123 removed",
	"cdevents/service_published.json":        "config succeeded service=mySubject123 env=test123 subkind=traffic ?–2023-03-20T14:27:05Z mySubject123 published",
	"cdevents/environment_created.json":      "infra succeeded env=mySubject123 ?–2023-03-20T14:27:05Z environment testEnv created",
	"cdevents/environment_modified.json":     "infra succeeded env=mySubject123 ?–2023-03-20T14:27:05Z environment testEnv modified",
	"cdevents/environment_deleted.json":      "infra succeeded env=mySubject123 reversible=no ?–2023-03-20T14:27:05Z environment testEnv deleted",
	"cdevents/pipelinerun_started.json":      `ignored: pipelinerun "myPipeline" is not listed as one that deploys`,
	"cdevents/pipelinerun_finished.json":     `ignored: pipelinerun "myPipeline" is not listed as one that deploys`,
	"cdevents/taskrun_finished.json":         `ignored: taskrun "myTask" is not listed as one that deploys`,
	"cdevents/change_merged.json":            "ignored: change.merged: code, nothing runs yet",
	"cdevents/artifact_published.json":       "ignored: artifact.published: names a version, nothing runs yet",
	"cdevents/build_finished.json":           "ignored: build.finished: names a version, nothing runs yet",
	"cdevents/incident_detected.json":        "ignored: incident.detected: an incident, not a change; send alerts to /api/v1/alerts",
	"cdevents/incident_reported.json":        "ignored: incident.reported: an incident, not a change; send alerts to /api/v1/alerts",
	"cdevents/incident_resolved.json":        "ignored: incident.resolved: an incident, not a change; send alerts to /api/v1/alerts",
	"cloudevents/cloudevents.schema.json":    "not an event",
}

// decodeSample reads a sample in the way its file is meant: the Kafka record is written as JSON, the batch needs its header.
func decodeSample(t *testing.T, file string, body []byte) ([]triage.Event, error) {
	switch {
	case strings.HasPrefix(file, "kafka-binary"):
		var rec struct {
			Headers map[string]string
			Value   json.RawMessage
		}
		if err := json.Unmarshal(body, &rec); err != nil {
			t.Fatal(err)
		}
		var hs []Header
		for k, v := range rec.Headers {
			hs = append(hs, Header{Key: k, Value: []byte(v)})
		}
		return DecodeRecord(hs, rec.Value, at)
	case strings.HasPrefix(file, "batch"):
		return DecodeHTTP(http.Header{"Content-Type": {"application/cloudevents-batch+json"}}, body)
	}
	return DecodeHTTP(http.Header{"Content-Type": {"application/json"}}, body)
}

func summary(events []triage.Event, err error) string {
	if reason, ok := triage.IsIgnored(err); ok {
		return "ignored: " + reason
	}
	if err != nil {
		return "error: " + err.Error()
	}
	var lines []string
	for _, e := range events {
		c := e.Change
		var s strings.Builder
		fmt.Fprintf(&s, "%s %s", c.Kind, c.Status)
		for _, f := range []struct{ name, value string }{
			{"service", c.Service},
			{"env", c.Environment},
			{"version", c.Version},
			{"digest", c.Digest},
			{"subkind", c.Labels["subkind"]},
			{"reversible", string(c.Reversible.Value)},
		} {
			if f.value != "" {
				s.WriteString(" " + f.name + "=" + f.value)
			}
		}
		if !c.StartedAt.IsZero() {
			s.WriteString(" started")
		}
		lines = append(lines, s.String()+" ?–"+c.FinishedAt.Format("2006-01-02T15:04:05Z")+" "+c.Title)
	}
	return strings.Join(lines, "\n")
}

func TestPayloads(t *testing.T) {
	t.Run("repository", func(t *testing.T) {
		checkPayloads(t, "../../testdata/payloads", func(_, key string) string { return ours[key] })
	})
	t.Run("shared", func(t *testing.T) {
		shared := os.Getenv("TRIAGED_SHARED")
		if shared == "" {
			t.Skip("TRIAGED_SHARED is not set: captured payloads are not tested")
		}
		checkPayloads(t, filepath.Join(shared, "payloads"), func(file, key string) string {
			if strings.Contains(file, ".authored.") {
				return ours[strings.Replace(key, ".authored", "", 1)]
			}
			return captured[key]
		})
	})
}

func checkPayloads(t *testing.T, root string, want func(file, key string) string) {
	n := 0
	for _, folder := range []string{"cdevents", "cloudevents"} {
		files, err := filepath.Glob(filepath.Join(root, folder, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			n++
			file := filepath.Base(path)
			key := folder + "/" + file
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := summary(decodeSample(t, file, body))
			switch w := want(file, key); {
			case w == "":
				t.Errorf("%s: no expectation; it gives %s", key, got)
			case w == "not an event":
				if got != "error: "+ErrNotCloudEvent.Error() {
					t.Errorf("%s: want it refused, got %s", key, got)
				}
			case got != w:
				t.Errorf("%s:\nwant %s\n got %s", key, w, got)
			}
		}
	}
	if n == 0 {
		t.Errorf("no payloads in %s", root)
	}
}
