package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/triaged-dev/triaged/triage"
)

func changes(tb testing.TB, j *Journal, ids ...triage.ChangeID) []triage.Change {
	tb.Helper()
	cs, err := j.Changes(context.Background(), ids)
	if err != nil {
		tb.Fatal(err)
	}
	return cs
}

func index(tb testing.TB, j *Journal, since time.Time) []triage.IndexEntry {
	tb.Helper()
	var out []triage.IndexEntry
	if err := j.Index(context.Background(), since, func(e triage.IndexEntry) error { out = append(out, e); return nil }); err != nil {
		tb.Fatal(err)
	}
	return out
}

func aliasesSince(tb testing.TB, j *Journal, since time.Time) map[triage.ChangeID]triage.ChangeID {
	tb.Helper()
	out := make(map[triage.ChangeID]triage.ChangeID)
	if err := j.AliasesSince(context.Background(), since, func(a, id triage.ChangeID) error { out[a] = id; return nil }); err != nil {
		tb.Fatal(err)
	}
	return out
}

// A change comes back exactly as it was stored, with everything it can hold.
func TestAppendRoundTrip(t *testing.T) {
	j := newJournal(t)
	percent := 50.0
	c := deploy("ci:1", 0)
	c.TimeUncertaintyS, c.RolloutPercent = 30, &percent
	c.Steps = []triage.Step{{At: at(time.Minute), Percent: 25, Region: "eu1"}, {At: at(9 * time.Minute), Percent: 50}}
	c.PreviousVersion, c.Digest, c.URL, c.Actor = "v811", "sha256:aa", "https://ci/1", "https://ci/users/7"
	c.Size = triage.Size{Files: 3, Lines: 10, Paths: []string{"a.go"}}
	c.Reversible = triage.Reversible{Value: triage.ReversibleNo, Reason: "ran a migration"}
	c.Labels = map[string]string{"sha": "abc"}
	c.RevertedBy, c.Undoes = []triage.ChangeID{"ci:9"}, []triage.ChangeID{"ci:0"}
	mustAppend(t, j, entry(c))

	if diff := cmp.Diff([]triage.Change{c}, changes(t, j, "ci:1")); diff != "" {
		t.Errorf("change (-want +got):\n%s", diff)
	}
	want := []triage.IndexEntry{{
		ID: "ci:1", Kind: triage.KindDeploy, Scope: c.Scope, Start: at(-30 * time.Second), LastActivity: at(9 * time.Minute),
		JoinKeys: []uint64{
			triage.HashJoinKey("ref\x00github-run\x00ci:1"), triage.HashJoinKey("sha\x00abc\x00checkout\x00production"),
			triage.HashJoinKey("digest\x00sha256:aa\x00checkout\x00production"), triage.HashJoinKey("version\x00" + strings.TrimPrefix(c.Version, "v") + "\x00checkout\x00production"),
		},
	}}
	if diff := cmp.Diff(want, index(t, j, time.Time{})); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
}

// A later entry of the same id replaces the whole change, columns and body.
func TestAppendReplaces(t *testing.T) {
	j := newJournal(t)
	c := deploy("ci:1", 0)
	mustAppend(t, j, entry(c), entry(deploy("ci:2", 0)))
	c.Service, c.FinishedAt, c.Title, c.Kind = "pricing", at(time.Hour), "other", triage.KindConfig
	mustAppend(t, j, entry(c))
	mustAppend(t, j, entry(c))

	if diff := cmp.Diff([]triage.Change{c, deploy("ci:2", 0)}, changes(t, j, "ci:1", "nope", "ci:2")); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	es := index(t, j, at(30*time.Minute))
	if len(es) != 1 || es[0].Scope.Service != "pricing" || es[0].Kind != triage.KindConfig || !es[0].LastActivity.Equal(at(time.Hour)) {
		t.Errorf("index after replacing: %+v", es)
	}
	found, _, err := j.FindChanges(t.Context(), triage.ChangeQuery{Text: "OTHER"})
	if err != nil || len(found) != 1 {
		t.Errorf("text of the replacement is not found: %v %v", found, err)
	}
}

