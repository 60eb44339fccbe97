package alerting

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// What a sender calls two alerts does not make them one: the second was answered with 200 and lost.
func TestSameFingerprintIsNotTheSameAlert(t *testing.T) {
	body := `{"version":"4","status":"firing","alerts":[
		{"labels":{"alertname":"A","service":"cart"},"startsAt":"2026-03-01T03:00:00Z","fingerprint":"0000000000000001"},
		{"labels":{"alertname":"B","service":"mail"},"startsAt":"2026-03-01T03:00:00Z","fingerprint":"0000000000000001"}]}`
	g, err := DecodeWebhook([]byte(body), decodeAt)
	if err != nil || len(g.Alerts) != 2 {
		t.Fatalf("%+v, %v", g, err)
	}
	if g.Alerts[0].Key() == g.Alerts[1].Key() || g.Alerts[0].LabelFingerprint() == g.Alerts[1].LabelFingerprint() {
		t.Errorf("two alerts share an identity: %q", g.Alerts[0].Key())
	}
}

// The bodies that failed on 0.1.0, as real senders write them.
func TestSharedBugs(t *testing.T) {
	dir := os.Getenv("TRIAGED_SHARED")
	if dir == "" {
		t.Skip("TRIAGED_SHARED is not set: the bodies of real senders are not here")
	}
	files, err := filepath.Glob(filepath.Join(dir, "bugs", "alert_*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no bodies in %s: %v", dir, err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		g, err := DecodeWebhook(body, decodeAt)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		want := triage.Subject{Service: "cart", Namespace: "shop"}
		switch {
		case strings.Contains(file, "node"):
			want = triage.Subject{Node: "node-02"}
		case strings.Contains(file, "sloth"):
			want.Namespace = ""
		}
		got := triage.SubjectOf(g.Alerts[0].Labels, nil)
		if got.Service != want.Service || got.Node != want.Node || got.Namespace != want.Namespace {
			b, _ := json.Marshal(g.Alerts[0].Labels)
			t.Errorf("%s: want %+v, got %+v\nlabels %s", filepath.Base(file), want, got, b)
		}
	}
}

// An alert about a machine opens an incident of that machine, not of whatever measured it.
func TestNodeAlertHasNoService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newFakeStore(), nil)
		b.accept(t, alert("", time.Now(), "alertname", "KubeNodeNotReady", "job", "kube-state-metrics", "namespace", "monitoring",
			"service", "kps-kube-state-metrics", "pod", "kps-kube-state-metrics-7c9f8b6c5d-x2x9z", "node", "node-02"))
		synctest.Wait()
		incs := b.store.all()
		if len(incs) != 1 || incs[0].Service != "" || incs[0].Namespace != "" || incs[0].Node != "node-02" || incs[0].Title != "KubeNodeNotReady on node node-02" {
			t.Fatalf("want an incident of node-02, got %+v", incs)
		}
	})
}
