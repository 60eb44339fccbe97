package prometheus

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A pod's owner is what kube-state-metrics says, not what the pod's name looks like: a Job of a CronJob, a StatefulSet with a number.
func TestOwnersOfPods(t *testing.T) {
	answer := func(result string) string {
		return `{"status":"success","data":{"resultType":"vector","result":[` + result + `]}}`
	}
	sample := func(labels string) string { return `{"metric":{` + labels + `},"value":[1772334000,"1"]}` }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.Header().Set("Content-Type", "application/json")
		q := r.Form.Get("query")
		switch {
		case strings.HasSuffix(r.URL.Path, "/label/__name__/values"):
			_, _ = w.Write([]byte(`{"status":"success","data":["kube_pod_owner","kube_replicaset_owner"]}`))
		case strings.Contains(q, "kube_pod_owner"):
			_, _ = w.Write([]byte(answer(strings.Join([]string{
				sample(`"namespace":"shop","pod":"web-7d9f8b6c5d-x2x9z","owner_kind":"ReplicaSet","owner_name":"web-7d9f8b6c5d"`),
				sample(`"namespace":"shop","pod":"front-1-0","owner_kind":"StatefulSet","owner_name":"front-1"`),
				sample(`"namespace":"shop","pod":"report-28391820-x2x9z","owner_kind":"Job","owner_name":"report-28391820"`),
				sample(`"namespace":"a","pod":"same-0","owner_kind":"StatefulSet","owner_name":"one"`),
				sample(`"namespace":"b","pod":"same-0","owner_kind":"StatefulSet","owner_name":"two"`),
			}, ","))))
		case strings.Contains(q, "kube_replicaset_owner"):
			_, _ = w.Write([]byte(answer(sample(`"namespace":"shop","replicaset":"web-7d9f8b6c5d","owner_name":"storefront"`))))
		default:
			_, _ = w.Write([]byte(answer("")))
		}
	}))
	defer server.Close()
	cfg := DefaultConfig()
	cfg.Name, cfg.URL = "p", server.URL
	s, err := New(Options{Config: cfg, Signals: DefaultSignalsConfig()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.PodOwner("shop", "web-7d9f8b6c5d-x2x9z"); got != "" {
		t.Errorf("nothing was read yet: got %q", got)
	}
	if got := s.ownersInterval(); got != untilThere {
		t.Errorf("what was never read is read soon: got %s", got)
	}
	if err := s.refreshOwners(t.Context()); err != nil {
		t.Fatal(err)
	}
	for pod, want := range map[string]string{
		"shop/web-7d9f8b6c5d-x2x9z": "storefront", "/web-7d9f8b6c5d-x2x9z": "storefront", "shop/front-1-0": "front-1",
		"shop/report-28391820-x2x9z": "report", "a/same-0": "one", "/same-0": "", "shop/other-0": "",
	} {
		namespace, name, _ := strings.Cut(pod, "/")
		if got := s.PodOwner(namespace, name); got != want {
			t.Errorf("%s: want %q, got %q", pod, want, got)
		}
	}
	now := time.Now()
	of, err := s.OwnersOf(t.Context(), []string{"front-1-0"}, now.Add(-time.Hour), now)
	if err != nil || of("shop", "front-1-0") != "front-1" {
		t.Errorf("over the past: %v", err)
	}
}
