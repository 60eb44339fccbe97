package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/configs"
)

const deployDir = "../../deploy"

func readDeploy(t *testing.T, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{deployDir}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// registered are the names of all metrics in the source: those a program makes show up in /metrics only once they count.
func registered(t *testing.T) map[string]bool {
	t.Helper()
	out := make(map[string]bool)
	name := regexp.MustCompile(`"(triaged_[a-z0-9_]+)"`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range name.FindAllSubmatch(b, -1) {
			out[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// expressions are all queries of the rules and the dashboard, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	out := make(map[string]string)
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(readDeploy(t, "prometheus", "rules.yml"), &rules); err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			out["alert "+r.Alert] = r.Expr
		}
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(readDeploy(t, "grafana", "triaged.json"), &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, x := range p.Targets {
			out["panel "+p.Title+" "+x.RefID] = strings.ReplaceAll(x.Expr, "$__rate_interval", "5m")
		}
	}
	return out
}

// Every metric that the rules and the dashboard name must be one that triaged has.
func TestDeployNamesOnlyMetricsThereAre(t *testing.T) {
	have := registered(t)
	if len(have) < 30 {
		t.Fatalf("only %d metrics were found in the source", len(have))
	}
	elsewhere := []string{"up", "process_resident_memory_bytes"}
	exprs := expressions(t)
	if len(exprs) < 30 {
		t.Fatalf("only %d expressions were found", len(exprs))
	}
	p := parser.NewParser(parser.Options{})
	for where, expr := range exprs {
		e, err := p.ParseExpr(expr)
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
			v, ok := n.(*parser.VectorSelector)
			if !ok {
				return nil
			}
			i := slices.IndexFunc(v.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == model.MetricNameLabel })
			name := v.LabelMatchers[i].Value
			base := name
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				base = strings.TrimSuffix(base, suffix)
			}
			if !have[name] && !have[base] && !slices.Contains(elsewhere, name) {
				t.Errorf("%s: there is no metric %s", where, name)
			}
			return nil
		})
	}
}

func TestDeployRules(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), peer(t, "promtool"), "test", "rules", "rules_test.yml")
	cmd.Dir = filepath.Join(deployDir, "prometheus")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	// A rule without a test is a rule that nobody has seen fire.
	tests := readDeploy(t, "prometheus", "rules_test.yml")
	for where := range expressions(t) {
		if name, ok := strings.CutPrefix(where, "alert "); ok && bytes.Count(tests, []byte(name)) < 2 {
			t.Errorf("%s: must be tested firing and not firing", name)
		}
	}
}

// Whoever gets one of the alerts finds what to do about it, and the dashboard can be narrowed to one daemon and one receiver.
func TestDeployRunbooksAndVariables(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(readDeploy(t, "prometheus", "rules.yml"), &rules); err != nil {
		t.Fatal(err)
	}
	runbooks := readDeploy(t, "..", "docs", "runbooks.md")
	for _, r := range rules.Groups[0].Rules {
		_, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "docs/runbooks.md#")
		if anchor != strings.ToLower(r.Alert) || !bytes.Contains(runbooks, []byte("\n## "+r.Alert+"\n")) {
			t.Errorf("%s: its runbook is missing: %q", r.Alert, r.Annotations["runbook_url"])
		}
	}
	for where, expr := range expressions(t) {
		if strings.HasPrefix(where, "panel ") && strings.Contains(expr, "triaged_") && !strings.Contains(expr, `job=~"$job",instance=~"$instance"`) {
			t.Errorf("%s does not heed the variables: %s", where, expr)
		}
	}
}

