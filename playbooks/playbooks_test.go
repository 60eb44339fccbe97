package playbooks

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

func parse(t *testing.T, text string) Config {
	t.Helper()
	var c Config
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

func book(t *testing.T, text string) *Book {
	t.Helper()
	b, err := New(parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func doing(s string) triage.Instruction { return triage.Instruction{Kind: triage.InstructDo, Text: s} }

func yes() *bool { v := true; return &v }
func no() *bool  { v := false; return &v }

func change(kind triage.Kind, id, system string) triage.Change {
	ch := sampleChange(kind, "pricing", "production")
	ch.ID = triage.ChangeID(id)
	if system != "" {
		ch.Refs = []triage.Ref{{System: system, ID: "x"}}
	}
	return ch
}

// Every ready-made playbook, found by the change itself or by a rule, with what it says.
func TestReadyMade(t *testing.T) {
	live, synced := triage.Service{AutoSync: no()}, triage.Service{AutoSync: yes()}
	detect := book(t, "{}")
	for name, tc := range map[string]struct {
		book *Book
		ch   triage.Change
		svc  triage.Service
		tune func(*triage.Recommendation, *triage.Change)
		want []string
	}{
		"argocd, by hand": {
			detect, change(triage.KindDeploy, "argocd:a", "argocd"), live, nil,
			[]string{"run: argocd app rollback pricing --argocd-context prod-eu1"},
		},
		"argocd, others would go too": {
			detect, change(triage.KindDeploy, "argocd:a", "argocd"), live, func(r *triage.Recommendation, _ *triage.Change) { r.AlsoUndoes = []triage.Undone{{ChangeID: "b"}} },
			[]string{"run: argocd app history pricing --argocd-context prod-eu1", "with it: then argocd app rollback with the id of v811"},
		},
		"argocd, auto-sync": {
			detect, change(triage.KindDeploy, "argocd:a", "argocd"), synced, nil,
			[]string{"run: git revert --no-edit 4f2a9c1d7e3b", "run: git push origin HEAD:main", "with it: in a clone of acme/pricing; Argo CD applies it by itself"},
		},
		"argocd, unknown": {
			detect, change(triage.KindDeploy, "argocd:a", "argocd"),
			triage.Service{},
			nil,
			[]string{"no command: whether a GitOps controller owns pricing is not known (services: auto_sync); what is undone by hand might be applied again"},
		},
		"rollouts, running": {
			detect, change(triage.KindDeploy, "argo-rollouts:a", ""), live, func(_ *triage.Recommendation, c *triage.Change) { c.Status = triage.StatusStarted },
			[]string{"run: kubectl argo rollouts abort pricing --context prod-eu1 -n shop"},
		},
		"rollouts, through": {
			detect, change(triage.KindDeploy, "argo-rollouts:a", ""), live, nil,
			[]string{"run: kubectl argo rollouts undo pricing --context prod-eu1 -n shop"},
		},
		"rollouts, pause": {
			detect, change(triage.KindDeploy, "argo-rollouts:a", ""),
			triage.Service{},
			func(r *triage.Recommendation, _ *triage.Change) { r.Action = triage.ActionPauseRollout },
			[]string{"run: kubectl argo rollouts pause pricing --context prod-eu1 -n shop"},
		},
		"kubectl": {
			detect, change(triage.KindDeploy, "prom:a", "kubernetes-replicaset"), live, nil,
			[]string{"run: kubectl --context prod-eu1 -n shop rollout undo deployment/pricing"},
		},
		"kubectl, known revision": {detect, change(triage.KindDeploy, "prom:a", "kubernetes-replicaset"), live, func(r *triage.Recommendation, c *triage.Change) {
			c.Labels["previous_revision"] = "41"
			r.AlsoUndoes = []triage.Undone{{ChangeID: "b"}}
		}, []string{"run: kubectl --context prod-eu1 -n shop rollout undo deployment/pricing --to-revision=41"}},
		"kubectl, auto-sync": {
			detect, change(triage.KindDeploy, "prom:a", "kubernetes-replicaset"), synced, nil,
			[]string{"no command: auto-sync is on: what is undone by hand would be applied again; revert in the repository, or suspend the sync first"},
		},
		"kubectl, no cluster": {
			detect, change(triage.KindDeploy, "prom:a", "kubernetes-replicaset"), live, func(_ *triage.Recommendation, c *triage.Change) { c.Cluster = "" },
			[]string{"no command: its context is not known"},
		},
		"kubectl, no namespace": {
			detect, change(triage.KindDeploy, "prom:a", "kubernetes-replicaset"), live, func(_ *triage.Recommendation, c *triage.Change) { c.Namespace = "" },
			[]string{"no command: its namespace is not known"},
		},
		"helm, with a context of its own": {
			book(t, "{contexts: {prod-eu1: gke_acme_eu1}, rules: [{use: helm, values: {release: pricing-api}}]}"), change(triage.KindDeploy, "x", ""), live, nil,
			[]string{"run: helm --kube-context gke_acme_eu1 -n shop rollback pricing-api 0 --wait", "with it: 0 is the release before"},
		},
		"flux": {detect, change(triage.KindDeploy, "flux:a", ""), triage.Service{}, func(_ *triage.Recommendation, c *triage.Change) {
			c.Labels = map[string]string{"owner": "Kustomization/flux-system/apps", "revision": "main@sha1:4f2a9c1d7e3b"}
		}, []string{"run: git revert --no-edit 4f2a9c1d7e3b", "run: flux reconcile kustomization apps --with-source --context prod-eu1 -n flux-system", "with it: push between the two, in a clone of the repository Flux reads"}},
		"github": {
			detect, change(triage.KindDeploy, "github:a", "github-deployment"),
			triage.Service{},
			nil,
			[]string{"run: gh run list --repo acme/pricing --commit 9b1c2d3e4f5a --status success", "with it: then gh run rerun with the id of the run that deployed it; it deploys v811 again", "open: https://github.com/acme/pricing/actions"},
		},
		"gitlab": {
			book(t, "{rules: [{use: gitlab, values: {gitlab_host: gitlab.example.com}}]}"), change(triage.KindDeploy, "gitlab:a", ""),
			triage.Service{},
			nil,
			[]string{"with it: on the page of the environment, press Re-deploy beside v811", "open: https://gitlab.example.com/acme/pricing/-/environments"},
		},
		"launchdarkly off": {detect, change(triage.KindFlag, "launchdarkly:a", "launchdarkly"), triage.Service{}, nil, []string{
			`run: curl -fsS -X PATCH https://app.launchdarkly.com/api/v2/flags/shop/new-pricing -H 'Authorization: '"${LAUNCHDARKLY_ACCESS_TOKEN}" -H 'Content-Type: application/json; domain-model=launchdarkly.semanticpatch' -d '{"environmentKey":"production","instructions":[{"kind":"turnFlagOff"}]}'`,
			"open: https://app.launchdarkly.com/shop/production/features/new-pricing",
		}},
		"launchdarkly back on": {detect, change(triage.KindFlag, "launchdarkly:a", "launchdarkly"), triage.Service{}, func(r *triage.Recommendation, _ *triage.Change) { r.Target.To = "on" }, []string{
			`run: curl -fsS -X PATCH https://app.launchdarkly.com/api/v2/flags/shop/new-pricing -H 'Authorization: '"${LAUNCHDARKLY_ACCESS_TOKEN}" -H 'Content-Type: application/json; domain-model=launchdarkly.semanticpatch' -d '{"environmentKey":"production","instructions":[{"kind":"turnFlagOn"}]}'`,
			"open: https://app.launchdarkly.com/shop/production/features/new-pricing",
		}},
		"launchdarkly, a share is set by hand": {
			detect, change(triage.KindFlag, "launchdarkly:a", "launchdarkly"),
			triage.Service{},
			func(r *triage.Recommendation, _ *triage.Change) { r.Target.To = "25 %" },
			[]string{"no command: new-pricing goes back to 25 %, which is neither on nor off: set it by hand", "open: https://app.launchdarkly.com/shop/production/features/new-pricing"},
		},
		"unleash": {
			detect, change(triage.KindFlag, "unleash:a", "unleash"),
			triage.Service{},
			nil,
			[]string{`run: curl -fsS -X POST "${UNLEASH_URL}"/api/admin/projects/shop/features/new-pricing/environments/production/off -H 'Authorization: '"${UNLEASH_TOKEN}"`},
		},
		"flagsmith, without its key": {detect, change(triage.KindFlag, "flagsmith:a", ""), triage.Service{}, nil, []string{"no command: its flagsmith host is not known"}},
		"flagsmith": {
			book(t, "{rules: [{use: flagsmith, values: {flagsmith_host: api.flagsmith.com, environment_key: aBc, featurestate: '77'}}]}"), change(triage.KindFlag, "flagsmith:a", ""),
			triage.Service{},
			nil,
			[]string{`run: curl -fsS -X PATCH https://api.flagsmith.com/api/v1/environments/aBc/featurestates/77/ -H 'Authorization: Token '"${FLAGSMITH_TOKEN}" -H 'Content-Type: application/json' -d '{"enabled":false}'`},
		},
		"terraform": {
			book(t, "{rules: [{use: terraform, values: {directory: infra/prod}}]}"), change(triage.KindInfra, "terraform:a", ""),
			triage.Service{},
			nil,
			[]string{"run: git revert --no-edit 4f2a9c1d7e3b", "run: terraform -chdir=infra/prod plan -out=revert.tfplan", "with it: read the plan before anybody applies it; what was destroyed does not come back by itself"},
		},
		"a runbook alone":  {detect, change(triage.KindDeploy, "x", ""), triage.Service{Runbook: "https://runbooks.example.com/p"}, nil, []string{"runbook: https://runbooks.example.com/p"}},
		"nothing to say":   {detect, change(triage.KindDeploy, "x", ""), triage.Service{}, nil, nil},
		"detection is off": {book(t, "{detect: false}"), change(triage.KindDeploy, "argocd:a", "argocd"), live, nil, nil},
		"own commands": {
			book(t, `{rules: [{kinds: [deploy], gitops: none, commands: [[deployctl, rollback, --service, "{{service}}", --to, "{{to}}"]], link: "https://deploy.example.com/{{service}}", runbook: "https://r.example.com/x"}]}`),
			change(triage.KindDeploy, "x", ""),
			triage.Service{},
			nil,
			[]string{"run: deployctl rollback --service pricing --to v811", "open: https://deploy.example.com/pricing", "runbook: https://r.example.com/x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ch := tc.ch
			rec := sampleAdvice(ch)
			if tc.tune != nil {
				tc.tune(&rec, &ch)
			}
			if got := say.Instructions(tc.book.Steps(rec, ch, tc.svc)); !slices.Equal(got, tc.want) {
				t.Errorf("want\n%s\ngot\n%s", strings.Join(tc.want, "\n"), strings.Join(got, "\n"))
			}
		})
	}
}

// Each ready-made playbook that touches a cluster names it, and its namespace, in every command.
func TestReadyMadeNameTheirPlace(t *testing.T) {
	if got := len(Ready()); got != 11 {
		t.Errorf("want 11 ready-made playbooks, got %d: %v", got, Ready())
	}
	for name, p := range readyMade() {
		if len(p.Systems) == 0 || len(p.Kinds) == 0 || len(p.Ways) == 0 {
			t.Errorf("%s: systems, kinds or ways are missing", name)
		}
		for _, w := range p.Ways {
			if w.GitOps == "" {
				t.Errorf("%s: a way does not say how it stands to GitOps", name)
			}
			for _, args := range w.Commands {
				if why := checkCommand(args); why != "" {
					t.Errorf("%s: %q: %s", name, args, why)
				}
				line := strings.Join(args, " ")
				if args[0] != "git" && contextFlag[args[0]] != "" && args[0] != "argocd" && !regexp.MustCompile(`-n \{\{(flux_)?namespace\}\}`).MatchString(line) {
					t.Errorf("%s: %q names no namespace", name, line)
				}
			}
		}
	}
}

// What comes from outside must never become more than one word, whatever it holds.
var nasty = []string{
	"; rm -rf /", "$(reboot)", "`reboot`", "a b", "a'b", `a"b`, "a\nb", "--force", "-rf", "a;b", "a|b", "a&b", "a>b", "*", "~root", "${HOME}", "{{service}}", "a\\b",
	"..", "../../etc", "//evil.example", "a\x00b", "\u202eabc", "a\u00a0b", "", strings.Repeat("a", 300), "#x", "!x", "a=b;c", "é", "a%0ab", "a?b", "a#b",
}

func TestNoValueBecomesACommand(t *testing.T) {
	b := book(t, `{rules: [
	  {kinds: [deploy], use: kubectl},
	  {kinds: [flag], use: launchdarkly},
	]}`)
	for _, v := range nasty {
		for field, set := range map[string]func(*triage.Change, *triage.Recommendation){
			"service":   func(c *triage.Change, _ *triage.Recommendation) { c.Service, c.Labels = v, nil },
			"cluster":   func(c *triage.Change, _ *triage.Recommendation) { c.Cluster = v },
			"namespace": func(c *triage.Change, _ *triage.Recommendation) { c.Namespace = v },
		} {
			ch := change(triage.KindDeploy, "x", "")
			rec := sampleAdvice(ch)
			set(&ch, &rec)
			for _, s := range b.Steps(rec, ch, triage.Service{AutoSync: no()}) {
				if s.Kind == triage.InstructRun || s.Kind == triage.InstructOpen {
					t.Errorf("%s %q came through: %s", field, v, say.Instruction(s))
				}
			}
		}
		ch := change(triage.KindFlag, "x", "")
		ch.Labels["flag"] = v
		rec := sampleAdvice(ch)
		for _, s := range b.Steps(rec, ch, triage.Service{}) {
			if v != "" && (s.Kind == triage.InstructRun || s.Kind == triage.InstructOpen) {
				t.Errorf("flag %q came through: %s", v, say.Instruction(s))
			}
		}
	}
}

// A real shell reads each quoted word back as it was.
func TestQuoteWithARealShell(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no POSIX shell here")
	}
	for _, v := range nasty {
		if strings.Contains(v, "\x00") {
			continue // cannot be an argument at all
		}
		out, err := exec.CommandContext(t.Context(), sh, "-c", "printf %s "+quote(v)+"; printf '|%s' done").Output()
		if err != nil || string(out) != v+"|done" {
			t.Errorf("%q: want it back, got %q, %v", v, out, err)
		}
	}
}

// unquote reads one POSIX word as quote writes it; ok is false for anything that is more or less than one word.
func unquote(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); {
		switch {
		case s[i] == '\'':
			j := strings.IndexByte(s[i+1:], '\'')
			if j < 0 {
				return "", false
			}
			b.WriteString(s[i+1 : i+1+j])
			i += j + 2
		case s[i] == '\\' && i+1 < len(s):
			b.WriteByte(s[i+1])
			i += 2
		case strings.IndexByte(" \t\n;|&<>()$`\"*?[]#~!{}", s[i]) >= 0:
			return "", false
		default:
			b.WriteByte(s[i])
			i++
		}
	}
	return b.String(), true
}

func FuzzQuote(f *testing.F) {
	for _, v := range nasty {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if got, ok := unquote(quote(v)); !ok || got != v {
			t.Fatalf("%q is quoted as %s, which a shell reads as %q (%v)", v, quote(v), got, ok)
		}
	})
}

