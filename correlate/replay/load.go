package replay

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/triaged-dev/triaged/triage"
)

// maxCase bounds one case file after decompression: 256 MiB.
const maxCase = 256 << 20

// scenario is a Case with its right answer kept apart: the ranker is only ever given in.
type scenario struct {
	in     triage.Case
	expect triage.Expect
	system string // where the case comes from: cross-validation leaves one system out
	twin   bool   // the true changes were taken away
}

// load reads case files and directories of them, in the order of their ids.
func load(paths []string) ([]scenario, error) {
	files, err := list(paths)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no case files (*.json, *.json.gz) in %s", strings.Join(paths, ", "))
	}
	var out []scenario
	var problems []error
	for _, f := range files {
		s, err := read(f)
		if err != nil {
			problems = append(problems, fmt.Errorf("read case %s: %w", f, err))
			continue
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b scenario) int {
		return cmp.Or(cmp.Compare(a.system, b.system), cmp.Compare(a.in.ID, b.in.ID))
	})
	return out, errors.Join(problems...)
}

func list(paths []string) ([]string, error) {
	var files []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("find cases: %w", err)
		}
		if !info.IsDir() {
			files = append(files, p)
			continue
		}
		err = filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && isCase(path) {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("find cases: %w", err)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

func isCase(path string) bool {
	return strings.HasSuffix(path, ".json") || strings.HasSuffix(path, ".json.gz")
}

func read(path string) (scenario, error) {
	f, err := os.Open(path)
	if err != nil {
		return scenario{}, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return scenario{}, err
		}
		defer z.Close()
		r = z
	}
	s, err := decode(r)
	if err != nil {
		return s, err
	}
	if s.in.ID == "" {
		s.in.ID = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".gz"), ".json")
	}
	s.system = filepath.Base(filepath.Dir(path))
	return s, nil
}

// decode reads one case. What the ranker gets is decoded by a type that has no field for the answer.
func decode(r io.Reader) (scenario, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxCase+1))
	if err != nil {
		return scenario{}, err
	}
	if len(data) > maxCase {
		return scenario{}, fmt.Errorf("larger than %d MiB", maxCase>>20)
	}
	var s scenario
	if err := json.Unmarshal(data, &s.in); err != nil {
		return s, err
	}
	var answer struct {
		Expect *triage.Expect `json:"expect"`
	}
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&answer); err != nil {
		return s, err
	}
	if answer.Expect != nil {
		s.expect = *answer.Expect
	}
	switch {
	case s.in.Schema != triage.CaseSchema:
		return s, &triage.FieldError{Field: "schema", Value: strconv.Itoa(s.in.Schema), Remedy: fmt.Sprintf("this version reads schema %d", triage.CaseSchema)}
	case len(s.in.Alerts) == 0 && s.in.ReportAt.IsZero():
		return s, &triage.FieldError{Field: "alerts", Remedy: "needs at least one alert, or report_at"}
	}
	return s, nil
}

// withoutTruth is the case with the true changes taken away, so that there is nothing to find.
func (s scenario) withoutTruth() scenario {
	t := s
	t.twin = true
	t.in.ID += "~twin"
	t.in.Changes = slices.DeleteFunc(slices.Clone(s.in.Changes), func(c triage.Change) bool {
		return slices.Contains(s.expect.Truth, c.ID)
	})
	t.expect.Truth, t.expect.NoneReason = nil, "true change removed"
	t.expect.Action = nil
	return t
}
