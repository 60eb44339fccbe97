package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var chart = filepath.Join(deployDir, "helm", "triaged")

// helm runs Helm, which `make helm` builds.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	program, err := filepath.Abs("../../bin/helm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		if program, err = exec.LookPath("helm"); err != nil {
			t.Skip("helm is not there: `make helm` builds it, and the chart is rendered")
		}
	}
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG=/dev/null")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// rendered are the objects of a rendered chart, by kind.
func rendered(t *testing.T, args ...string) map[string]map[string]any {
	t.Helper()
	out, err := helm(t, append([]string{"template", "triaged", chart, "--namespace=triaged"}, args...)...)
	if err != nil {
		t.Fatalf("helm template %v: %v\n%s", args, err, out)
	}
	objects := make(map[string]map[string]any)
	dec := yaml.NewDecoder(strings.NewReader(out))
	for {
		var o map[string]any
		if err := dec.Decode(&o); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatalf("helm template %v: %v\n%s", args, err, out)
		}
		if kind, ok := o["kind"].(string); ok {
			objects[kind] = o
		}
	}
}

func TestChartLints(t *testing.T) {
	if out, err := helm(t, "lint", "--strict", chart); err != nil {
		t.Errorf("helm lint: %v\n%s", err, out)
	}
}

// What the operator has to know is rendered only where it is there, and the rest always.
func TestChartRenders(t *testing.T) {
	plain := rendered(t)
	for _, kind := range []string{"StatefulSet", "Service", "ServiceAccount", "ConfigMap", "NetworkPolicy"} {
		if plain[kind] == nil {
			t.Errorf("there is no %s", kind)
		}
	}
	for _, kind := range []string{"ServiceMonitor", "PrometheusRule", "Ingress", "Secret"} {
		if plain[kind] != nil {
			t.Errorf("%s is rendered unasked, for a cluster that does not know it", kind)
		}
	}
	operated := rendered(t, "--api-versions=monitoring.coreos.com/v1/ServiceMonitor", "--api-versions=monitoring.coreos.com/v1/PrometheusRule")
	spec, _ := operated["PrometheusRule"]["spec"].(map[string]any)
	if groups, _ := spec["groups"].([]any); operated["ServiceMonitor"] == nil || len(groups) == 0 {
		t.Errorf("the operator's objects are missing: %v", spec)
	}
	text, err := helm(t, "template", "triaged", chart)
	if err != nil || !strings.Contains(text, "ghcr.io/triaged-dev/triaged:0.2.0") || !strings.Contains(text, "name: triaged-secrets") || !strings.Contains(text, "TRIAGED_POD_NAME") {
		t.Errorf("image, secret or pod name are not as they must be: %v", err)
	}
}

// The policy lets out to the ports of what the configuration names, and to nothing else.
func TestChartLetsOutWhatIsConfigured(t *testing.T) {
	for name, tc := range map[string]struct {
		config string
		want   []int
	}{
		"the default": {"", []int{53, 9090}},
		"nothing":     {"{}", []int{53}},
		"much": {`
global: {external_url: 'https://triaged.example.com:8443'}
auth: {oidc: {issuer: 'https://login.example.com:5556/dex', client_id: t}, groups: [{group: '*', scopes: [read]}]}
sources:
  prometheus: [{name: p, url: 'http://prometheus:9091/x'}]
  kafka: [{name: k, brokers: ['kafka-1:9094', 'kafka-2:9094'], topics: [{topic: d}]}]
receivers:
  - {name: a, slack_configs: [{token_file: slack.token, channel: C0123456}]}
  - {name: b, email_configs: [{from: a@example.com, to: b@example.com, smarthost: 'mail:587'}]}
  - {name: c, webhook_configs: [{url: 'http://hooks/x'}]}
`, []int{53, 443, 5556, 587, 80, 9091, 9094}},
	} {
		t.Run(name, func(t *testing.T) {
			var args []string
			if tc.config != "" {
				args = append(args, "--set-file=config="+write(t, filepath.Join(t.TempDir(), "triaged.yml"), tc.config))
			}
			var got []int
			text, err := json.Marshal(rendered(t, args...)["NetworkPolicy"]["spec"])
			if err != nil {
				t.Fatal(err)
			}
			_, egress, _ := strings.Cut(string(text), `"egress"`)
			egress, _, _ = strings.Cut(egress, `"ingress"`)
			for _, m := range regexp.MustCompile(`"port":(\d+)`).FindAllStringSubmatch(egress, -1) {
				var p int
				if _, err := fmt.Sscan(m[1], &p); err != nil {
					t.Fatal(err)
				}
				got = append(got, p)
			}
			slices.Sort(got)
			slices.Sort(tc.want)
			if got = slices.Compact(got); !slices.Equal(got, tc.want) {
				t.Errorf("want out %v, got %v", tc.want, got)
			}
		})
	}
}

// What would go wrong in the cluster is refused before it gets there.
func TestChartRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"a second replica":  {[]string{"--set=replicas=2"}, "replicas"},
		"latest":            {[]string{"--set=image.tag=latest"}, "tag"},
		"an unknown value":  {[]string{"--set=replicaCount=1"}, "replicaCount"},
		"a share of disk":   {[]string{"--set=persistence.accessMode=ReadWriteMany"}, "accessMode"},
		"no host":           {[]string{"--set=ingress.enabled=true"}, "ingress.host"},
		"a path of its own": {[]string{"--set=ingress.enabled=true,ingress.host=x.example.com,ingress.path=/a,config.global.external_url=https://x.example.com/b"}, "external_url"},
		"no YAML":           {[]string{"--set=config=a: b: c"}, "config is no YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := helm(t, append([]string{"template", "triaged", chart}, tc.args...)...)
			if err == nil || !strings.Contains(out, tc.want) {
				t.Errorf("want it refused with %q, got %v: %.500s", tc.want, err, out)
			}
		})
	}
	ingress := rendered(t, "--set=ingress.enabled=true,ingress.host=x.example.com,ingress.path=/tools/triaged,config.global.external_url=https://x.example.com/tools/triaged/")
	if ingress["Ingress"] == nil {
		t.Error("an Ingress under a path is not rendered")
	}
}

// Every value is in the schema and explained, and the other way round; this needs no Helm.
func TestChartValuesAreDocumented(t *testing.T) {
	var values map[string]any
	var schema struct {
		Properties map[string]any
	}
	if err := errors.Join(yaml.Unmarshal(readDeploy(t, "helm", "triaged", "values.yaml"), &values), json.Unmarshal(readDeploy(t, "helm", "triaged", "values.schema.json"), &schema)); err != nil {
		t.Fatal(err)
	}
	readme := readDeploy(t, "helm", "triaged", "README.md")
	for name, v := range values {
		if schema.Properties[name] == nil {
			t.Errorf("values.schema.json does not know %s", name)
		}
		if !bytes.Contains(readme, []byte("`"+name)) {
			t.Errorf("README.md does not explain %s", name)
		}
		below, _ := v.(map[string]any)
		known, _ := schema.Properties[name].(map[string]any)
		props, open := known["properties"].(map[string]any)
		for key := range below {
			if open && props[key] == nil {
				t.Errorf("values.schema.json does not know %s.%s", name, key)
			}
		}
	}
	for name := range schema.Properties {
		if _, ok := values[name]; !ok && name != "global" {
			t.Errorf("values.yaml does not show %s", name)
		}
	}
}
