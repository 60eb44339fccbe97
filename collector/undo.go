package collector

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/triaged-dev/triaged/triage"
)

// keyOf names the one entry, resource or workload that a Change is about, "" where its source does not say.
func keyOf(c *triage.Change) string {
	if c.Labels["flag"] != "" {
		return c.Labels["project"] // the same name in two projects is two flags
	}
	if c.Kind == triage.KindScale {
		name := cmp.Or(c.Labels["deployment"], c.Labels["statefulset"], c.Labels["object"], c.Labels["resource"])
		return strings.ToLower(name[strings.LastIndexByte(name, '/')+1:])
	}
	for _, l := range [...]string{"key", "config", "config_key", "file", "object", "resource", "configmap", "secret"} {
		if v := c.Labels[l]; v != "" {
			return v
		}
	}
	return ""
}

// valuesOf are what a Change says it went from and to, in plain form; "" where it does not.
func valuesOf(c *triage.Change) (from, to string) {
	first := func(names ...string) string {
		for _, n := range names {
			if v := c.Labels[n]; v != "" {
				return v
			}
		}
		return ""
	}
	from = first("from", "rollout_from", "previous", "previous_replicas", "from_replicas", "old_value")
	to = first("to", "rollout_to", "replicas", "to_replicas", "value", "new_value")
	if c.Kind == triage.KindScale {
		from, to = cmp.Or(from, c.PreviousVersion), cmp.Or(to, c.Version)
	}
	if to == "" && c.Labels["flag"] != "" {
		switch n := len(c.Steps); {
		case c.RolloutPercent != nil:
			to = strconv.FormatFloat(*c.RolloutPercent, 'g', -1, 64)
		case n > 0:
			to = strconv.FormatFloat(c.Steps[n-1].Percent, 'g', -1, 64)
		}
	}
	return plain(from, c), plain(to, c)
}

// plain writes a value one way: "0 %" and "off" are the same state of a flag, "3 replicas" and "3" of a workload.
func plain(v string, c *triage.Change) string {
	v = strings.ToLower(strings.TrimSpace(v))
	if c.Kind == triage.KindScale || c.Labels["replicas"] != "" {
		v = strings.TrimSpace(strings.TrimSuffix(strings.TrimSuffix(v, "replicas"), "replica"))
	}
	if c.Labels["flag"] == "" {
		return v
	}
	v = strings.TrimSpace(strings.TrimSuffix(v, "%"))
	switch v {
	case "true", "enabled", "yes", "100":
		return "on"
	case "false", "disabled", "no", "0":
		return "off"
	}
	return v
}

// sameKey reports whether both set the same thing: a flag or a size is one by its track, anything else by its name.
func (r *run) sameKey(o *run) bool {
	if r.kind == triage.KindFlag || r.kind == triage.KindScale || o.kind == triage.KindFlag || o.kind == triage.KindScale {
		return !r.otherKey(o)
	}
	return r.key != "" && r.key == o.key
}

// otherKey reports whether they are certainly about different entries.
func (r *run) otherKey(o *run) bool { return r.key != "" && o.key != "" && r.key != o.key }

// inverse reports whether o moves a value back exactly as r moved it, which names it even where no key does.
func (r *run) inverse(o *run) bool {
	return r.value != "" && r.was != "" && r.value != r.was && r.value == o.was && r.was == o.value && !r.words.unlike(o.words)
}

// cameFrom reports whether the value before r was this one. A flag that was switched on was off, also where nobody says so.
func (r *run) cameFrom(value string) bool {
	if value == "" || r.value == "" {
		return false
	}
	return r.was == value || r.was == "" && r.kind == triage.KindFlag && value == "off"
}

// words are what a Change says of itself, for finding what a later one says it takes back.
type words struct {
	text    string // title and pull requests, in lower case, bounded
	telling []string
}

const maxWords = 300