// Ids given to a change resolve for ever, through any number of merges, and a merged change is stored once.
func TestAliases(t *testing.T) {
	j := newJournal(t)
	ctx := t.Context()
	mustAppend(t, j, entry(deploy("a", 0), "a1", "a2"), entry(deploy("b", 0), "b1"), entry(deploy("c", 0)))
	mustAppend(t, j, entry(deploy("b", time.Minute), "a"))            // a and its aliases become b
	mustAppend(t, j, entry(deploy("c", time.Minute), "b", "c", "a1")) // and b becomes c; an alias of itself is nothing

	for _, id := range []triage.ChangeID{"a", "a1", "a2", "b", "b1", "c"} {
		if got, err := j.ResolveChange(ctx, id); err != nil || got != "c" {
			t.Errorf("resolve %s: want c, got %q, %v", id, got, err)
		}
	}
	if _, err := j.ResolveChange(ctx, "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown id: %v", err)
	}
	if got := changes(t, j, "a", "b", "c"); len(got) != 1 || got[0].ID != "c" {
		t.Errorf("merged changes: %+v", got)
	}
	if got := index(t, j, time.Time{}); len(got) != 1 {
		t.Errorf("merged index: %+v", got)
	}
	want := map[triage.ChangeID]triage.ChangeID{"a": "c", "a1": "c", "a2": "c", "b": "c", "b1": "c"}
	if diff := cmp.Diff(want, aliasesSince(t, j, time.Time{})); diff != "" {
		t.Errorf("aliases (-want +got):\n%s", diff)
	}
	// An id that is appended as a change again is a change, not also an alias.
	mustAppend(t, j, entry(deploy("a", 0)))
	if got, err := j.ResolveChange(ctx, "a"); err != nil || got != "a" {
		t.Errorf("resolve a: %q, %v", got, err)
	}
	if _, is := aliasesSince(t, j, time.Time{})["a"]; is {
		t.Error("a is a change and still an alias")
	}
	var orphans int
	if err := j.rdb.QueryRowContext(t.Context(), `SELECT count(*) FROM bodies WHERE seq NOT IN (SELECT seq FROM changes)`).Scan(&orphans); err != nil || orphans != 0 {
		t.Errorf("bodies without a change: %d, %v", orphans, err)
	}
}

// What Index finds since a time, AliasesSince finds the aliases of, also when the alias is much older than the last activity.
func TestAliasesOfLongRollout(t *testing.T) {
	var later atomic.Int64
	j := newJournal(t, func(o *Options) { o.Now = func() time.Time { return at(time.Duration(later.Load())) } })
	c := deploy("a", 0)
	mustAppend(t, j, entry(c, "a1"))
	later.Store(int64(10 * time.Hour))
	c.Steps = []triage.Step{{At: at(10 * time.Hour)}}
	mustAppend(t, j, entry(c))
	if got := aliasesSince(t, j, at(9*time.Hour)); len(got) != 1 {
		t.Errorf("aliases of a change that is still moving: %v", got)
	}
	if got := aliasesSince(t, j, at(11*time.Hour)); len(got) != 0 {
		t.Errorf("aliases of a change that is over: %v", got)
	}
}

// Index is by last activity and starts at the time given, exactly.
func TestIndexOrder(t *testing.T) {
	j := newJournal(t)
	for i, m := range []int{5, 1, 3, 2, 4} {
		c := deploy(fmt.Sprintf("c%d", i), time.Duration(m)*time.Hour)
		c.FinishedAt = time.Time{}
		mustAppend(t, j, entry(c))
	}
	var got []triage.ChangeID
	for _, e := range index(t, j, at(2*time.Hour)) {
		got = append(got, e.ID)
	}
	if want := []triage.ChangeID{"c3", "c2", "c4", "c0"}; !slices.Equal(want, got) {
		t.Errorf("order: want %v, got %v", want, got)
	}
	stop := errors.New("enough")
	n := 0
	err := j.Index(t.Context(), time.Time{}, func(triage.IndexEntry) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("an error of yield stops it: %v after %d", err, n)
	}
}

// What cannot be stored is refused with its place, and nothing of its Append is stored.
func TestAppendRefuses(t *testing.T) {
	j := newJournal(t)
	big := deploy("big", 0)
	big.Labels = map[string]string{"x": strings.Repeat("x", MaxBody)}
	a := triage.Anomaly{Series: "x"}
	far := deploy("far", 0)
	far.StartedAt = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC) // JSON knows no year of five digits
	both := entry(deploy("both", 0))
	both.Event.Anomaly = &triage.Anomaly{ID: "x"}
	for name, bad := range map[string]triage.Entry{
		"nothing": {}, "no id": entry(triage.Change{}), "too big": entry(big), "anomaly without id": {Event: triage.Event{Anomaly: &a}},
		"time out of range": entry(far), "both": both,
	} {
		t.Run(name, func(t *testing.T) {
			err := j.Append(t.Context(), []triage.Entry{entry(deploy("good", 0)), bad})
			if ee, ok := errors.AsType[*EntryError](err); !ok || ee.Index != 1 {
				t.Errorf("error: %v", err)
			}
		})
	}
	if got := index(t, j, time.Time{}); len(got) != 0 {
		t.Errorf("something was stored: %v", got)
	}
	if err := j.Append(t.Context(), nil); err != nil {
		t.Errorf("nothing to append: %v", err)
	}
}