// Whatever a value holds: either there is no command, or it is one line whose words are as many as the arguments.
func FuzzCommand(f *testing.F) {
	for _, v := range nasty {
		f.Add(v, v)
	}
	args := []string{"kubectl", "--context", "{{context|cluster}}", "-n", "{{namespace}}", "rollout", "undo", "deployment/{{service}}"}
	f.Fuzz(func(t *testing.T, a, b string) {
		line, err := command(args, map[string]string{"cluster": a, "namespace": b, "service": a})
		if err != nil {
			return
		}
		words := strings.Fields(line)
		if len(words) != len(args) || !fits(a) || !fits(b) {
			t.Fatalf("%q, %q became %s", a, b, line)
		}
		for i, w := range words {
			if got, ok := unquote(w); !ok || strings.HasPrefix(got, "-") != strings.HasPrefix(args[i], "-") {
				t.Fatalf("%q, %q became %s", a, b, line)
			}
		}
	})
}

func TestConfigProblems(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown tool":    {"{rules: [{use: bash}]}", `playbooks.rules[0].use: "bash": use one of argo-rollouts, argocd`},
		"says nothing":    {"{rules: [{services: [a]}]}", "playbooks.rules[0]: says nothing"},
		"unknown kind":    {"{rules: [{use: helm, kinds: [deplyo]}]}", `playbooks.rules[0].kinds: "deplyo": use one of deploy, rollback`},
		"bad value":       {"{rules: [{use: helm, values: {release: 'a; b'}}]}", `playbooks.rules[0].values.release: "a; b"`},
		"no cluster":      {"{rules: [{commands: [[kubectl, get, pods]]}]}", "must name its cluster: add --context"},
		"program a value": {"{rules: [{commands: [['{{service}}']]}]}", "must begin with a program, not with a value"},
		"bad placeholder": {"{rules: [{commands: [[x, '{{ service }}']]}]}", "has a placeholder that is not {{name}}"},
		"bad gitops":      {"{rules: [{commands: [[x]], gitops: maybe}]}", "use one of live, git, none"},
		"bad runbook":     {"{rules: [{runbook: runbooks/x}]}", "must be an absolute http or https URL"},
		"bad context":     {"{contexts: {a: 'b c'}}", "playbooks.contexts.a"},
		"unknown key":     {"{rulez: []}", "rulez"},
	} {
		t.Run(name, func(t *testing.T) {
			var c Config
			dec := yaml.NewDecoder(strings.NewReader(tc.text))
			dec.KnownFields(true)
			if err := dec.Decode(&c); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want %q, got %v", tc.want, err)
			}
		})
	}
}

