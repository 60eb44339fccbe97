package main

import (
	"cmp"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// tail keeps the last few kilobytes of what a command prints: Helm names the revision near the end.
type tail struct{ b []byte }

const maxTail = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - maxTail; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }

func isHelm(argv []string) bool {
	return len(argv) > 1 && strings.TrimSuffix(filepath.Base(argv[0]), ".exe") == "helm"
}

// helmFlags that are followed by a value; of all others what follows is an argument.
var helmFlags = map[string]bool{
	"-n": true, "--namespace": true, "--kube-context": true, "--kubeconfig": true, "-f": true, "--values": true, "--set": true, "--set-string": true,
	"--set-file": true, "--set-json": true, "--version": true, "--timeout": true, "--history-max": true, "--repo": true, "--description": true,
}

// recognise fills in what a Helm command says and the flags do not: release, namespace, cluster, chart version, and that it goes back.
func recognise(argv []string, c *triage.Change) {
	if !isHelm(argv) {
		return
	}
	var words []string
	flags := make(map[string]string)
	for i := 1; i < len(argv); i++ {
		name, value, joined := strings.Cut(argv[i], "=")
		switch {
		case !strings.HasPrefix(argv[i], "-"):
			words = append(words, argv[i])
		case joined:
			flags[name] = value
		case helmFlags[name] && i+1 < len(argv):
			i++
			flags[name] = argv[i]
		default:
			flags[name] = "true"
		}
	}
	if len(words) < 2 {
		return
	}
	switch words[0] {
	case "upgrade", "install":
		if len(words) > 2 {
			c.Labels = withLabel(c.Labels, "chart", words[2])
		}
		c.Version = cmp.Or(c.Version, flags["--version"])
	case "rollback":
		if c.Kind == triage.KindDeploy {
			c.Kind = triage.KindRollback
		}
		if len(words) > 2 {
			c.Labels = withLabel(c.Labels, "to_revision", words[2])
		}
	case "uninstall", "delete":
		c.Labels = withLabel(c.Labels, "subkind", "removed")
		c.Reversible = triage.Reversible{Value: triage.ReversibleNo, Reason: "the release is uninstalled"}
	default:
		return
	}
	c.Service = cmp.Or(c.Service, words[1])
	c.Namespace = cmp.Or(c.Namespace, flags["--namespace"], flags["-n"])
	c.Cluster = cmp.Or(c.Cluster, flags["--kube-context"])
	c.Title = cmp.Or(c.Title, "helm "+words[0]+" "+words[1])
	c.Labels = withLabel(c.Labels, "release", words[1])
}

var (
	helmRevision  = regexp.MustCompile(`(?m)^REVISION: *([0-9]+) *$`)
	helmNamespace = regexp.MustCompile(`(?m)^NAMESPACE: *(\S+) *$`)
)

// helmSaid takes the release's revision out of what Helm printed: what runs now, and that the one before is kept.
func helmSaid(text string, c *triage.Change) {
	if m := helmNamespace.FindStringSubmatch(text); m != nil {
		c.Namespace = cmp.Or(c.Namespace, m[1])
	}
	m := helmRevision.FindStringSubmatch(text)
	if m == nil {
		return
	}
	c.Labels = withLabel(c.Labels, "revision", m[1])
	if m[1] != "1" && c.Reversible.Value == "" {
		c.Reversible = triage.Reversible{Value: triage.ReversibleYes, Reason: "Helm keeps the revision before"}
	}
}

func withLabel(labels map[string]string, name, value string) map[string]string {
	if labels == nil {
		labels = make(map[string]string)
	}
	if labels[name] == "" {
		labels[name] = value
	}
	return labels
}
