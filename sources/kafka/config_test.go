package kafka

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/triage"
)

func load(doc string) (Config, error) {
	var c Config
	dec := yaml.NewDecoder(bytes.NewReader([]byte(doc)))
	dec.KnownFields(true)
	err := dec.Decode(&c)
	return c, err
}

const minimal = "name: deploys\nbrokers: [k:9092]\ntopics: [{topic: changes, format: triaged}]\n"

func TestConfigDefaults(t *testing.T) {
	c, err := load(minimal)
	if err != nil {
		t.Fatal(err)
	}
	if c.GroupID != "triaged" || c.Start != StartRetention || c.MaxWait != model.Duration(250*time.Millisecond) || c.BatchSize != 1000 {
		t.Errorf("got %+v", c)
	}
	c, err = load(minimal + "start: 45m\nsasl: {mechanism: scram-sha-512, username: u, password: s3cret}\ntls_config: {server_name: k}\n")
	if err != nil {
		t.Fatal(err)
	}
	out, err := yaml.Marshal(c)
	if err != nil || strings.Contains(string(out), "s3cret") || !strings.Contains(string(out), "<secret>") {
		t.Errorf("the password must be hidden when the configuration is shown: %v\n%s", err, out)
	}
}

func TestConfigProblemsNameKeyValueAndRemedy(t *testing.T) {
	for name, tc := range map[string]struct{ doc, want string }{
		"empty":               {"{}", "name: must not be empty"},
		"all at once":         {"{}", "topics: must not be empty"},
		"unknown key":         {minimal + "topic: x\n", "field topic not found"},
		"unknown nested key":  {"name: d\nbrokers: [k:9092]\ntopics: [{topic: a, fromat: triaged}]", "field fromat not found"},
		"broker without port": {strings.Replace(minimal, "k:9092", "k", 1), `brokers[0]: "k": must be host:port`},
		"format":              {strings.Replace(minimal, "triaged}", "avro}", 1), `topics[0].format: "avro": use triaged, cloudevents`},
		"mapping, no name":    {strings.Replace(minimal, "triaged}", "'mapping:'}", 1), `topics[0].format: "mapping:": use`},
		"topic twice":         {strings.Replace(minimal, "triaged}]", "triaged}, {topic: changes, format: cdevents}]", 1), `topics[1].topic: "changes": is listed twice`},
		"start":               {minimal + "start: yesterday\n", `start: "yesterday": use retention, earliest, latest, or a duration`},
		"max_wait":            {minimal + "max_wait: 1ms\n", `max_wait: "1ms": must lie between 10ms and 30s`},
		"batch_size":          {minimal + "batch_size: 0\n", "batch_size: 0: must lie between"},
		"mechanism":           {minimal + "sasl: {mechanism: gssapi, username: u, password: p}\n", `sasl.mechanism: "gssapi": use plain`},
		"no password":         {minimal + "sasl: {mechanism: plain, username: u}\n", "sasl.password: give exactly one"},
		"two passwords":       {minimal + "sasl: {mechanism: plain, username: u, password: p, password_file: f}\n", "sasl.password: give exactly one"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := load(tc.doc); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want %q in the error, got %v", tc.want, err)
			}
		})
	}
}

func TestNewWantsADecoderForEveryFormat(t *testing.T) {
	c, err := load(strings.Replace(minimal, "triaged}", "'mapping:argocd'}", 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Config: c}); err == nil || !strings.Contains(err.Error(), `topics[0].format: "mapping:argocd": there is no such mapping`) {
		t.Errorf("got %v", err)
	}
	read := func([]Header, []byte, time.Time) ([]triage.Event, error) { return nil, nil }
	if _, err := New(Options{Config: c, Decoders: map[string]Decoder{"mapping:argocd": read}}); err != nil {
		t.Error(err)
	}
}
