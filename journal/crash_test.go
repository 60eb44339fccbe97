package journal

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

const crashEnv = "TRIAGED_JOURNAL_CRASH_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		crashChild(path)
		return
	}
	os.Exit(m.Run())
}

// crashChild writes from several goroutines for ever and prints each id once it is acknowledged.
func crashChild(path string) {
	j, err := open(path)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	go func() { fmt.Println("error", j.Run(context.Background())) }()
	var n atomic.Int64
	var out sync.Mutex
	for range 8 {
		go func() {
			for {
				base := n.Add(1)
				id := fmt.Sprintf("%d-%d", os.Getpid(), base)
				c, d := deploy("c-"+id, time.Duration(base)*time.Second), deploy("d-"+id, 0)
				report := triage.Report{IncidentID: "i-" + id, Number: 1}
				err := j.Append(context.Background(), []triage.Entry{entry(c, triage.ChangeID("a-"+id)), entry(d)})
				if err == nil && base%10 == 0 {
					err = j.SaveReport(context.Background(), triage.Incident{ID: "i-" + id}, triage.Answer{Report: report}, []triage.Delivery{{ID: "o-" + id, State: triage.DeliveryPending}})
				}
				if err == nil && base%25 == 0 {
					err = j.Append(context.Background(), []triage.Entry{entry(d, c.ID)}) // merged: c is an alias of d now
				}
				out.Lock()
				if err != nil {
					fmt.Println("error", err)
				} else {
					fmt.Println("ack", id, base%10 == 0)
				}
				out.Unlock()
			}
		}()
	}
	select {}
}

func set(t *testing.T, j *Journal, query string) map[string]bool {
	t.Helper()
	rows, err := readAll(t.Context(), j, "test", func(r rowScanner) (s string, err error) { return s, r.Scan(&s) }, query)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]bool, len(rows))
	for _, r := range rows {
		out[r] = true
	}
	return out
}

// kill -9 at any moment: whatever was acknowledged is there, whole, and the file is sound.
func TestCrash(t *testing.T) {
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	path := filepath.Join(t.TempDir(), "j.db")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	type ack struct {
		id     string
		report bool
	}
	var acked []ack
	for round := range rounds {
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env = append(os.Environ(), crashEnv+"="+path)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		before := len(acked)
		after := 1 + rand.IntN(400) // acknowledgements until it is killed; more are read from the pipe
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			f := strings.Fields(lines.Text())
			if len(f) != 3 || f[0] != "ack" {
				if len(f) > 0 && f[0] == "error" {
					t.Fatalf("child: %s", lines.Text())
				}
				continue // the last line, cut by the kill
			}
			report, err := strconv.ParseBool(f[2])
			if err != nil {
				continue
			}
			acked = append(acked, ack{f[1], report})
			if len(acked)-before == after {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		j, err := open(path)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if j.Recovered() != "" {
			t.Fatalf("round %d: recovered: %s", round, j.Recovered())
		}
		stored := make(map[triage.ChangeID]bool)
		for _, e := range index(t, j, time.Time{}) {
			stored[e.ID] = true
		}
		aliases := aliasesSince(t, j, time.Time{})
		reports := set(t, j, "SELECT incident_id FROM reports")
		outbox := set(t, j, "SELECT id FROM deliveries")
		var ids []triage.ChangeID
		for _, a := range acked {
			for _, kind := range []string{"c-", "a-", "d-"} {
				id := triage.ChangeID(kind + a.id)
				if to, ok := aliases[id]; ok {
					id = to
				}
				if !stored[id] {
					t.Fatalf("round %d: acknowledged %s%s is lost", round, kind, a.id)
				}
				ids = append(ids, id)
			}
			if a.report && (!reports["i-"+a.id] || !outbox["o-"+a.id]) {
				t.Fatalf("round %d: acknowledged report of i-%s is lost, or its delivery", round, a.id)
			}
		}
		bodies := changes(t, j, ids...)
		if len(bodies) != len(ids) {
			t.Fatalf("round %d: %d acknowledged, %d read", round, len(ids), len(bodies))
		}
		for i, c := range bodies {
			if c.ID != ids[i] || c.Title == "" || len(c.Refs) != 1 {
				t.Fatalf("round %d: acknowledged %s has no body: %+v", round, ids[i], c)
			}
		}
		// A report and its outbox are both there or both not, acknowledged or not.
		var torn int
		if err := j.rdb.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM reports) - (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM reports) - (SELECT count(*) FROM incidents)`).Scan(&torn); err != nil || torn != 0 {
			t.Errorf("round %d: torn transactions: %d, %v", round, torn, err)
		}
		if err := j.Check(t.Context()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if len(acked)-before < after {
			t.Fatalf("round %d: only %d acknowledgements", round, len(acked)-before)
		}
	}
	t.Logf("%d rounds, %d acknowledged, none lost", rounds, len(acked))
}
