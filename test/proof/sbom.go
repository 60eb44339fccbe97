package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// module is one that is linked into the binary.
type module struct {
	path, version, sum, licence string
}

// shipped reads the modules out of the binary itself, which is what runs, and their licences out of their source.
func shipped(binary string) ([]module, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("read the modules of %s: %w", binary, err)
	}
	var out []module
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		m := module{path: d.Path, version: d.Version, sum: d.Sum}
		dir, err := exec.Command("go", "mod", "download", "-json", d.Path+"@"+d.Version).Output()
		if err != nil {
			return nil, fmt.Errorf("find the source of %s: %w", d.Path, err)
		}
		var where struct{ Dir string }
		if err := json.Unmarshal(dir, &where); err != nil {
			return nil, err
		}
		if m.licence, err = licenceIn(where.Dir); err != nil {
			return nil, fmt.Errorf("%s: %w", d.Path, err)
		}
		out = append(out, m)
	}
	return out, nil
}

// licences are told by words that only they have, the more special first.
var licences = []struct{ id, words string }{
	{"AGPL-3.0-only", "GNU AFFERO GENERAL PUBLIC LICENSE"},
	{"LGPL-3.0-only", "GNU LESSER GENERAL PUBLIC LICENSE"},
	{"GPL-3.0-only", "GNU GENERAL PUBLIC LICENSE"},
	{"MPL-2.0", "Mozilla Public License"},
	{"Apache-2.0", "Apache License"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
	{"ISC", "Permission to use, copy, modify, and distribute this software for any purpose"},
	{"MIT", "Permission is hereby granted, free of charge"},
	{"BSD-3-Clause", "Neither the name"},
	{"BSD-3-Clause", "may not be used to endorse"},
	{"BSD-2-Clause", "Redistributions in binary form must reproduce"},
	{"Unlicense", "This is free and unencumbered software"},
}

func licenceIn(dir string) (string, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, f := range files {
		name := strings.ToUpper(f.Name())
		if f.IsDir() || !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") && !strings.HasPrefix(name, "UNLICENSE") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return "", err
		}
		plain := strings.Join(strings.Fields(string(text)), " ")
		for _, l := range licences {
			if strings.Contains(plain, l.words) {
				return l.id, nil
			}
		}
	}
	return "", errors.New("no licence that we know")
}

// sbom writes a CycloneDX 1.5 list of what is in the binary.
func sbom(o options, out io.Writer) error {
	modules, err := shipped(o.binary)
	if err != nil {
		return err
	}
	type licence struct {
		License struct {
			ID string `json:"id"`
		} `json:"license"`
	}
	type property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	type component struct {
		Type       string     `json:"type"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		PURL       string     `json:"purl"`
		Licenses   []licence  `json:"licenses"`
		Properties []property `json:"properties"`
	}
	bom := struct {
		BOMFormat   string      `json:"bomFormat"`
		SpecVersion string      `json:"specVersion"`
		Version     int         `json:"version"`
		Components  []component `json:"components"`
	}{"CycloneDX", "1.5", 1, nil}
	for _, m := range modules {
		c := component{Type: "library", Name: m.path, Version: m.version, PURL: "pkg:golang/" + m.path + "@" + m.version, Properties: []property{{"go:sum", m.sum}}}
		c.Licenses = make([]licence, 1)
		c.Licenses[0].License.ID = m.licence
		bom.Components = append(bom.Components, c)
	}
	slices.SortFunc(bom.Components, func(a, b component) int { return strings.Compare(a.Name, b.Name) })
	enc := json.NewEncoder(out)
	enc.SetIndent("", " ")
	return enc.Encode(bom)
}
