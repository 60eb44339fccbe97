package catalog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/triage"
)

const (
	maxFile     = 8 << 20 // bytes of one file
	maxEntities = 20_000  // of all files, about 2 KiB each
)

// entity is the part of a catalogue entity that is read. Unknown fields are other people's and are passed over.
type entity struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name        string            `yaml:"name"`
		Namespace   string            `yaml:"namespace"`
		Labels      map[string]string `yaml:"labels"`
		Annotations map[string]string `yaml:"annotations"`
		Links       []struct {
			URL   string `yaml:"url"`
			Title string `yaml:"title"`
			Type  string `yaml:"type"`
		} `yaml:"links"`
	} `yaml:"metadata"`
	Spec struct {
		Type         string   `yaml:"type"`
		Owner        string   `yaml:"owner"`
		DependsOn    []string `yaml:"dependsOn"`
		DependencyOf []string `yaml:"dependencyOf"`
		ProvidesAPIs []string `yaml:"providesApis"`
		ConsumesAPIs []string `yaml:"consumesApis"`
		Profile      struct {
			Email string `yaml:"email"`
		} `yaml:"profile"`
	} `yaml:"spec"`
}

// Load reads the files together, since entities of one refer to those of another. A file that cannot be read is left out whole;
// the errors say which and why, and the rest counts.
func Load(paths []string) (Catalog, []error) {
	var all []entity
	var problems []error
	for _, path := range paths {
		es, err := loadFile(path)
		if err == nil && len(all)+len(es) > maxEntities {
			err = fmt.Errorf("read catalogue %s: there are more than %d entities already", path, maxEntities)
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		all = append(all, es...)
	}
	return build(all), problems
}

func loadFile(path string) ([]entity, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	defer f.Close()
	doc, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read catalogue %s: %w", path, err)
	}
	if len(doc) > maxFile {
		return nil, fmt.Errorf("read catalogue %s: is larger than %d bytes", path, maxFile)
	}
	es, err := parse(doc)
	if err != nil {
		return nil, fmt.Errorf("read catalogue %s: %w", path, err)
	}
	return es, nil
}

// parse reads the documents of one file. Kinds and versions that are not Backstage's are passed over.
func parse(doc []byte) ([]entity, error) {
	if err := triage.CheckYAML(doc); err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	var out []entity
	for n := 1; ; n++ {
		var e entity
		err := dec.Decode(&e)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		if e.Metadata.Name == "" || !strings.HasPrefix(e.APIVersion, "backstage.io/") {
			continue
		}
		if len(out) == maxEntities {
			return nil, fmt.Errorf("document %d: there are more than %d", n, maxEntities)
		}
		out = append(out, e)
	}
}

func (e entity) reference() string { return reference(e.Kind, e.Metadata.Namespace, e.Metadata.Name) }

// channel is where people are asked: an annotation, else a link to a chat whose title names the channel.
func (e entity) channel() string {
	if ch := e.Metadata.Annotations["slack.com/channel"]; ch != "" {
		return ch
	}
	for _, l := range e.Metadata.Links {
		if strings.HasPrefix(l.Title, "#") {
			return l.Title
		}
	}
	return ""
}

// contactPrefix is how annotations of a Group begin that say how it is reached: triaged.dev/contact-slack.
const contactPrefix = "triaged.dev/contact-"

var channelID = regexp.MustCompile(`^[CG][A-Z0-9]{5,}$`)

// contacts are the ways a group is reached.
func (e entity) contacts() map[string]string {
	out := make(map[string]string)
	if m := e.Spec.Profile.Email; m != "" {
		out["email"] = m
	}
	if ch := e.channel(); channelID.MatchString(ch) { // a name would do for people, and not for the API
		out["slack"] = ch
	}
	for k, v := range e.Metadata.Annotations {
		if key, ok := strings.CutPrefix(k, contactPrefix); ok && v != "" && len(v) <= triage.MaxText {
			out[key] = v
		}
	}
	return out
}

// link is the first link whose type or title has the word.
func (e entity) link(word string) string {
	for _, l := range e.Metadata.Links {
		if strings.Contains(strings.ToLower(l.Type+" "+l.Title), word) && strings.HasPrefix(l.URL, "http") {
			return l.URL
		}
	}
	return ""
}

// tier reads a label such as tier: "1" or tier: tier-2; 0 if there is none.
func (e entity) tier() int {
	v := cmp.Or(e.Metadata.Labels["tier"], e.Metadata.Labels["service-tier"], e.Metadata.Annotations["tier"])
	v = strings.TrimLeft(strings.ToLower(v), "tier-_ ")
	if len(v) == 1 && v[0] >= '1' && v[0] <= '5' {
		return int(v[0] - '0')
	}
	return 0
}

// reference is the full form of an entity reference, in lower case: references ignore it.
func reference(kind, namespace, name string) string {
	return strings.ToLower(kind + ":" + cmp.Or(namespace, "default") + "/" + name)
}

// parseReference reads [kind:][namespace/]name.
func parseReference(ref, kind, namespace string) string {
	if k, rest, ok := strings.Cut(ref, ":"); ok {
		kind, ref = k, rest
	}
	if ns, rest, ok := strings.Cut(ref, "/"); ok {
		namespace, ref = ns, rest
	}
	return reference(kind, namespace, ref)
}

// split gives the kind and the bare name of a full reference.
func split(ref string) (kind, name string) {
	kind, rest, _ := strings.Cut(ref, ":")
	_, name, _ = strings.Cut(rest, "/")
	return kind, name
}

// nameIn is the bare name as it was written, where ref has it in lower case.
func nameIn(written, lower string) string {
	if i := len(written) - len(lower); i >= 0 && strings.EqualFold(written[i:], lower) {
		return written[i:]
	}
	return lower
}
