package say

import (
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// Change names a change in a few words: "flag new-pricing 0 → 100 %", "deploy pricing v811 → v812".
func Change(c triage.Change) string { return Undone(triage.UndoneOf(c)) }

// Undone is Change for one of which a report keeps the name alone.
func Undone(u triage.Undone) string {
	what, name, moved := parts(u)
	return joinWords(what, name, moved)
}

// Parts is Suspect in three pieces, for a page that sets each in its own way: what it is, its name, and from what to what it went.
func Parts(s triage.Suspect) (what, name, moved string) {
	switch {
	case s.Change != nil:
		return parts(triage.UndoneOf(*s.Change))
	case s.Anomaly != nil:
		return string(s.Anomaly.Signal) + " shift on", Clean(s.Anomaly.Service, MaxName), ""
	}
	return "", "something unnamed", ""
}

func joinWords(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

func parts(u triage.Undone) (what, name, moved string) {
	what, name, moved = string(u.Kind), Clean(u.Name, MaxName), Moved(u.From, u.To)
	title := Clean(u.Title, MaxPhrase)
	if what == "" { // a report of 0.1.0 kept no more
		return "", firstOf(title, Clean(string(u.ChangeID), MaxName)), ""
	}
	if u.Kind == triage.KindConfig && name != "" && u.Name != u.Service && u.Service != "" {
		name += " of " + Clean(u.Service, MaxName) // a key says little without whose it is
	}
	if title == "" || moved != "" && name != "" {
		return what, firstOf(name, Clean(string(u.ChangeID), MaxName)), moved
	}
	if u.Kind == triage.KindDeploy && name != "" && !strings.Contains(title, name) {
		title = name + ": " + title
	}
	if u.Kind == triage.KindFlag && name != "" && !strings.Contains(title, name) {
		title = name + ": " + title // the switch to flip is its name, whatever somebody wrote beside it
	}
	if rest, said := cutFold(title, what); said {
		title = strings.TrimLeft(rest, " :")
	} else if says(title, what) {
		return "", title, ""
	}
	return what, strings.TrimSpace(title), ""
}

// says reports whether the word stands among the first three of a title, which then needs it no more before it: "schema migration: …".
func says(title, word string) bool {
	words := strings.Fields(title)
	return slices.ContainsFunc(words[:min(len(words), 3)], func(w string) bool { return strings.EqualFold(strings.Trim(w, ":,.;"), word) })
}

// cutFold cuts a leading word, in any case.
func cutFold(s, word string) (rest string, found bool) {
	if len(s) > len(word) && strings.EqualFold(s[:len(word)], word) && (s[len(word)] == ' ' || s[len(word)] == ':') {
		return s[len(word):], true
	}
	return s, false
}

// Moved says from what to what, "" where neither is known.
func Moved(from, to string) string {
	from, to = version(from), version(to)
	switch {
	case from != "" && to != "":
		return from + " → " + to
	case from != "":
		return "from " + from
	}
	return to
}

// version shortens what is a hash as people do, and bounds the rest.
func version(s string) string {
	s = Clean(s, triage.MaxText)
	for _, algorithm := range [...]string{"sha256:", "sha1:"} {
		s = strings.TrimPrefix(s, algorithm)
	}
	if len(s) >= 40 && strings.Trim(s, "0123456789abcdef") == "" {
		return s[:10]
	}
	return Clean(s, maxVersion)
}

// Suspect is Change, or the same for a shift that is suspected itself.
func Suspect(s triage.Suspect) string {
	what, name, moved := Parts(s)
	return joinWords(what, name, moved)
}

// Place is where something is, from the wide to the narrow: environment, region, cluster, namespace. A region that the
// cluster's name holds is not said twice.
//
// Worked example: production, eu1, prod-eu1, shop is production/prod-eu1/shop.
func Place(s triage.Scope) string {
	var parts []string
	for _, p := range [...]string{s.Environment, s.Region, s.Cluster, s.Namespace} {
		p = Clean(p, MaxName)
		if p == "" || p == Clean(s.Region, MaxName) && strings.Contains(s.Cluster, p) && p != s.Cluster || slices.Contains(parts, p) {
			continue
		}
		parts = append(parts, p)
	}
	return strings.Join(parts, "/")
}

func firstOf(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}

// WentBack says that a change was taken back, as a clause: "flag new-pricing went back".
func WentBack(c triage.Change) string {
	name := Clean(firstOf(c.Name(), c.Service, c.Title, string(c.ID)), MaxName)
	switch c.Kind {
	case triage.KindFlag:
		return "flag " + name + " went back"
	case triage.KindConfig:
		return "config " + name + " was reverted"
	case triage.KindDeploy, triage.KindRollback:
		return name + " was rolled back"
	default: // of the rest only the kind can be said
		return string(c.Kind) + " " + name + " was undone"
	}
}
