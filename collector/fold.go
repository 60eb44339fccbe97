package collector

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// draft is a Change as it will be after the commit.
type draft struct {
	change triage.Change
	joins  []joinKey // of change
	keys   []uint64  // every further join key it ever had, and its aliases
	start  time.Time // hull of everything reported of it; it only grows, which makes folding independent of order
	last   time.Time

	entry    uint32   // in the window, whose id it keeps; 0 if it is new there
	seq      uint32   // of that entry
	order    int      // among the drafts
	absorbed []uint32 // further entries that it takes the place of
	aliases  []triage.ChangeID
	stored   *triage.Change // as the journal has it; nil if it is new
	gone     bool           // folded into another draft
	linkOnly bool           // nothing was reported of it; it only gets a reverted_by
}

// fold is one group of reports being united with each other and with the window. It changes nothing outside itself.
//
// Reports unite along shared keys until nothing more fits: two changes are one if they share a key, lie within foldWithin of each
// other and contradict nowhere. Uniting only ever adds keys and widens the interval, so what can be united stays so, and the
// outcome is the same in whatever order and in whatever groups the reports come.
type fold struct {
	c       *Collector
	drafts  []*draft
	keyOf   map[uint64]int32 // a key to the first of its links
	links   []link
	byEntry map[uint32]*draft
	tracks  map[trackKey]*track // changed copies, stored when the fold is published
	folded  int
}

// link is one draft in the list of those that have a key.
type link struct {
	draft *draft
	next  int32 // position in links plus one; 0 ends the list
}

func newFold(c *Collector, reports int) *fold {
	return &fold{
		c: c, drafts: make([]*draft, 0, reports), keyOf: make(map[uint64]int32, 4*reports), links: make([]link, 0, 4*reports),
		byEntry: make(map[uint32]*draft), tracks: make(map[trackKey]*track, reports),
	}
}

// withKey calls do with every draft that has the key and was not folded into another, until do returns false.
func (f *fold) withKey(key uint64, do func(*draft) bool) {
	for i := f.keyOf[key]; i != 0; i = f.links[i-1].next {
		if x := f.links[i-1].draft; !x.gone && !do(x) {
			return
		}
	}
}

// add unites one report with what is there.
func (f *fold) add(ctx context.Context, r report) error {
	d := &draft{change: r.change, joins: r.keys, order: len(f.drafts)}
	d.start, d.last = activity(&r.change)
	found, err := f.addToSame(ctx, d, r.prior)
	if err != nil {
		return err
	}
	for {
		x, err := f.candidate(ctx, d)
		if err != nil {
			return err
		}
		if x == nil {
			break
		}
		f.unite(d, x)
		found = true
	}
	if found {
		f.folded++
	}
	f.drafts = append(f.drafts, d)
	f.index(d)
	f.remember(d)
	return nil
}

// addToSame unites the report with the Change that has its id, whatever the times. Should that one be about something else, the
// report gets an id of its own, the same one each time.
func (f *fold) addToSame(ctx context.Context, d *draft, prior *triage.Change) (found bool, err error) {
	for range 2 {
		x, err := f.withID(ctx, d.change.ID)
		if err != nil {
			return false, err
		}
		if x == nil && prior != nil {
			x = &draft{change: normal(*prior), stored: prior, order: -1}
			x.start, x.last = activity(&x.change)
		}
		if x == nil {
			return false, nil
		}
		if !contradict(d.change.Scope, x.change.Scope) && !overrules(&d.change, &x.change) {
			f.unite(d, x)
			return true, nil
		}
		d.change.ID, prior = distinctID(d.change), nil
	}
	return false, nil
}

// distinctID is the id of a Change whose own id is taken by one of another scope.
func distinctID(c triage.Change) triage.ChangeID {
	h := fnv.New32a()
	fmt.Fprintf(h, "%+v", c.Scope)
	return c.ID + "#" + triage.ChangeID(hex.EncodeToString(h.Sum(nil)))
}

// withID finds the Change with this id or alias among the drafts and in the window.
func (f *fold) withID(ctx context.Context, id triage.ChangeID) (*draft, error) {
	key := idKey(id)
	var known *draft
	f.withKey(key, func(x *draft) bool { known = x; return false })
	if known != nil {
		return known, nil
	}
	i := f.c.window.find(id)
	if i == 0 {
		f.c.window.keys.each(key, func(e uint32) bool { i = e; return false })
	}
	if i == 0 {
		return nil, nil
	}
	return f.open(ctx, i)
}

// candidate finds the best Change to unite with: by the strongest key, the longer journalled before the newer.
func (f *fold) candidate(ctx context.Context, d *draft) (*draft, error) {
	type found struct {
		entry uint32
		draft *draft
		weak  weakness
	}
	var all []found
	for _, k := range d.joins {
		f.withKey(k.hash, func(x *draft) bool {
			if fits(d, x.change.Scope, x.change.Kind, x.start, x.last) {
				all = append(all, found{draft: x, entry: x.entry, weak: k.weak})
			}
			return true
		})
		f.c.window.keys.each(k.hash, func(i uint32) bool {
			if f.byEntry[i] == nil && i != d.entry && !slices.Contains(d.absorbed, i) {
				e := f.c.window.entries.at(i)
				if fits(d, f.c.window.scope(i), kindOf(e.kind), time.Unix(int64(e.start), 0), time.Unix(int64(e.last), 0)) {
					all = append(all, found{entry: i, weak: k.weak})
				}
			}
			return true
		})
	}
	rank := func(x found) (weak, isNew int, age int) {
		weak = int(x.weak)
		if x.entry != 0 {
			return weak, 0, int(f.c.window.entries.at(x.entry).seq)
		}
		return weak, 1, x.draft.order
	}
	slices.SortFunc(all, func(a, b found) int {
		aw, an, aa := rank(a)
		bw, bn, ba := rank(b)
		return cmp.Or(cmp.Compare(aw, bw), cmp.Compare(an, bn), cmp.Compare(aa, ba))
	})
	for _, x := range all {
		if x.draft == nil {
			var err error
			if x.draft, err = f.open(ctx, x.entry); err != nil {
				return nil, err
			}
		}
		switch {
		case overrules(&d.change, &x.draft.change):
			d.change.Labels = with(d.change.Labels, labelContradicts, string(x.draft.change.ID))
		case x.weak == byName && !twoSenders(d, x.draft):
		case x.weak == byExecution, !f.twoExecutions(&d.change, &x.draft.change):
			return x.draft, nil
		}
	}
	return f.witnessed(ctx, d)
}