// The manifests must say what operations.md promises, and the first configuration must be one.
func TestDeployManifests(t *testing.T) {
	if _, err := configs.Parse(readDeploy(t, "kubernetes", "triaged.yml")); err != nil {
		t.Errorf("triaged.yml: %v", err)
	}
	var kustomization struct{ Resources []string }
	if err := yaml.Unmarshal(readDeploy(t, "kubernetes", "kustomization.yaml"), &kustomization); err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]map[string]any)
	for _, name := range kustomization.Resources {
		dec := yaml.NewDecoder(bytes.NewReader(readDeploy(t, "kubernetes", name)))
		for {
			var object map[string]any
			if err := dec.Decode(&object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			kind, _ := object["kind"].(string)
			kinds[kind] = object
		}
	}
	at := func(v any, path ...any) any {
		for _, p := range path {
			switch p := p.(type) {
			case string:
				m, _ := v.(map[string]any)
				v = m[p]
			case int:
				l, _ := v.([]any)
				if p >= len(l) {
					return nil
				}
				v = l[p]
			}
		}
		return v
	}
	set := kinds["StatefulSet"]
	pod := []any{"spec", "template", "spec"}
	container := append(slices.Clone(pod), "containers", 0)
	for _, want := range []struct {
		path  []any
		value any
	}{
		{[]any{"spec", "replicas"}, 1},
		{append(slices.Clone(pod), "automountServiceAccountToken"), false},
		{append(slices.Clone(pod), "securityContext", "runAsNonRoot"), true},
		{append(slices.Clone(container), "securityContext", "readOnlyRootFilesystem"), true},
		{append(slices.Clone(container), "securityContext", "allowPrivilegeEscalation"), false},
		{append(slices.Clone(container), "securityContext", "capabilities", "drop", 0), "ALL"},
		{append(slices.Clone(container), "readinessProbe", "httpGet", "path"), "/-/ready"},
		{append(slices.Clone(container), "ports", 0, "containerPort"), 9792},
		{[]any{"spec", "volumeClaimTemplates", 0, "spec", "accessModes", 0}, "ReadWriteOnce"},
	} {
		if got := at(set, want.path...); got != want.value {
			t.Errorf("StatefulSet %v: want %v, got %v", want.path, want.value, got)
		}
	}
	if kubectl, err := exec.LookPath("kubectl"); err == nil {
		if out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", filepath.Join(deployDir, "kubernetes")).CombinedOutput(); err != nil || !bytes.Contains(out, []byte("kind: StatefulSet")) {
			t.Errorf("kubectl kustomize: %v\n%s", err, out)
		}
	}
	for _, kind := range []string{"NetworkPolicy", "Service", "ServiceAccount"} {
		if kinds[kind] == nil {
			t.Errorf("there is no %s", kind)
		}
	}
}

