package main

import (
	"strings"
	"testing"
)

// A second replica says what it is and ends, before it listens or writes anything; the first, and a process that is no pod, run.
func TestASecondReplicaIsRefused(t *testing.T) {
	for pod, want := range map[string]bool{
		"": true, "triaged-0": true, "my-triaged-0": true, "triaged-7d9c6b5f4-x2x9k": true, "triaged-1": false, "my-triaged-12": false,
	} {
		if err := onlyReplica(pod); (err == nil) != want {
			t.Errorf("%q: %v", pod, err)
		}
	}
	dir := t.TempDir()
	out := &lockedBuffer{}
	code := run(t.Context(), []string{"serve", "--pod.name=triaged-1", "--storage.path=" + dir + "/data", "--web.listen-address=127.0.0.1:0"}, streams{strings.NewReader(""), out, out})
	if code == 0 || !strings.Contains(out.String(), "set replicas to 1") {
		t.Errorf("want it refused with the remedy, got %d: %s", code, out)
	}
}