// unlike reports whether both tell what they are about and have nothing in common.
func (w words) unlike(o words) bool {
	return len(w.telling) > 0 && len(o.telling) > 0 && !slices.ContainsFunc(w.telling, func(s string) bool { return slices.Contains(o.telling, s) })
}

// textOf is what a Change says of itself.
func textOf(c *triage.Change) string {
	parts := make([]string, 0, 4)
	for _, s := range [...]string{c.Title, c.Labels["pr_titles"], c.Labels["commit_message"], c.Labels["message"], c.Labels["description"]} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "; ")
}

func wordsOf(c *triage.Change) words {
	text := strings.ToLower(textOf(c))
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "")
	}
	w := words{text: text}
	if text == "" {
		return w
	}
	common := func(s string) bool {
		return len(s) < 3 || dull[s] || s == strings.ToLower(c.Service) || s == strings.ToLower(c.Environment) || strings.Trim(s, "0123456789.v") == ""
	}
	for _, s := range strings.FieldsFunc(text+" "+strings.ToLower(keyOf(c)+" "+c.Labels["flag"]), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' }) {
		if s = strings.Trim(s, "."); !common(s) && !slices.Contains(w.telling, s) && len(w.telling) < 24 {
			w.telling = append(w.telling, s)
		}
	}
	return w
}

// dull words are in every title and name nothing.
var dull = map[string]bool{
	"revert": true, "reverts": true, "reverted": true, "rollback": true, "roll": true, "rolled": true, "back": true, "undo": true, "the": true,
	"last": true, "previous": true, "change": true, "changes": true, "config": true, "configuration": true, "deploy": true, "deployed": true,
	"deployment": true, "release": true, "service": true, "for": true, "from": true, "and": true, "with": true, "set": true, "turned": true,
	"flag": true, "commit": true, "push": true, "pushed": true, "applied": true, "apply": true, "version": true, "sync": true, "argo": true,
	"scaled": true, "scale": true, "this": true, "that": true, "into": true, "prod": true, "production": true, "hotfix": true, "fix": true,
	"feat": true, "chore": true, "run": true, "terraform": true, "helm": true, "upgrade": true, "update": true, "replicas": true,
}

// What a Change says when it takes another one back. Only its beginning counts: "add a revert button" says no such thing, and
// neither does "revert button: new colour".
var (
	undoBegins = regexp.MustCompile(`(?i)(?:^|; )(?:[\w./-]+(?:\([^)]*\))?: |\[[^\]]*\] )?(?:revert(?:s|ed|ing)?|rollback|rolled back|rolling back|roll back|undo|undoes|back out)(?:\([^)]*\))?(?:: | to | of |s? commit | "| “| '|$| back | the | last | previous | change|: ?| )`)
	undoSHA    = regexp.MustCompile(`(?i)\brevert(?:s|ed|ing)?:? (?:commit )?([0-9a-f]{7,40})\b`)
	undoQuoted = regexp.MustCompile(`(?i)\brevert(?:s|ed)?:? ["“']([^"”]+?)["”']?(?: \(#\d+\))?(?:;|$)`)
	undoTo     = regexp.MustCompile(`(?i)\b(?:roll(?:ed)? ?back|revert(?:ed)?|back)(?: \S+)? to (?:revision |version |release )?#?([\w.@:/-]*\d[\w.@:/-]*)`)
	plainNoun  = regexp.MustCompile(`(?i)^(?:revert|rollback|undo) (?:button|icon|link|menu|dialog|page|flow|feature|endpoint|support|history|command|action|test|tests|logic|script|job|stack|tool|handler|api|mode|option|log|logs|window)\b`)
)

// saysUndo reports whether a Change says by its kind or its title that it takes another one back.
func saysUndo(c *triage.Change) bool {
	if c.Kind == triage.KindMigration {
		return false
	}
	if c.Kind == triage.KindRollback || c.Labels["reverts"] != "" || c.Labels["revert_of"] != "" || c.Labels["rollback_of"] != "" {
		return true
	}
	text := textOf(c)
	return undoBegins.MatchString(text) && !plainNoun.MatchString(text) || undoSHA.MatchString(text)
}

