package github

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRecordedAnswers pins down every recorded answer of the real API: what it says to us, in one line.
func TestRecordedAnswers(t *testing.T) {
	dir := sharedPayloads(t, "github-rest")
	g := newRig(t, Repository{Name: "o/r"})
	deployment := func(raw json.RawMessage) string {
		d, err := readDeployment(raw)
		if err != nil {
			return err.Error()
		}
		c, _ := g.s.deploymentChange(g.s.repos[0], d, progress{}, g.at)
		v := view(c)
		return fmt.Sprintf("%s %s %s %s %s@%s from %s, payload %d", v.ID, v.Kind, v.Status, v.Service, v.Version, v.Environment, v.Started, len(d.payload()))
	}
	each := func(raw []byte, f func(json.RawMessage) string) string {
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return err.Error()
		}
		var out []string
		for _, item := range items {
			out = append(out, f(item))
		}
		return strings.Join(out, "; ")
	}
	statuses := func(raw []byte) string {
		return each(raw, func(item json.RawMessage) string {
			var st deploymentStatus
			if err := json.Unmarshal(item, &st); err != nil {
				return err.Error()
			}
			var p progress
			p.read(&st)
			return fmt.Sprintf("%s %s %s", st.State, p.result, p.finished.Format(time.RFC3339))
		})
	}
	compare := func(raw []byte) string {
		g.hub.set("repos/o/r/compare/a...b", json.RawMessage(raw))
		g.s.facts.cache.Clear()
		b, err := g.s.compare(t.Context(), g.s.repos[0], "a", "b")
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%s %d commits %d files %d lines %v", b.status, b.commits, b.files, b.lines, b.paths[:min(2, len(b.paths))])
	}
	table := map[string]struct {
		read func([]byte) string
		want string
	}{
		"commit.pulls": {func(raw []byte) string {
			g.hub.set("repos/o/r/commits/x/pulls", json.RawMessage(raw))
			ps, err := g.s.pullsOf(t.Context(), g.s.repos[0], "x")
			return fmt.Sprint(ps, err)
		}, "[] <nil>"}, // it is still open: its code is not on the branch
		"commits.list": {func(raw []byte) string { // not asked for: a comparison has the commits; the message's form is the same
			return each(raw, func(item json.RawMessage) string {
				var c struct {
					Commit struct{ Message string }
				}
				_ = json.Unmarshal(item, &c)
				p, ok := pullOfMessage(c.Commit.Message)
				return fmt.Sprint(p.Number, " ", p.Title, " ", ok)
			})
		}, "6 New line at end of file. true"},
		"compare":                    {compare, "ahead 2 commits 1 files 2 lines [README]"},
		"compare.2":                  {compare, "ahead 9 commits 6 files 28 lines [.github/workflows/maven.yml README]"},
		"deployment.object-payload":  {func(raw []byte) string { return deployment(raw) }, "github:o/r/deployment/178653229 deploy started r 3a09d2d@production from 2019-10-30T00:03:34Z, payload 4"},
		"deployment.string-payload":  {func(raw []byte) string { return deployment(raw) }, "github:o/r/deployment/178653229 deploy started r 3a09d2d@production from 2019-10-30T00:03:34Z, payload 0"},
		"deployments.list":           {func(raw []byte) string { return each(raw, deployment) }, "github:o/r/deployment/1 deploy started r a84d88e@production from 2012-07-20T01:19:13Z, payload 1"},
		"deployments.list.2":         {func(raw []byte) string { return each(raw, deployment) }, "github:o/r/deployment/315601563 deploy started r e53a04c@unittest from 2021-01-23T05:30:28Z, payload 2"},
		"deployment_statuses.list":   {statuses, "success succeeded 2012-07-20T01:19:13Z"},
		"deployment_statuses.list.2": {statuses, "queued  0001-01-01T00:00:00Z"},
		"releases.list": {func(raw []byte) string {
			r := &repo{cfg: Repository{Name: "o/r", ReleaseIsDeploy: true}, short: "r"}
			return each(raw, func(item json.RawMessage) string {
				rel, err := decode[release](item, "release")
				if err != nil {
					return err.Error()
				}
				c, why := g.s.releaseChange(r, &rel, g.at)
				return fmt.Sprintf("%s %s at %s%s", c.ID, c.Version, c.StartedAt.Format(time.RFC3339), why)
			})
		}, "github:o/r/release/1 v1.0.0 at 2013-02-27T19:35:32Z"},
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != len(table) {
		t.Errorf("%d files, %d expectations (%v)", len(files), len(table), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			x, ok := table[name]
			if !ok {
				t.Fatalf("%s has no expectation", name)
			}
			if got := x.read(raw); got != x.want {
				t.Errorf("want %s\ngot  %s", x.want, got)
			}
		})
	}
}
