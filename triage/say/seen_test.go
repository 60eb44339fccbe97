package say

import (
	"testing"

	"github.com/triaged-dev/triaged/triage"
)

func TestSeen(t *testing.T) {
	for _, tt := range []struct {
		seen triage.Seen
		want string
	}{
		{triage.Seen{}, ""},
		{triage.Seen{In: "kube_node_info", Surely: triage.SurelyCertain, LateS: 150}, "nobody reported it: kube_node_info shows what changed, 3 min later at most"},
		{triage.Seen{In: "kube_secret_metadata_resource_version", Surely: triage.SurelyLikely}, "nobody reported it: kube_secret_metadata_resource_version shows that it was written, perhaps with the same contents"},
		{triage.Seen{Surely: triage.SurelyPossible}, "nobody reported it: a metric shows that it was read or applied again, perhaps as it was"},
	} {
		if got := Seen(tt.seen); got != tt.want {
			t.Errorf("%+v: want %q, got %q", tt.seen, tt.want, got)
		}
	}
}
