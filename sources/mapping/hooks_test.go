package mapping

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

var received = time.Date(2026, 3, 2, 14, 30, 0, 0, time.UTC)

func shipped(t testing.TB) map[string]*Mapping {
	t.Helper()
	ms, err := Load(os.DirFS("../../configs/hooks"))
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

// summary says what a mapping made of an input, in one line per event: everything a ranking or a person would use.
func summary(events []triage.Event, err error) string {
	if reason, ok := triage.IsIgnored(err); ok {
		return "ignored: " + reason
	}
	if err != nil {
		return "error: " + err.Error()
	}
	var lines []string
	at := func(t time.Time) string {
		if t.IsZero() {
			return "?"
		}
		return t.UTC().Format("2006-01-02T15:04:05Z")
	}
	for _, e := range events {
		if a := e.Anomaly; a != nil {
			lines = append(lines, fmt.Sprintf("anomaly %s %s/%s %s at %s", a.Signal, a.Namespace, a.Service, a.Series, at(a.Onset.Best)))
			continue
		}
		c := e.Change
		var s strings.Builder
		fmt.Fprintf(&s, "%s %s %s", c.ID, c.Kind, c.Status)
		for _, f := range []struct{ name, value string }{
			{"service", c.Service},
			{"env", c.Environment},
			{"ns", c.Namespace},
			{"version", c.Version},
			{"previous", c.PreviousVersion},
			{"digest", c.Digest},
			{"flag", c.Labels["flag"]},
			{"from", c.Labels["from"]},
			{"to", c.Labels["to"]},
			{"sha", c.Labels["sha"]},
			{"subkind", c.Labels["subkind"]},
			{"reversible", string(c.Reversible.Value)},
		} {
			if f.value != "" {
				s.WriteString(" " + f.name + "=" + f.value)
			}
		}
		if c.RolloutPercent != nil {
			fmt.Fprintf(&s, " percent=%v", *c.RolloutPercent)
		}
		fmt.Fprintf(&s, " %s–%s %q", at(c.StartedAt), at(c.FinishedAt), c.Title)
		lines = append(lines, s.String())
	}
	return strings.Join(lines, "\n")
}

// ours are the fixtures of this repository, and the files of the same name in the shared collection.
var ours = map[string]string{
	"argo-rollouts/rollout.aborted.json":       `argo-rollouts:checkout/checkout/6f7c9d deploy cancelled service=checkout ns=checkout version=v2.31.0 reversible=yes ?–2026-03-02T14:28:00Z "rollout of checkout aborted"`,
	"argo-rollouts/rollout.completed.json":     `argo-rollouts:checkout/checkout/6f7c9d deploy succeeded service=checkout ns=checkout version=v2.31.0 digest=sha256:0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427 reversible=yes ?–2026-03-02T14:30:00Z "rollout of checkout"`,
	"argocd/sync.failed.json":                  `argocd:argocd/checkout/2026-03-02T14:21:07Z deploy failed service=checkout ns=checkout version=v2.31.0 reversible=yes 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "Argo CD sync of checkout to v2.31.0"`,
	"argocd/sync.succeeded.json":               `argocd:argocd/checkout/2026-03-02T14:21:07Z deploy succeeded service=checkout ns=checkout version=v2.31.0 reversible=yes 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "Argo CD sync of checkout to v2.31.0"`,
	"flagsmith/flag_updated.identity.json":     `ignored: an override for one identity`,
	"flagsmith/flag_updated.json":              `flagsmith:23/7168/2026-03-02T14:21:07.118Z flag succeeded env=Production flag=new_pricing from=off to=on reversible=yes 2026-03-02T14:21:07Z–? "flag new_pricing turned on in Production"`,
	"flipt/audit.flag_updated.json":            `flipt:production/flag/checkout-new-pricing/2026-03-02T09:21:07-05:00 flag succeeded flag=checkout-new-pricing to=on reversible=yes 2026-03-02T14:21:07Z–? "flag checkout-new-pricing set to on in namespace production"`,
	"flux/helmrelease.rollback_succeeded.json": `flux:HelmRelease/checkout/checkout@2.31.0/rollback/2026-03-02T14:30:00Z rollback succeeded service=checkout env=production ns=checkout version=2.30.4 previous=2.31.0 ?–2026-03-02T14:30:00Z "Helm rollback to previous release checkout/checkout.v41 with chart checkout@2.30.4 succeeded"`,
	"flux/helmrelease.upgrade_succeeded.json":  `flux:HelmRelease/checkout/checkout@2.31.0/v42 deploy succeeded service=checkout env=production ns=checkout version=2.31.0 ?–2026-03-02T14:21:40Z "Helm upgrade succeeded for release checkout/checkout.v42 with chart checkout@2.31.0"`,
	"flux/kustomization.progressing.json": `flux:Deployment/checkout/checkout@main@sha1:9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6/2026-03-02T14:21:07Z deploy succeeded service=checkout ns=checkout version=9c1f2be reversible=unknown 2026-03-02T14:21:07Z–? "Deployment checkout configured by Flux apps"
flux:ConfigMap/checkout/checkout-config@main@sha1:9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6/2026-03-02T14:21:07Z config succeeded ns=checkout version=9c1f2be reversible=unknown 2026-03-02T14:21:07Z–? "ConfigMap checkout-config configured by Flux apps"`,
	"flux/kustomization.validation_failed.json":  `ignored: nothing was applied`,
	"gitlab/deployment.created.json":             `ignored: the deployment waits and nothing runs yet`,
	"gitlab/deployment.running.json":             `gitlab:acme/checkout/deployment/15 deploy started service=acme/checkout env=production version=9c1f2be4 sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 2026-03-02T14:21:07Z–? "Price in cents"`,
	"gitlab/deployment.success.json":             `gitlab:acme/checkout/deployment/15 deploy succeeded service=acme/checkout env=production version=9c1f2be4 sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 ?–2026-03-02T14:22:01Z "Price in cents"`,
	"gitlab/pipeline.json":                       `gitlab:acme/checkout/job/796 deploy succeeded service=acme/checkout env=production version=9c1f2be4 sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "Price in cents"`,
	"gitlab/push.json":                           `ignored: code, or talk about it: nothing runs yet`,
	"growthbook/feature.revision.published.json": `growthbook:checkout-new-pricing/12/production flag succeeded env=production flag=checkout-new-pricing to=on reversible=yes percent=100 2026-03-02T14:21:07Z–? "flag checkout-new-pricing: ramp to 100% in production"`,
	"jenkins/finalized.success.json":             `jenkins:https://jenkins.example.com/job/deploy-checkout/118/ deploy succeeded service=checkout env=production version=v2.31.0 sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 2026-03-02T14:22:07Z–2026-03-02T14:23:01Z "deploy-checkout #118"`,
	"jenkins/started.json":                       `jenkins:https://jenkins.example.com/job/deploy-checkout/118/ deploy started service=checkout env=production version=v2.31.0 2026-03-02T14:22:07Z–? "deploy-checkout #118"`,
	"jenkins/unit-tests.json":                    `ignored: a build: its job neither takes ENVIRONMENT nor deploys by name`,
	"kubernetes/audit.configmap.update.json":     `kubernetes-audit:7e0cbccf-8d8a-4f5f-aefb-60b8af2d2ad5 config succeeded service=checkout ns=checkout reversible=unknown 2026-03-02T14:21:07Z–? "configmaps/checkout-config updated in checkout"`,
	"kubernetes/audit.deployment.patch.json":     `kubernetes-audit:7e0cbccf-8d8a-4f5f-aefb-60b8af2d2ad5 deploy succeeded service=checkout ns=checkout version=v2.31.0 reversible=yes 2026-03-02T14:21:07Z–? "deployments/checkout patched in checkout"`,
	"kubernetes/audit.list.json": `kubernetes-audit:a2 scale succeeded service=checkout ns=checkout reversible=unknown 2026-03-02T14:21:07Z–? "deployments/checkout scaled in checkout"
kubernetes-audit:a3 command succeeded service=cart ns=checkout subkind=restart reversible=unknown 2026-03-02T14:21:08Z–? "deployments/cart restarted in checkout"
kubernetes-audit:a4 config succeeded ns=checkout subkind=removed reversible=no 2026-03-02T14:21:09Z–? "networkpolicies/allow-db deleted in checkout"`,
	"kubernetes/event.oomkilling.json":             `anomaly saturation checkout/checkout kubernetes events OOMKilling at 2026-03-02T14:25:00Z`,
	"kubernetes/event.pulled.json":                 `ignored: an event that says nothing of a change`,
	"kubernetes/event.scalingreplicaset.json":      `kubernetes:checkout/checkout-6f7c9d deploy started service=checkout ns=checkout from=0 to=3 reversible=yes 2026-03-02T14:21:08Z–? "new ReplicaSet checkout-6f7c9d"`,
	"launchdarkly/flag.renamed.json":               `ignored: the flag's values for users are as before`,
	"launchdarkly/flag.rollout_changed.json":       `launchdarkly:65e1c0a8e2996909074352a3 flag succeeded env=production flag=checkout-new-pricing from=10% to=100% reversible=yes percent=100 2026-03-02T14:21:07Z–? "flag checkout-new-pricing rollout 10 % → 100 % in production"`,
	"launchdarkly/flag.turned_off.json":            `launchdarkly:65e1c0a8e2996909074352a2 flag succeeded env=production flag=checkout-new-pricing from=on to=off reversible=yes 2026-03-02T14:21:07Z–? "flag checkout-new-pricing turned off in production"`,
	"launchdarkly/flag.turned_on.json":             `launchdarkly:65e1c0a8e2996909074352a1 flag succeeded env=production flag=checkout-new-pricing from=off to=on reversible=yes 2026-03-02T14:21:07Z–? "flag checkout-new-pricing turned on in production"`,
	"pagerduty/change_event.deploy.json":           `pagerduty:489c56ae695bce84 deploy succeeded service=checkout env=production version=v2.31.0 previous=v2.30.4 reversible=yes ?–2026-03-02T14:22:01Z "checkout v2.31.0 deployed to production"`,
	"pagerduty/event.trigger.json":                 `ignored: an alert event, not a change event; alerts go to /api/v1/alerts`,
	"spinnaker/orca_pipeline_complete.json":        `spinnaker:01HQZ8 deploy succeeded service=checkout env=prod version=v2.31.0 2026-03-02T14:21:07Z–2026-03-02T14:22:07Z "Deploy to production of checkout"`,
	"split/split.updated.json":                     `split:Production/checkout_new_pricing/1772461267118 flag succeeded env=production flag=checkout_new_pricing from=10% to=100% reversible=yes percent=100 2026-03-02T14:21:07Z–? "flag checkout_new_pricing rollout 10 % → 100 % in Production"`,
	"terraform-cloud/run_applying.json":            `terraform:run-1 infra started service=prod-network version=run-1 2026-03-02T14:21:07Z–? "Raise connection limit"`,
	"terraform-cloud/run_completed.json":           `terraform:run-1 infra succeeded service=prod-network version=run-1 ?–2026-03-02T14:22:41Z "Raise connection limit"`,
	"terraform-cloud/verification.json":            `ignored: the notification was only tried out`,
	"unleash/feature-environment-disabled.json":    `unleash:27402 flag succeeded env=production flag=checkout-new-pricing from=on to=off reversible=yes 2026-03-02T14:21:07Z–? "flag checkout-new-pricing turned off in production"`,
	"unleash/feature-environment-enabled.json":     `unleash:27401 flag succeeded env=production flag=checkout-new-pricing from=off to=on reversible=yes 2026-03-02T14:21:07Z–? "flag checkout-new-pricing turned on in production"`,
	"unleash/feature-strategy-update.rollout.json": `unleash:27403 flag succeeded env=production flag=checkout-new-pricing from=10% to=100% reversible=yes percent=100 2026-03-02T14:21:07Z–? "flag checkout-new-pricing rollout 10% → 100% in production"`,
}

// captured are the other files of the shared collection: other people's samples, which are not in this repository.
var captured = map[string]string{
	"argocd/triaged-template.yaml":                  `error: mapping argocd: is not JSON: invalid character '#' looking for beginning of value`,
	"flagsmith/audit_log.feature_created.json":      `ignored: a line of the audit log; send the environment webhook instead`,
	"flagsmith/flag_updated.enabled.json":           `flagsmith:23/7168/2021-06-18T07:50:26.595298Z flag succeeded env=Development flag=butter_bar from=off to=on reversible=yes 2021-06-18T07:50:26Z–? "flag butter_bar turned on in Development"`,
	"launchdarkly/webhook.environment_renamed.json": `ignored: LaunchDarkly changed something else than a flag or a segment`,
	"flux/kustomization.validation_failed.json":     `ignored: nothing was applied`,
	"gitlab/deployment.canceled.derived.json":       `gitlab:root/test-deployment-webhooks/deployment/15 deploy cancelled service=root/test-deployment-webhooks env=staging version=279484c0 sha=279484c09fbe69ededfced8c1bb6e6d24616b468 ?–2021-04-28T19:50:00Z "Add new file"`,
	"gitlab/deployment.failed.derived.json":         `gitlab:root/test-deployment-webhooks/deployment/15 deploy failed service=root/test-deployment-webhooks env=staging version=279484c0 sha=279484c09fbe69ededfced8c1bb6e6d24616b468 ?–2021-04-28T19:50:00Z "Add new file"`,
	"gitlab/deployment.running.derived.json":        `gitlab:root/test-deployment-webhooks/deployment/15 deploy started service=root/test-deployment-webhooks env=staging version=279484c0 sha=279484c09fbe69ededfced8c1bb6e6d24616b468 2021-04-28T19:50:00Z–? "Add new file"`,
	"gitlab/deployment.success.json":                `gitlab:root/test-deployment-webhooks/deployment/15 deploy succeeded service=root/test-deployment-webhooks env=staging version=279484c0 sha=279484c09fbe69ededfced8c1bb6e6d24616b468 ?–2021-04-28T19:50:00Z "Add new file"`,
	"gitlab/merge_request.json":                     `ignored: code, or talk about it: nothing runs yet`,
	"gitlab/pipeline.json":                          `ignored: there is no change in it`,
	"gitlab/pipeline.with-environment.json":         `ignored: the job with an environment has not run`,
	"gitlab/push.json":                              `ignored: code, or talk about it: nothing runs yet`,
	"gitlab/release.json":                           `ignored: code, or talk about it: nothing runs yet`,
	"gitlab/tag_push.json":                          `ignored: code, or talk about it: nothing runs yet`,
	"spinnaker/orca_task_complete.txt":              `error: mapping spinnaker: is not JSON: invalid character '.' looking for beginning of value`,
}

// elsewhere are folders of samples that other packages read or write; no mapping may see a change in them.
var elsewhere = map[string]string{
	"alertmanager": "alerting", "alertmanager-eventrecorder": "alerting", "grafana-alerting": "alerting", "prometheus": "sources/prometheus",
	"cdevents": "sources/cloudevents", "cloudevents": "sources/cloudevents", "github-rest": "sources/github", "github-webhooks": "sources/github",
	"slack": "alerting/slack", "msteams": "alerting", "opsgenie": "alerting", "backstage": "configs",
}

// mappingOf names the mapping of a sample.
func mappingOf(folder, file string) string {
	if folder != "kubernetes" {
		return folder
	}
	kind, _, _ := strings.Cut(file, ".")
	return map[string]string{"audit": "kubernetes-audit", "event": "kubernetes-events"}[kind]
}

func TestPayloads(t *testing.T) {
	t.Run("repository", func(t *testing.T) {
		checkPayloads(t, "../../testdata/payloads", func(_, key string) (string, bool) {
			if w, ok := further[key]; ok {
				return w, true
			}
			w, ok := ours[key]
			return w, ok
		})
	})
	t.Run("shared", func(t *testing.T) {
		shared := os.Getenv("TRIAGED_SHARED")
		if shared == "" {
			t.Skip("TRIAGED_SHARED is not set: captured payloads are not tested")
		}
		checkPayloads(t, filepath.Join(shared, "payloads"), func(file, key string) (string, bool) {
			if strings.Contains(file, ".authored.") {
				w, ok := ours[strings.Replace(key, ".authored", "", 1)]
				return w, ok
			}
			w, ok := captured[key]
			return w, ok
		})
	})
}

// checkPayloads decodes every file with its mapping and wants exactly what the table says; every other mapping must leave it alone.
func checkPayloads(t *testing.T, root string, want func(file, key string) (string, bool)) {
	ms := shipped(t)
	files, err := filepath.Glob(filepath.Join(root, "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no payloads in %s: %v", root, err)
	}
	for _, path := range files {
		file := filepath.Base(path)
		folder := strings.TrimPrefix(filepath.Base(filepath.Dir(path)), "flags-")
		key := folder + "/" + file
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		owner := mappingOf(folder, file)
		if elsewhere[folder] == "" {
			w, ok := want(file, key)
			if !ok || ms[owner] == nil {
				t.Errorf("%s: no expectation, or no mapping %q", key, owner)
				continue
			}
			if got := summary(ms[owner].Decode(nil, body, received)); got != w {
				t.Errorf("%s:\nwant %s\n got %s", key, w, got)
			}
		}
		for name, m := range ms {
			if name == owner {
				continue
			}
			if events, err := m.Decode(nil, body, received); err == nil {
				t.Errorf("%s: mapping %s takes it for %s", key, name, summary(events, nil))
			}
		}
	}
}

// A job of a GitLab pipeline and the deployment it makes come as two hooks and are one Change.
func TestGitLabJobAndDeploymentShareARef(t *testing.T) {
	m := shipped(t)["gitlab"]
	refs := func(file string) []triage.Ref {
		body, err := os.ReadFile("../../testdata/payloads/gitlab/" + file)
		if err != nil {
			t.Fatal(err)
		}
		events, err := m.Decode(nil, body, received)
		if err != nil {
			t.Fatal(err)
		}
		return events[0].Change.Refs
	}
	want := triage.Ref{System: "gitlab-job", ID: "acme/checkout/796"}
	for _, file := range []string{"deployment.running.json", "deployment.success.json", "pipeline.json"} {
		if got := refs(file); !slices.Contains(got, want) {
			t.Errorf("%s: want %v among %v", file, want, got)
		}
	}
}

// A flag's value may be a secret: it must not be anywhere in the Change.
func TestFlagsmithKeepsValuesOut(t *testing.T) {
	body, err := os.ReadFile("../../testdata/payloads/flagsmith/flag_updated.json")
	if err != nil {
		t.Fatal(err)
	}
	events, err := shipped(t)["flagsmith"].Decode(nil, body, received)
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"s3cret", "0ld"} {
		if strings.Contains(string(out), secret) {
			t.Errorf("the value %q was copied: %s", secret, out)
		}
	}
}

// fixture reads a file of testdata/payloads.
func fixture(t testing.TB, key string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("../../testdata/payloads", key))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