// Of two that tie, each step is followed by its own command, and Strip takes both away again.
func TestApplyEither(t *testing.T) {
	b := book(t, "{}")
	one, two := change(triage.KindFlag, "launchdarkly:a", "launchdarkly"), change(triage.KindFlag, "launchdarkly:b", "launchdarkly")
	r := triage.Report{
		Suspects: []triage.Suspect{{Change: &one}, {Change: &two}},
		Recommendation: triage.Recommendation{
			Verdict: triage.VerdictCannotTell, Action: triage.ActionInvestigate, Steps: []triage.Instruction{
				{Kind: triage.InstructDo, Text: "cheap and safe to undo: one", Target: one.ID}, {Kind: triage.InstructDo, Text: "cheap and safe to undo: two", Target: two.ID}, doing("then look"),
			},
			Either: []triage.Target{*sampleAdvice(one).Target, *sampleAdvice(two).Target},
		},
	}
	got := b.Apply(r, nil).Recommendation.Steps
	if len(got) < 5 || got[0] != r.Recommendation.Steps[0] || got[1].Kind != triage.InstructRun || got[1].Target != one.ID {
		t.Errorf("want a command behind the first, got %q", got)
	}
	if at := slices.Index(got, r.Recommendation.Steps[1]); at < 0 || at+1 == len(got) || got[at+1].Kind != triage.InstructRun || got[len(got)-1] != doing("then look") {
		t.Errorf("want a command behind the second, got %q", got)
	}
	if back := Strip(got); !slices.Equal(back, r.Recommendation.Steps) {
		t.Errorf("Strip must bring it back: %q", back)
	}
}