// relatedTracks are where what a Change says it takes back may be found: its own track first, then the others of its service.
func relatedTracks(c *triage.Change) []trackKey {
	var out []trackKey
	if k, ok := trackOf(c); ok {
		out = append(out, k)
	}
	if c.Service == "" {
		return out
	}
	for _, kind := range [...]triage.Kind{triage.KindDeploy, triage.KindConfig, triage.KindInfra, triage.KindScale, triage.KindCommand, triage.KindOther} {
		if k := (trackKey{service: c.Service, environment: c.Environment, what: string(kind)}); !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// stated returns the runs that a Change says it takes back: the commit, title or version it names; where it names none, the
// latest that is about the same thing. One that names something else than what is known here undoes nothing known.
func (f *fold) stated(c *triage.Change, self *run) []*run {
	var own, others []*run // newest first
	for i, k := range relatedTracks(c) {
		for _, r := range slices.Backward(f.before(k, self)) {
			switch {
			case !r.counts() || self.otherKey(r) || self.at.Sub(r.at) > undoWithin:
			case i == 0:
				own = append(own, r)
			default:
				others = append(others, r)
			}
		}
	}
	slices.SortStableFunc(others, func(a, b *run) int { return b.at.Compare(a.at) })
	all := slices.Concat(own, others)
	text := textOf(c)
	if name := statedName(c, text); name != "" {
		return firstRun(all, func(r *run) bool { return r.named(name) })
	}
	if m := undoQuoted.FindStringSubmatch(text); m != nil {
		quoted := strings.ToLower(strings.TrimSuffix(strings.TrimSpace(m[1]), "…"))
		return firstRun(all, func(r *run) bool { return r.words.text != "" && strings.Contains(r.words.text, quoted) })
	}
	if self.previous != "" { // it says what it replaces
		return firstRun(own, func(r *run) bool { return r.version == self.previous || r.version == "" })
	}
	if m := undoTo.FindStringSubmatch(text); m != nil {
		if back := since(own, m[1]); len(back) > 0 {
			return back
		}
	}
	alike := func(r *run) bool {
		return len(r.words.telling) > 0 && len(self.words.telling) > 0 && !r.words.unlike(self.words)
	}
	if r := firstRun(own, alike); r != nil {
		return r
	}
	if c.Kind == triage.KindRollback && (len(own) > 0 || self.version != "") { // its title may say anything: its kind says it
		return firstRun(own, func(r *run) bool { return !r.same(self) })
	}
	if r := firstRun(others, alike); r != nil {
		return r
	}
	if len(own) == 0 {
		own = others
	}
	return firstRun(own, func(r *run) bool { return !r.words.unlike(self.words) && !r.same(self) })
}

// statedName is the commit or id that a Change says it takes back.
func statedName(c *triage.Change, text string) string {
	if v := cmp.Or(c.Labels["reverts"], c.Labels["revert_of"], c.Labels["rollback_of"]); v != "" {
		return v
	}
	if m := undoSHA.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// named reports whether a run goes by this id, version or commit.
func (r *run) named(name string) bool {
	return string(r.id) == name || r.version == name || len(name) >= 7 && r.sha != "" && strings.HasPrefix(r.sha, strings.ToLower(name)) ||
		len(r.version) >= 7 && strings.HasPrefix(name, r.version)
}

func firstRun(runs []*run, fits func(*run) bool) []*run {
	if i := slices.IndexFunc(runs, fits); i >= 0 {
		return runs[i : i+1]
	}
	return nil
}

// since returns the runs after the latest that put the named version or revision in place, newest first.
func since(newestFirst []*run, name string) []*run {
	for i, r := range newestFirst {
		if r.landed() && (r.version == name || r.revision == name || r.value == name) {
			return newestFirst[:i]
		}
	}
	return nil
}