// What needs the Prometheus operator stands apart, and says what the rest of the repository says.
func TestDeployMonitoring(t *testing.T) {
	if bytes.Contains(readDeploy(t, "kubernetes", "kustomization.yaml"), []byte("- monitoring")) {
		t.Error("a cluster without the operator could not take the manifests")
	}
	rules := readDeploy(t, "prometheus", "rules.yml")
	if got := readDeploy(t, "helm", "triaged", "files", "rules.yml"); !bytes.Equal(got, rules) {
		t.Error("the chart's rules are not those of deploy/prometheus; run tools/rules.sh")
	}
	var object struct{ Spec, want any }
	if err := errors.Join(yaml.Unmarshal(readDeploy(t, "kubernetes", "monitoring", "prometheusrule.yaml"), &object), yaml.Unmarshal(rules, &object.want)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(object.want, object.Spec); diff != "" {
		t.Errorf("the PrometheusRule is not deploy/prometheus/rules.yml; run tools/rules.sh: %s", diff)
	}
}

// Images have the version that this is: a restart must not be an upgrade. The Secret's keys are the files that init writes.
func TestDeployPinsAndNames(t *testing.T) {
	version := strings.TrimSpace(string(readDeploy(t, "..", "VERSION")))
	for _, tc := range []struct{ path, want string }{
		{"kubernetes/kustomization.yaml", "newTag: " + version + " "},
		{"compose/compose.yaml", "image: ghcr.io/triaged-dev/triaged:" + version + "\n"},
		{"helm/triaged/Chart.yaml", "\nversion: " + version + "\nappVersion: " + version + "\n"},
	} {
		if text := string(readDeploy(t, tc.path)); !strings.Contains(text, tc.want) || strings.Contains(text, ":latest") {
			t.Errorf("%s: want %q in it", tc.path, tc.want)
		}
	}
	for _, file := range []string{"kubernetes/triaged.yml", "helm/triaged/values.yaml", "compose/tokens", "../docs/operations.md"} {
		for _, name := range []string{"alertmanager", "changes", "read", "admin"} {
			if text := string(readDeploy(t, file)); !strings.Contains(text, name+".token") && !regexp.MustCompile(`for name in .*\b`+name+`\b.*; do`).MatchString(text) {
				t.Errorf("%s does not know %s.token, which init writes", file, name)
			}
		}
	}
}

// The files of the compose example are sound, each by its own program, and triaged's by triaged.
func TestDeployCompose(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"triaged.yml", "prometheus.yml", "rules.yml", "alertmanager.yml", "tokens"} {
		if err := os.WriteFile(filepath.Join(dir, name), readDeploy(t, "compose", name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "tokens")).CombinedOutput(); err != nil {
		t.Fatalf("tokens: %v\n%s", err, out)
	}
	c, err := configs.Load(filepath.Join(dir, "triaged.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range c.Auth.Tokens {
		if b, err := os.ReadFile(token.TokenFile); err != nil || len(b) != 48 {
			t.Errorf("%s: %d bytes, %v", token.TokenFile, len(b), err)
		}
	}
	var compose struct {
		Services map[string]struct {
			Image   string
			Volumes []string
		}
	}
	if err := yaml.Unmarshal(readDeploy(t, "compose", "compose.yaml"), &compose); err != nil {
		t.Fatal(err)
	}
	for name, s := range compose.Services {
		if !regexp.MustCompile(`:v?[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(s.Image) {
			t.Errorf("%s: the tag of %s is not pinned", name, s.Image)
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if _, err := os.Stat(filepath.Join(dir, from)); strings.HasPrefix(from, "./") && err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if out, err := exec.CommandContext(t.Context(), peer(t, "promtool"), "check", "config", filepath.Join(dir, "prometheus.yml")).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

func TestDeployUnit(t *testing.T) {
	unit := string(readDeploy(t, "systemd", "triaged.service"))
	for _, line := range []string{"DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "MemoryDenyWriteExecute=yes", "StateDirectory=triaged"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed: the unit is read, not verified")
	}
	dir := t.TempDir()
	// The program it starts need not be installed here.
	path := write(t, filepath.Join(dir, "triaged.service"), strings.ReplaceAll(unit, "/usr/local/bin/triaged", "/bin/true"))
	if out, err := exec.CommandContext(t.Context(), verify, "verify", "--man=no", path).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}

// Every module, and everything else that is fetched, is looked after; and secrets reach the unit's process without being its user's.
func TestUpdatesAndCredentials(t *testing.T) {
	var updates struct {
		Updates []struct {
			Ecosystem string `yaml:"package-ecosystem"`
			Directory string
		}
	}
	text, err := os.ReadFile("../../.github/dependabot.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &updates); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{"go.mod": "gomod", "pom.xml": "maven", "Dockerfile": "docker"}
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		kind := kinds[filepath.Base(path)]
		if err != nil || d.IsDir() || kind == "" || strings.Contains(path, "testdata") {
			return err
		}
		dir := "/" + strings.TrimPrefix(strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../.."), "/")
		for _, u := range updates.Updates {
			if u.Ecosystem == kind && u.Directory == dir {
				return nil
			}
		}
		t.Errorf("%s is updated by nobody", path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if unit := string(readDeploy(t, "systemd", "triaged.service")); !strings.Contains(unit, "\nImportCredential=triaged.*\n") {
		t.Error("the unit hands no credentials over")
	}
}