// A request that fails takes nothing and nobody with it: the others of its batch are stored, its own half-done work is not.
func TestBadRequestDoesNotBlockItsBatch(t *testing.T) {
	j := openAt(t, t.TempDir()+"/j.db")
	bad := errors.New("bad record")
	put := func(id string, fail error) *request {
		return &request{op: "append", entries: 1, done: make(chan error, 1), do: func(w *writer) error {
			row, err := encodeChange(deploy(id, 0), t0)
			if err != nil {
				return err
			}
			return errors.Join(w.putChange(row, nil, 0), fail)
		}}
	}
	batch := []*request{put("one", nil), put("two", bad), put("three", nil), put("two", bad), put("four", nil)}
	entries, err := j.commit(batch)
	if entries != 3 || err != nil {
		t.Fatalf("commit: %d entries, %v", entries, err)
	}
	for i, r := range batch {
		if err := <-r.done; errors.Is(err, bad) != (i == 1 || i == 3) {
			t.Errorf("request %d: %v", i, err)
		}
	}
	var got []triage.ChangeID
	for _, c := range changes(t, j, "one", "two", "three", "four") {
		got = append(got, c.ID)
	}
	if want := []triage.ChangeID{"one", "three", "four"}; !slices.Equal(want, got) {
		t.Errorf("stored: want %v, got %v", want, got)
	}
}

// Before Run a write waits, and gives up with its context; after Close it fails at once.
func TestAppendAroundRun(t *testing.T) {
	j := openAt(t, t.TempDir()+"/j.db")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, j.Append(ctx, []triage.Entry{entry(deploy("a", 0))}), context.Canceled)

	waiting := make(chan error, 1)
	go func() { waiting <- j.Append(context.Background(), []triage.Entry{entry(deploy("b", 0))}) }()
	ended := make(chan error, 1)
	go func() { ended <- j.Run(context.Background()) }()
	if err := <-waiting; err != nil {
		t.Errorf("write that waited for Run: %v", err)
	}
	if err := j.Run(t.Context()); err == nil {
		t.Error("Run twice: no error")
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
	wantErr(t, j.Append(context.Background(), []triage.Entry{entry(deploy("c", 0))}), ErrClosed)
	if _, err := j.Changes(context.Background(), []triage.ChangeID{"b"}); err == nil {
		t.Error("read after Close: no error")
	}
}

// Everything at once: writers, readers, merges, a backup and a sweep neither lose anything nor meet a locked database.
func TestConcurrent(t *testing.T) {
	j := newJournal(t)
	const writers, each = 8, 40
	var writing, reading sync.WaitGroup
	done := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				id := fmt.Sprintf("w%d-%d", w, i)
				es := []triage.Entry{entry(deploy(id, time.Duration(i)*time.Second), triage.ChangeID(id+"-alias"))}
				if err := j.Append(context.Background(), es); err != nil {
					t.Errorf("append: %v", err)
				}
				if err := j.SetState(context.Background(), fmt.Sprintf("cursor-%d", w), []byte(id)); err != nil {
					t.Errorf("set state: %v", err)
				}
				if err := j.SaveDelivery(context.Background(), triage.Delivery{ID: id, State: triage.DeliveryPending}); err != nil {
					t.Errorf("save delivery: %v", err)
				}
			}
		})
	}
	for range 3 {
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, _, err := j.FindChanges(context.Background(), triage.ChangeQuery{Services: []string{"checkout"}}); err != nil {
					t.Errorf("find: %v", err)
				}
				if err := j.Index(context.Background(), t0, func(triage.IndexEntry) error { return nil }); err != nil {
					t.Errorf("index: %v", err)
				}
			}
		})
	}
	reading.Go(func() {
		if err := j.Backup(context.Background(), t.TempDir()+"/copy.db"); err != nil {
			t.Error(err)
		}
		if err := (&sweeper{j: j}).round(context.Background()); err != nil {
			t.Error(err)
		}
	})
	writing.Wait()
	close(done)
	reading.Wait()
	if got := len(index(t, j, time.Time{})); got != writers*each {
		t.Errorf("stored: want %d, got %d", writers*each, got)
	}
	if got := len(aliasesSince(t, j, time.Time{})); got != writers*each {
		t.Errorf("aliases: want %d, got %d", writers*each, got)
	}
	if err := j.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
