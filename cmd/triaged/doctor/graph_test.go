package doctor

import (
	"strings"
	"testing"

	"github.com/triaged-dev/triaged/configs"
	"github.com/triaged-dev/triaged/triage"
)

// How complete the graph is, is said from both sides: what is declared and seen, and who stands alone in it.
func TestCallGraph(t *testing.T) {
	var cfg configs.Config
	cfg.Topology.Calls = map[string][]string{"web": {"checkout"}, "checkout": {"pricing"}}
	e := &examination{}
	e.callGraph(&cfg, graph{
		calls:    []triage.Edge{{From: "checkout", To: "pricing"}, {From: "checkout", To: "db"}},
		services: []string{"web", "checkout", "pricing", "mail", "search", "stock", "billing", "users", "reports", "web"},
	})
	var said []string
	for _, f := range e.out {
		said = append(said, string(f.Level)+": "+f.Says)
	}
	for _, want := range []string{
		"hint: 6 of 9 services with metrics are in no known call: billing, mail, reports, search, stock and 1 more",
		"ok: 3 calls between services are known: 2 declared, 2 seen in metrics, 1 both",
		"ok: 1 declared calls were not seen",
	} {
		if !strings.Contains(strings.Join(said, "\n"), want) {
			t.Errorf("want %q, got %q", want, said)
		}
	}
}
