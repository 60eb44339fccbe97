package journal

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/triaged-dev/triaged/triage"
)

// Packing loses nothing, whatever the names hold.
func TestPackProperty(t *testing.T) {
	names := make(interner)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String()
		e := triage.IndexEntry{
			ID: triage.ChangeID(s.Draw(t, "id")), Kind: triage.Kind(s.Draw(t, "kind")),
			Scope: triage.Scope{
				Service: s.Draw(t, "service"), Environment: s.Draw(t, "env"), Region: s.Draw(t, "region"),
				Cluster: s.Draw(t, "cluster"), Namespace: s.Draw(t, "ns"), Global: rapid.Bool().Draw(t, "global"),
			},
			Start: instant(rapid.Int64().Draw(t, "start")), LastActivity: instant(rapid.Int64().Draw(t, "last")),
			JoinKeys: rapid.SliceOf(rapid.Uint64()).Draw(t, "keys"),
		}
		got, err := unpack(pack(e), names)
		if diff := cmp.Diff(e, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
	})
}

// A damaged entry is an error, never a panic.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(pack(triage.IndexEntry{ID: "a", JoinKeys: []uint64{1}}))
	f.Add(append(make([]byte, 17), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := unpack(b, make(interner))
		if err != nil {
			return
		}
		again, err := unpack(pack(e), make(interner))
		if diff := cmp.Diff(e, again, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}
