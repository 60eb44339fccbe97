package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/triaged-dev/triaged/triage"
)

// share counts hits of something.
type share struct{ hits, n int }

func (s *share) add(hit bool) {
	s.n++
	if hit {
		s.hits++
	}
}

// String is the share with its 95 % interval.
func (s share) String() string {
	if s.n == 0 {
		return "–"
	}
	low, high := triage.Wilson(s.hits, s.n)
	return fmt.Sprintf("%d/%d (%.2f–%.2f)", s.hits, s.n, low, high)
}

// score is what a table says of some rows.
type score struct{ top1, blamed, advised, wrong, laterAdvised, laterWrong, refused, seen, verified share }

func (s *score) add(r row) {
	if r.Judged == "no page" {
		return
	}
	told := r.None == "" && !r.Untold
	if told {
		s.top1.add(r.Rank == 1 && r.PTruth > r.PNone)
		s.advised.add(r.Judged == "right")
		s.refused.add(r.Judged == "wrong refusal")
		if r.Later != "" {
			s.laterAdvised.add(r.Later == "right")
		}
	}
	s.blamed.add(r.Blamed)
	if r.Action.Reversal() {
		s.wrong.add(r.Judged == "wrong")
	}
	if r.LaterUndo {
		s.laterWrong.add(r.Later == "wrong")
	}
	if told && r.Undo != "" && r.Rank > 0 {
		s.seen.add(r.Seen)
	}
	if right, known := r.outcome(); known {
		s.verified.add(right)
	}
}

// outcome reports whether what was said of an undo at last was right. What cannot be told yet is never wrong.
func (r row) outcome() (right, known bool) {
	good := func(said string) bool {
		return said == string(triage.CheckVerified) || said == string(triage.CheckConsistent)
	}
	switch {
	case r.WrongSaid != "":
		return r.WrongSaid != string(triage.CheckVerified), true
	case r.Said != "":
		return good(r.Said) || r.Said == string(triage.CheckWatching) || r.Said == string(triage.CheckUnmeasured), true
	}
	return false, false
}

// table prints the scores by scenario, by knowledge and in all, as Markdown.
func table(w io.Writer, rows []row) error {
	by := func(key func(row) string) map[string]*score {
		m := make(map[string]*score)
		for _, r := range rows {
			if m[key(r)] == nil {
				m[key(r)] = new(score)
			}
			m[key(r)].add(r)
		}
		return m
	}
	fmt.Fprintln(w, "\n| | Top-1 | false blame | advised rightly | wrong of advised undos | refused wrongly | later: advised rightly | later: wrong | undo recognised | outcome right |\n|---|---|---|---|---|---|---|---|---|---|")
	for _, group := range []map[string]*score{
		by(func(r row) string { return r.Scenario }), by(func(r row) string { return "*" + r.Knows + "*" }), by(func(row) string { return "**all**" }),
	} {
		for _, name := range slices.Sorted(maps.Keys(group)) {
			s := group[name]
			if _, err := fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
				name, s.top1, s.blamed, s.advised, s.wrong, s.refused, s.laterAdvised, s.laterWrong, s.seen, s.verified); err != nil {
				return err
			}
		}
	}
	return nil
}

// summarize prints the table of results files.
func summarize(w io.Writer, files []string) error {
	var rows []row
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			var r row
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				f.Close()
				return fmt.Errorf("decode %s: %w", name, err)
			}
			rows = append(rows, r)
		}
		f.Close()
		if err := lines.Err(); err != nil {
			return err
		}
	}
	return table(w, rows)
}
