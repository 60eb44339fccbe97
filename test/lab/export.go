package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// export keeps the case of the first report, with its answer.
func (a *act) export(ctx context.Context, d *daemon, r row, i triage.Incident, out string) (string, error) {
	raw, err := d.do(ctx, "GET", "/api/v1/incidents/"+i.ID+"/case?report=1", nil)
	if err != nil {
		return "", err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return "", err
	}
	var seen struct {
		Changes []triage.Change `json:"changes"`
	}
	if err := json.Unmarshal(raw, &seen); err != nil {
		return "", err
	}
	h := fnv.New32a()
	fmt.Fprint(h, i.ID, r.At)
	name := fmt.Sprintf("office-%s-%s-%06x", a.scenario.name, d.knows, h.Sum32()&0xffffff)
	e := triage.Expect{
		Truth: []triage.ChangeID{}, NoneReason: a.scenario.none, Action: a.scenario.action,
		Onset: &triage.ExpectOnset{Earliest: a.broken.UTC(), Latest: a.broken.Add(10 * time.Second).UTC()},
	}
	for _, t := range a.truth(i.Service) {
		for _, c := range seen.Changes {
			if sameChange(c, t) {
				e.Truth = append(e.Truth, c.ID)
			}
		}
	}
	if len(e.Truth) == 0 && e.NoneReason == "" {
		if e.NoneReason = "unseen"; r.Untold {
			e.NoneReason = "removed"
		}
	}
	for key, value := range map[string]any{
		"id": name, "source": triage.CaseSource{URL: "test/lab", Licence: "CC0-1.0"}, "expect": e,
	} {
		if fields[key], err = json.Marshal(value); err != nil {
			return "", err
		}
	}
	if raw, err = json.Marshal(fields); err != nil {
		return "", err
	}
	return name, writeCase(filepath.Join(out, name+".json.gz"), raw)
}

func writeCase(path string, raw []byte) error {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(raw); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
