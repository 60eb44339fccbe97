package triage

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strings"
	"time"
)

// ChangeID names a Change for ever. Where a source has a native id it is "<source>:<native id>".
type ChangeID string

// Bounds on one Change. A Change at every bound is about 64 KiB of JSON.
const (
	MaxText   = 1024 // bytes of an id, title, name or label value
	MaxURL    = 2048 // bytes of a URL
	MaxLabels = 64
	MaxRefs   = 32
	MaxSteps  = 100
	MaxPaths  = 50
)

// OwnID puts an id under its source, so that nobody writes over what another source reported.
func OwnID(source, id string) string {
	if id == "" || strings.HasPrefix(id, source+":") {
		return id
	}
	if id = source + ":" + id; len(id) > MaxText {
		sum := sha256.Sum256([]byte(id))
		return source + ":" + hex.EncodeToString(sum[:])
	}
	return id
}

// LabelPushedBy names the token by which a Change was pushed over HTTP.
const LabelPushedBy = "pushed_by"

// Change altered a running system and can be pointed at: a deploy, a config push, a flag flip, a migration.
// Values do not change after they are built; folding makes new ones.
type Change struct {
	ID     ChangeID `json:"id,omitempty"`
	Source string   `json:"source,omitempty"` // configured name of the source that saw it first
	Kind   Kind     `json:"kind"`
	Status Status   `json:"status,omitempty"`
	Scope

	// StartedAt is the first sign of execution, FinishedAt the terminal status, ObservedAt when we first saw it.
	// A source that reports only the end leaves StartedAt zero: its start is then not known, and never assumed.
	StartedAt        time.Time `json:"started_at,omitzero"`
	FinishedAt       time.Time `json:"finished_at,omitzero"`
	ObservedAt       time.Time `json:"observed_at,omitzero"`
	TimeUncertaintyS float64   `json:"time_uncertainty_s,omitzero"` // ± seconds on started_at (or finished_at, where it stands alone)
	Steps            []Step    `json:"steps,omitempty"`

	Version         string `json:"version,omitempty"`
	PreviousVersion string `json:"previous_version,omitempty"`
	Digest          string `json:"digest,omitempty"` // image digest, "sha256:…"

	Title string `json:"title,omitempty"` // one line, from outside: escape it wherever it is shown
	URL   string `json:"url,omitempty"`
	Actor string `json:"actor,omitempty"` // a link; never a ranking factor, never in a message

	Size           Size              `json:"size,omitzero"`
	Reversible     Reversible        `json:"reversible,omitzero"`
	RolloutPercent *float64          `json:"rollout_percent,omitempty"` // 0–100, where it stands now
	Refs           []Ref             `json:"refs,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
	Seen           Seen              `json:"seen,omitzero"`

	RevertedBy []ChangeID `json:"reverted_by,omitempty"`
	Undoes     []ChangeID `json:"undoes,omitempty"`
}

// Step is one stage of a rollout: from At on, Percent of Region (or of everything) had the change.
type Step struct {
	At      time.Time `json:"at"`
	Percent float64   `json:"percent,omitempty"` // 0–100
	Region  string    `json:"region,omitempty"`
}

// Size is how much a Change touched. Zero means unknown.
type Size struct {
	Files int      `json:"files,omitempty"`
	Lines int      `json:"lines,omitempty"`
	Paths []string `json:"paths,omitempty"` // the first ones, at most MaxPaths
}

// IsZero reports whether nothing is known of the size.
func (s Size) IsZero() bool { return s.Files == 0 && s.Lines == 0 && len(s.Paths) == 0 }

// Reversible says whether the Change can be undone, and why we think so.
type Reversible struct {
	Value  ReversibleValue `json:"value,omitempty"`
	Reason string          `json:"reason,omitempty"`
}

// ReversibleValue is yes, no or unknown.
type ReversibleValue string

// The values of Reversible. The empty value reads as unknown.
const (
	ReversibleYes     ReversibleValue = "yes"
	ReversibleNo      ReversibleValue = "no"
	ReversibleUnknown ReversibleValue = "unknown"
)

// Ref points at the Change in another system. Two Changes that share a Ref are one.
type Ref struct {
	System string `json:"system"` // "github-deployment", "github-run", "argocd", …
	ID     string `json:"id"`
	URL    string `json:"url,omitempty"`
}

// Name is what a Change is about: the flag, the configuration, else the service.
func (c Change) Name() string {
	if v := c.Labels["flag"]; v != "" {
		return v
	}
	if c.Kind == KindFlag || c.Kind == KindConfig {
		for _, k := range [...]string{"flag_key", "key", "config", "name"} {
			if v := c.Labels[k]; v != "" {
				return v
			}
		}
		if c.Title != "" {
			return "" // the title says what it was better than the service does
		}
	}
	return c.Service
}

// Moved is where a Change came from and went to, as far as it says.
func (c Change) Moved() (from, to string) {
	if c.Kind != KindFlag && c.Kind != KindConfig {
		return c.PreviousVersion, c.Version
	}
	return cmp.Or(c.Labels["from"], c.Labels["rollout_from"], c.Labels["previous"], c.PreviousVersion), cmp.Or(c.Labels["to"], c.Labels["rollout_to"], c.Version)
}

// OccurredAt is when the Change began to act, as well as we know: start, else end, else when we saw it.
func (c Change) OccurredAt() time.Time {
	switch {
	case !c.StartedAt.IsZero():
		return c.StartedAt
	case !c.FinishedAt.IsZero():
		return c.FinishedAt
	}
	return c.ObservedAt
}

// AssumedRollout is how long before its end a Change may have begun to act when its source reported no start, where nothing better
// is known of its kind.
const AssumedRollout = 15 * time.Minute

// StartInterval is the interval in which the Change started. observed is false when the source did not report a start;
// earliest is then rollout before the end, since half a rollout acts already. The interval is closed; times in UTC.
func (c Change) StartInterval(rollout time.Duration) (earliest, latest time.Time, observed bool) {
	u := time.Duration(c.TimeUncertaintyS * float64(time.Second))
	if !c.StartedAt.IsZero() {
		return c.StartedAt.Add(-u), c.StartedAt.Add(u), true
	}
	end := c.FinishedAt
	if end.IsZero() {
		end = c.ObservedAt
	}
	return end.Add(-rollout - u), end.Add(u), false
}

// LastActivity is the latest time at which the Change did anything: max of start, steps and finish.
// The Window evicts by it, so a long rollout stays while it moves.
func (c Change) LastActivity() time.Time {
	t := c.StartedAt
	for _, s := range c.Steps {
		if s.At.After(t) {
			t = s.At
		}
	}
	if c.FinishedAt.After(t) {
		t = c.FinishedAt
	}
	if t.IsZero() {
		t = c.ObservedAt
	}
	return t
}

// What a join key is made of, and so how much it proves: the first word of every key.
const (
	JoinRef     = "ref"     // one execution
	JoinSHA     = "sha"     // what was put in place
	JoinDigest  = "digest"  // the same
	JoinVersion = "version" // what two senders call it
)

// JoinKeys are the keys by which two reports of one Change find each other: every ref; sha + service + environment;
// image digest + service + environment; version + service + environment. Order is fixed.
func (c Change) JoinKeys() []string {
	keys := make([]string, 0, len(c.Refs)+3)
	for _, r := range c.Refs {
		keys = append(keys, JoinRef+"\x00"+r.System+"\x00"+r.ID)
	}
	if c.Service == "" {
		return keys
	}
	deploys := c.Kind == KindDeploy || c.Kind == KindRollback
	if sha := c.Labels["sha"]; sha != "" && deploys {
		keys = append(keys, JoinSHA+"\x00"+sha+"\x00"+c.Service+"\x00"+c.Environment)
	}
	if c.Digest != "" {
		keys = append(keys, JoinDigest+"\x00"+c.Digest+"\x00"+c.Service+"\x00"+c.Environment)
	}
	if deploys && len(c.Version) >= 2 && strings.ContainsAny(c.Version, "0123456789") { // "latest" and "2" name nothing, "v4" does
		keys = append(keys, JoinVersion+"\x00"+strings.TrimPrefix(c.Version, "v")+"\x00"+c.Service+"\x00"+c.Environment)
	}
	return keys
}

// HashJoinKey is the 64-bit FNV-1a hash of a join key: what the journal and the window keep instead of the string.
func HashJoinKey(key string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(key)) // never returns an error
	return h.Sum64()
}

// DeriveID makes the id of a Change whose source has none: a hash over source, kind, scope, version, title and the second it occurred.
func (c Change) DeriveID() ChangeID {
	h := sha256.New()
	for _, f := range [...]string{
		c.Source, string(c.Kind), c.Service, c.Environment, c.Region, c.Cluster, c.Namespace,
		c.Version, c.Title, c.OccurredAt().UTC().Format(time.RFC3339),
	} {
		fmt.Fprintf(h, "%d:%s", len(f), f)
	}
	src := c.Source
	if src == "" {
		src = "push"
	}
	return ChangeID(src + ":" + hex.EncodeToString(h.Sum(nil))[:16])
}