// open makes a draft of an entry of the window.
func (f *fold) open(ctx context.Context, i uint32) (*draft, error) {
	if x := f.byEntry[i]; x != nil {
		return x, nil
	}
	id := f.c.window.id(i)
	body, err := f.c.body(ctx, id)
	if err != nil {
		return nil, err
	}
	e := f.c.window.entries.at(i)
	d := &draft{stored: body, entry: i, seq: e.seq, order: len(f.drafts)}
	if body != nil {
		d.change = normal(*body)
	} else { // the journal has lost it: what the index knows is better than nothing
		d.change = triage.Change{ID: id, Kind: kindOf(e.kind), Scope: f.c.window.scope(i), ObservedAt: time.Unix(int64(e.start), 0).UTC()}
	}
	d.start, d.last = time.Unix(int64(e.start), 0), time.Unix(int64(e.last), 0)
	return d, nil
}

// unite folds x into d, which is not indexed yet. The older of the two gives the id, the other id becomes an alias.
func (f *fold) unite(d, x *draft) {
	x.gone = true
	delete(f.byEntry, x.entry)
	a, b := d.change, x.change
	older, newer := x, d
	if d.before(x) {
		older, newer = d, x
	} else {
		a, b = b, a
	}
	a, b = worded(a, b)
	m := merge(a, b)
	d.aliases = append(d.aliases, x.aliases...)
	if newer.change.ID != older.change.ID {
		if !f.isAlias(newer.change.ID, older.entry) {
			d.aliases = append(d.aliases, newer.change.ID)
		}
		d.keys = append(d.keys, idKey(newer.change.ID))
		f.forget(newer.change.ID, &m)
	}
	d.absorbed = append(d.absorbed, x.absorbed...)
	if newer.entry != 0 {
		d.absorbed = append(d.absorbed, newer.entry)
		d.keys = append(d.keys, f.c.window.keys.keys(f.c.window.entries.at(newer.entry).firstKey)...)
	}
	d.entry, d.seq, d.stored, d.order = older.entry, older.seq, older.stored, min(d.order, x.order)
	d.keys = append(d.keys, x.keys...)
	for _, k := range append(d.joins, x.joins...) { // the merged change may have a fuller scope, and then other keys
		d.keys = append(d.keys, k.hash)
	}
	slices.Sort(d.keys)
	d.keys = slices.Compact(d.keys)
	if x.start.Before(d.start) {
		d.start = x.start
	}
	if x.last.After(d.last) {
		d.last = x.last
	}
	d.change, d.joins = m, joinKeys(&m)
}

// isAlias reports whether the id is an alias of the entry already.
func (f *fold) isAlias(id triage.ChangeID, entry uint32) (known bool) {
	f.c.window.keys.each(idKey(id), func(i uint32) bool {
		known = i == entry
		return !known
	})
	return known
}

// before reports whether d was journalled before x: in the window, then in the journal only, then in this group, in order.
func (d *draft) before(x *draft) bool {
	class := func(d *draft) int {
		switch {
		case d.entry != 0:
			return 0
		case d.stored != nil:
			return 1
		}
		return 2
	}
	if c := cmp.Compare(class(d), class(x)); c != 0 {
		return c < 0
	}
	return cmp.Or(cmp.Compare(d.seq, x.seq), cmp.Compare(d.order, x.order)) < 0
}

// index makes a draft findable for the reports after it.
func (f *fold) index(d *draft) {
	if d.entry != 0 {
		f.byEntry[d.entry] = d
	}
	for _, i := range d.absorbed {
		f.byEntry[i] = d
	}
	add := func(k uint64) {
		f.links = append(f.links, link{draft: d, next: f.keyOf[k]})
		f.keyOf[k] = int32(len(f.links))
	}
	add(idKey(d.change.ID))
	for _, k := range d.allKeys() {
		add(k)
	}
}

// allKeys are the keys to keep in the window.
func (d *draft) allKeys() []uint64 {
	out := make([]uint64, 0, len(d.joins)+len(d.keys))
	for _, k := range d.joins {
		out = append(out, k.hash)
	}
	for _, k := range d.keys {
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// entries are what is to be stored: the drafts that differ from what is stored, in order.
func (f *fold) entries() []triage.Entry {
	out := make([]triage.Entry, 0, len(f.drafts))
	for _, d := range f.drafts {
		if d.gone || (d.stored != nil && len(d.aliases) == 0 && reflect.DeepEqual(*d.stored, d.change)) {
			continue
		}
		slices.Sort(d.aliases)
		out = append(out, triage.Entry{Event: triage.Event{Change: &d.change}, Aliases: slices.Compact(d.aliases)})
	}
	return out
}
