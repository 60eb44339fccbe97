package prometheus

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/triaged-dev/triaged/triage"
)

var updateDocs = flag.Bool("update", false, "write the table of docs/alerts.md anew")

// corpusRule is one line of testdata/prometheus/corpus.jsonl: a rule, the labels its alert comes with, and what both mean.
type corpusRule struct {
	Kind, Alert, Record, Expr string
	Labels                    map[string]string
	Victim, Node              string
	Signal                    triage.Signal
	Bad                       string
	Threshold                 *float64
	Legs                      int
}

// reading is what was read of one rule.
type reading struct {
	victim, node, bad string
	signal            triage.Signal
	threshold         *float64
	legs              int
}

func readCorpus(t *testing.T) (rules []corpusRule, recs recordings) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "testdata", "prometheus", "corpus.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	recs = make(recordings)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r corpusRule
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(&r); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if r.Record != "" {
			recs[r.Record] = append(recs[r.Record], recorded{expr: r.Expr, labels: r.Labels, interval: 30 * time.Second})
			continue
		}
		rules = append(rules, r)
	}
	return rules, recs
}

// readRule reads a rule as the symptom of its alert is read, without asking a server.
func readRule(r corpusRule, recs recordings) reading {
	s := triage.SubjectOf(r.Labels, nil)
	out := reading{victim: s.Service, node: s.Node}
	e, err := parseExpr(r.Expr)
	if err != nil {
		expr, l, ok := splitComparison(r.Expr)
		if ok {
			out.signal, _ = signalOfText(expr)
			out.bad, out.threshold, out.legs = l.BadDirection, l.Threshold, 1
		}
		return out
	}
	all := eachLeg(e, func(e parser.Expr) float64 { return recs.depth(e).Seconds() })
	out.legs = len(all)
	l := all[0]
	raw, err := copyExpr(l.expr)
	if err != nil {
		return out
	}
	w := &rewriter{rules: recs, short: time.Minute, keep: l.bad == badLower && l.threshold != nil && *l.threshold <= 0}
	raw = fillRatio(w.rewrite(raw, nil))
	out.signal, out.bad, out.threshold = signalOf(l.expr, raw), l.bad, l.threshold
	if w.off {
		out.threshold = nil
	}
	return out
}

// Every rule of the corpus is read as a person would read it. A rule that a team runs and that is read wrong is added here as a line.
func TestCorpus(t *testing.T) {
	rules, recs := readCorpus(t)
	if len(rules) < 250 {
		t.Fatalf("only %d rules", len(rules))
	}
	type count struct{ rules, victim, signal, direction, threshold, legs int }
	kinds := []string{}
	counts := make(map[string]*count)
	names := make(map[string]bool)
	for _, r := range rules {
		if names[r.Alert] {
			t.Errorf("%s is there twice", r.Alert)
		}
		names[r.Alert] = true
		c := counts[r.Kind]
		if c == nil {
			c = &count{}
			counts[r.Kind], kinds = c, append(kinds, r.Kind)
		}
		got := readRule(r, recs)
		c.rules++
		check := func(n *int, ok bool, what string, want, got any) {
			if ok {
				*n++
				return
			}
			t.Errorf("%s: %s: want %v, got %v\n  %s", r.Alert, what, want, got, r.Expr)
		}
		check(&c.victim, got.victim == r.Victim && got.node == r.Node, "victim", r.Victim+"/"+r.Node, got.victim+"/"+got.node)
		check(&c.signal, got.signal == r.Signal, "signal", r.Signal, got.signal)
		check(&c.direction, got.bad == r.Bad, "direction", r.Bad, got.bad)
		check(&c.threshold, sameThreshold(got.threshold, r.Threshold), "threshold", show(r.Threshold), show(got.threshold))
		check(&c.legs, got.legs == r.Legs, "legs", r.Legs, got.legs)
	}
	slices.Sort(kinds)
	var table strings.Builder
	table.WriteString("| kind | rules | victim | signal | direction | threshold | legs |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	var all count
	for _, k := range kinds {
		c := counts[k]
		fmt.Fprintf(&table, "| %s | %d | %d | %d | %d | %d | %d |\n", k, c.rules, c.victim, c.signal, c.direction, c.threshold, c.legs)
		all.rules, all.victim, all.signal = all.rules+c.rules, all.victim+c.victim, all.signal+c.signal
		all.direction, all.threshold, all.legs = all.direction+c.direction, all.threshold+c.threshold, all.legs+c.legs
	}
	fmt.Fprintf(&table, "| **all** | %d | %d | %d | %d | %d | %d |\n", all.rules, all.victim, all.signal, all.direction, all.threshold, all.legs)
	t.Logf("read right:\n%s", &table)
	docHas(t, table.String())
}

// docHas keeps the table of the docs in step.
func docHas(t *testing.T, table string) {
	t.Helper()
	file := filepath.Join("..", "..", "docs", "alerts.md")
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const from, to = "<!-- corpus -->\n", "<!-- /corpus -->"
	before, rest, ok := strings.Cut(string(doc), from)
	was, after, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", file)
	}
	if was == table {
		return
	}
	if !*updateDocs {
		t.Errorf("%s is out of step: go test ./sources/prometheus -run TestCorpus -update", file)
		return
	}
	if err := os.WriteFile(file, []byte(before+from+table+to+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func sameThreshold(a, b *float64) bool {
	if a == nil || b == nil {
		return a == b
	}
	return math.Abs(*a-*b) <= 1e-9*max(1, math.Abs(*b))
}

func show(v *float64) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprint(*v)
}