// Applied steps stand behind the step that names the action, and come off again.
func TestApply(t *testing.T) {
	b := book(t, "{}")
	ch := change(triage.KindDeploy, "argocd:a", "argocd")
	r := triage.Report{Suspects: []triage.Suspect{{Change: &ch}}, Recommendation: sampleAdvice(ch)}
	r.Recommendation.Steps = []triage.Instruction{
		doing("pause the rollout, it is still going on"), {Kind: triage.InstructDo, Text: "return pricing to v811", Does: triage.ActionRollback}, doing("hold other rollouts until the symptom is gone"),
	}
	got := b.Apply(r, map[string]triage.Service{"pricing": {AutoSync: no()}})
	want := []string{"pause the rollout, it is still going on", "return pricing to v811", "run: argocd app rollback pricing --argocd-context prod-eu1", "hold other rollouts until the symptom is gone"}
	if !slices.Equal(say.Instructions(got.Recommendation.Steps), want) || got.Recommendation.Steps[2].Playbook != "argocd" {
		t.Errorf("want %q, got %q", want, got.Recommendation.Steps)
	}
	if !slices.Equal(Strip(got.Recommendation.Steps), r.Recommendation.Steps) || len(r.Recommendation.Steps) != 3 {
		t.Errorf("the report given must stay, and Strip bring it back: %q", Strip(got.Recommendation.Steps))
	}
	r.Recommendation.Verdict = triage.VerdictHarmful
	if got := b.Apply(r, nil); len(got.Recommendation.Steps) != 3 {
		t.Errorf("no command goes with a refusal: %q", got.Recommendation.Steps)
	}
}

func TestSamples(t *testing.T) {
	b := book(t, "{rules: [{use: kubectl}, {use: kubectl, services: [cart]}, {use: unleash}]}")
	got := b.Samples(map[string]triage.Service{"cart": {AutoSync: no()}})
	if len(got) != 3 || !strings.Contains(say.Instruction(got[0].Steps[0]), "no command: whether a GitOps controller owns checkout") ||
		!strings.Contains(say.Instruction(got[1].Steps[0]), "deployment/cart") || !strings.Contains(say.Instruction(got[2].Steps[0]), "UNLEASH") {
		t.Errorf("got %+v", got)
	}
}
