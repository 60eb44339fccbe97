package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

func TestScenariosSayWhatTheyAre(t *testing.T) {
	names := make(map[string]bool)
	for _, s := range scenarios {
		if names[s.name] {
			t.Errorf("two scenarios are called %s", s.name)
		}
		names[s.name] = true
		if s.about == "" || len(s.action) == 0 || s.begin == nil {
			t.Errorf("%s lacks what it is, what is right to do, or its fault", s.name)
		}
		for _, name := range append(slices.Clone(s.keep), s.decoys...) {
			if staffOf(name).replicas == 0 {
				t.Errorf("%s: there is no service %s", s.name, name)
			}
		}
	}
	if len(names) < 20 {
		t.Errorf("only %d scenarios", len(names))
	}
}

func TestChooseByBeginning(t *testing.T) {
	got, err := choose("canary,surge")
	if err != nil || len(got) != 3 {
		t.Errorf("want both canaries and the surge, got %d, %v", len(got), err)
	}
	if _, err := choose("earthquake"); err == nil {
		t.Error("a name that is none must be refused")
	}
}

// Every way of judging, on rows as they are made of reports.
func TestJudge(t *testing.T) {
	truth := triage.Change{ID: "shipit:orders/1", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "orders"}, Version: "v311"}
	seenFirst := triage.Change{ID: "prometheus:version/9", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "orders"}, Version: "v311"}
	guilty := func(id triage.ChangeID, c *triage.Change) bool {
		return id == truth.ID || c != nil && sameChange(*c, truth)
	}
	if !sameChange(seenFirst, truth) || sameChange(triage.Change{Kind: triage.KindDeploy}, truth) {
		t.Error("a rollout is known by its version too")
	}
	blamed := &act{scenario: scenario{action: rollback}, fault: fault{truth: []triage.Change{truth}}}
	nobody := &act{scenario: scenario{action: hands, none: "traffic"}}
	for _, c := range []struct {
		a    *act
		rec  triage.Recommendation
		want string
	}{
		{blamed, triage.Recommendation{Action: triage.ActionRollback, Target: &triage.Target{ChangeID: truth.ID}}, "right"},
		{blamed, triage.Recommendation{Action: triage.ActionRollback, Target: &triage.Target{ChangeID: "shipit:gate/2"}}, "wrong"},
		{blamed, triage.Recommendation{Action: triage.ActionInvestigate, Verdict: triage.VerdictCannotTell}, "abstained"},
		{blamed, triage.Recommendation{Action: triage.ActionDoNotRollBack, Verdict: triage.VerdictWillNotHelp}, "wrong refusal"},
		{nobody, triage.Recommendation{Action: triage.ActionDoNotRollBack, Verdict: triage.VerdictWillNotHelp}, "right"},
		{nobody, triage.Recommendation{Action: triage.ActionFlagOff, Target: &triage.Target{ChangeID: truth.ID}}, "wrong"},
		{nobody, triage.Recommendation{Action: triage.ActionInvestigate, Verdict: triage.VerdictCannotTell}, "abstained"},
	} {
		g := guilty
		if c.a == nobody {
			g = func(triage.ChangeID, *triage.Change) bool { return false }
		}
		if got := c.a.judge(c.rec, row{}, g); got != c.want {
			t.Errorf("%v %v: want %s, got %s", c.a.scenario.none, c.rec.Action, c.want, got)
		}
	}
}

func TestTheTableCountsWhatCanBeCounted(t *testing.T) {
	var b bytes.Buffer
	rows := []row{
		{Scenario: "x", Knows: "none", Rank: 1, PTruth: .9, Judged: "right", Action: triage.ActionRollback, Undo: "u", Seen: true, Said: "verified", Later: "right", LaterUndo: true},
		{Scenario: "x", Knows: "none", Rank: 2, PTruth: .2, Judged: "wrong", Action: triage.ActionRollback, Blamed: true, WrongSaid: "verified"},
		{Scenario: "x", Knows: "none", None: "traffic", Judged: "abstained", Action: triage.ActionInvestigate},
		{Scenario: "x", Knows: "none", Judged: "no page"},
	}
	if err := table(&b, rows); err != nil {
		t.Fatal(err)
	}
	const want = "| x | 1/2 (0.09–0.91) | 1/3 (0.06–0.79) | 1/2 (0.09–0.91) | 1/2 (0.09–0.91) | 0/2 (0.00–0.66) | 1/1 (0.21–1.00) | 0/1 (0.00–0.79) | 1/1 (0.21–1.00) | 1/2 (0.09–0.91) |"
	if !strings.Contains(b.String(), want) {
		t.Errorf("want %s in\n%s", want, &b)
	}
}

func TestALineTakesItsTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.Copy(c, c) // until the other side is done
			c.Close()
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	slow, err := openLine(ctx, l.Addr().String(), 30*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", slow.address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began, answer := time.Now(), make([]byte, 5)
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "hello" {
		t.Fatalf("got %q, %v", answer, err)
	}
	if took := time.Since(began); took < 60*time.Millisecond {
		t.Errorf("there and back took %s", took)
	}
}

func TestKnowledgeIsWhatItSays(t *testing.T) {
	declared, partly, none := knowledge("declared"), knowledge("partly"), knowledge("none")
	if !strings.Contains(declared, "orders: [seats, fees, pay, tickets-db, broker]") || !strings.Contains(partly, "orders: [pay]") || none != "" {
		t.Errorf("%s\n%s\n%s", declared, partly, none)
	}
}
