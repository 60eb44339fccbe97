package cloudevents

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/triaged-dev/triaged/triage"
)

const deployed = `{"context":{"specversion":"0.5.1","id":"e1","source":"/ci/acme","type":"dev.cdevents.service.deployed.0.2.0",
 "timestamp":"2026-03-02T14:21:07Z","chainId":"c9"},
 "subject":{"id":"checkout","content":{"environment":{"id":"production"},
 "artifactId":"pkg:oci/checkout@sha256%3Aab12?repository_url=ghcr.io%2Facme&tag=v2.31.0"}}}`

var at = time.Date(2026, 3, 2, 14, 21, 7, 0, time.UTC)

var deployedChange = triage.Change{
	ID: "/ci/acme#e1", Kind: triage.KindDeploy, Status: triage.StatusSucceeded,
	Scope:      triage.Scope{Service: "checkout", Environment: "production"},
	FinishedAt: at, Version: "v2.31.0", Digest: "sha256:ab12", Title: "checkout deployed v2.31.0",
	Labels: map[string]string{"cdevent": "service.deployed", "chain": "c9", "artifact": "checkout"},
}

func structured(typ, data string) string {
	return `{"specversion":"1.0","id":"e1","source":"/ci/acme","type":"` + typ + `","time":"2026-03-02T14:21:07Z","partitionkey":"k","data":` + data + `}`
}

func header(kv ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(kv); i += 2 {
		h.Set(kv[i], kv[i+1])
	}
	return h
}

// One deploy said in every mode, on both transports and in both spellings, is one and the same Change.
func TestEveryModeReadsTheSameChange(t *testing.T) {
	typ := "dev.cdevents.service.deployed.0.2.0"
	dashed := []string{"ce-specversion", "1.0", "ce-id", "e1", "ce-source", "/ci/acme", "ce-type", typ, "content-type", "application/json"}
	var under []string
	for _, s := range dashed {
		under = append(under, strings.Replace(s, "ce-", "ce_", 1))
	}
	record := func(kv []string) (hs []Header) {
		for i := 0; i < len(kv); i += 2 {
			hs = append(hs, Header{Key: kv[i], Value: []byte(kv[i+1])})
		}
		return hs
	}
	want := []triage.Event{{Change: &deployedChange}}
	for name, decode := range map[string]func() ([]triage.Event, error){
		"http structured": func() ([]triage.Event, error) {
			return DecodeHTTP(header("Content-Type", "Application/CloudEvents+JSON; charset=utf-8"), []byte(structured(typ, deployed)))
		},
		"http structured, base64": func() ([]triage.Event, error) {
			b, _ := json.Marshal([]byte(deployed))
			body := strings.Replace(structured(typ, "0"), `"data":0`, `"data_base64":`+string(b), 1)
			return DecodeHTTP(header("Content-Type", "application/cloudevents+json"), []byte(body))
		},
		"http batch": func() ([]triage.Event, error) {
			return DecodeHTTP(header("Content-Type", "application/cloudevents-batch+json"), []byte("["+structured(typ, deployed)+","+structured("com.example.built", "{}")+"]"))
		},
		"http binary":                      func() ([]triage.Event, error) { return DecodeHTTP(header(dashed...), []byte(deployed)) },
		"http binary, kafka spelling":      func() ([]triage.Event, error) { return DecodeHTTP(header(under...), []byte(deployed)) },
		"http bare cdevent":                func() ([]triage.Event, error) { return DecodeHTTP(header(), []byte(deployed)) },
		"http structured, no content type": func() ([]triage.Event, error) { return DecodeHTTP(header(), []byte(structured(typ, deployed))) },
		"kafka binary":                     func() ([]triage.Event, error) { return DecodeRecord(record(under), []byte(deployed), at) },
		"kafka binary, http spelling":      func() ([]triage.Event, error) { return DecodeRecord(record(dashed), []byte(deployed), at) },
		"kafka bare cdevent":               func() ([]triage.Event, error) { return DecodeRecord(nil, []byte(deployed), at) },
		"kafka structured": func() ([]triage.Event, error) {
			return DecodeRecord(record([]string{"content-type", "application/cloudevents+json"}), []byte(structured(typ, deployed)), at)
		},
		"kafka structured, no content type": func() ([]triage.Event, error) { return DecodeRecord(nil, []byte(structured(typ, deployed)), at) },
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decode()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestCDEventsMapping(t *testing.T) {
	d := &Decoder{Pipelines: map[string]Pipeline{"deploy-checkout": {Service: "checkout", Environment: "production"}}}
	event := func(typ, subject string) []byte {
		return []byte(`{"context":{"version":"0.4.1","id":"e1","source":"/ci","type":"dev.cdevents.` + typ + `.0.2.0-draft","timestamp":"2026-03-02T14:21:07Z"},"subject":` + subject + `}`)
	}
	svc := `{"id":"checkout","type":"service","content":{"environment":{"id":"production"},"artifactId":"pkg:oci/checkout@v1"}}`
	run := func(outcome string) string {
		return `{"id":"run-7","source":"/tekton","content":{"pipelineName":"deploy-checkout","uri":"https://ci/7","outcome":"` + outcome + `","errors":["x"]}}`
	}
	scope := triage.Scope{Service: "checkout", Environment: "production"}
	runRef := []triage.Ref{{System: "cdevents-pipelinerun", ID: "/tekton#run-7", URL: "https://ci/7"}}
	for name, tc := range map[string]struct {
		typ, subject string
		want         triage.Change
	}{
		"rolledback": {"service.rolledback", svc, triage.Change{Kind: triage.KindRollback, Status: triage.StatusSucceeded, Scope: scope, FinishedAt: at, Version: "v1"}},
		"removed": {"service.removed", svc, triage.Change{
			Kind: triage.KindDeploy, Status: triage.StatusSucceeded, Scope: scope, FinishedAt: at, Version: "v1",
			Reversible: triage.Reversible{Value: triage.ReversibleNo, Reason: "the service was removed"},
		}},
		"published": {"service.published", svc, triage.Change{Kind: triage.KindConfig, Status: triage.StatusSucceeded, Scope: scope, FinishedAt: at, Version: "v1"}},
		"environment": {
			"environment.modified", `{"id":"prod1","content":{"name":"Prod","uri":"https://e/1"}}`,
			triage.Change{Kind: triage.KindInfra, Status: triage.StatusSucceeded, Scope: triage.Scope{Environment: "prod1"}, FinishedAt: at, URL: "https://e/1"},
		},
		"run started":  {"pipelinerun.started", run(""), triage.Change{Kind: triage.KindDeploy, Status: triage.StatusStarted, Scope: scope, StartedAt: at, URL: "https://ci/7", Refs: runRef}},
		"run finished": {"pipelinerun.finished", run("success"), triage.Change{Kind: triage.KindDeploy, Status: triage.StatusSucceeded, Scope: scope, FinishedAt: at, URL: "https://ci/7", Refs: runRef}},
		"run failed":   {"pipelinerun.finished", run("error"), triage.Change{Kind: triage.KindDeploy, Status: triage.StatusFailed, Scope: scope, FinishedAt: at, URL: "https://ci/7", Refs: runRef}},
		"purl that is none": {
			"service.upgraded", `{"id":"checkout","content":{"environment":{"id":"production"},"artifactId":"checkout:v9"}}`,
			triage.Change{Kind: triage.KindDeploy, Status: triage.StatusSucceeded, Scope: scope, FinishedAt: at, Version: "checkout:v9"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := d.DecodeRecord(nil, event(tc.typ, tc.subject), at)
			if err != nil {
				t.Fatal(err)
			}
			c := *got[0].Change
			if c.ID != "/ci#e1" || c.Title == "" || c.Labels["cdevent"] != tc.typ {
				t.Errorf("id %q, title %q, labels %v", c.ID, c.Title, c.Labels)
			}
			c.ID, c.Title, c.Labels = "", "", nil
			if d := cmp.Diff(tc.want, c); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
	for typ, reason := range map[string]string{
		"change.merged": "code", "artifact.published": "names a version", "build.finished": "names a version",
		"incident.detected": "incident", "pipelinerun.queued": "nothing runs yet", "taskrun.finished": "not listed",
		"testsuiterun.finished": "changes no running system",
	} {
		_, err := d.DecodeRecord(nil, event(typ, run("success")), at)
		if got, ok := triage.IsIgnored(err); !ok || !strings.Contains(got, reason) {
			t.Errorf("%s: want it ignored because of %q, got %v", typ, reason, err)
		}
	}
}

func TestOwnTypes(t *testing.T) {
	got, err := DecodeHTTP(header("Content-Type", "application/cloudevents+json"),
		[]byte(structured(TypeChange, `{"kind":"flag","service":"checkout","title":"x"}`)))
	if err != nil {
		t.Fatal(err)
	}
	want := triage.Change{ID: "/ci/acme#e1", Kind: triage.KindFlag, Scope: triage.Scope{Service: "checkout"}, Title: "x", FinishedAt: at}
	if d := cmp.Diff(want, *got[0].Change); d != "" {
		t.Errorf("envelope's id and time fill in; -want +got:\n%s", d)
	}
	got, err = DecodeHTTP(header(), []byte(structured(TypeChange, `{"id":"my-1","kind":"flag","service":"checkout","started_at":"2026-03-02T14:00:00Z"}`)))
	if err != nil || got[0].Change.ID != "my-1" || !got[0].Change.FinishedAt.IsZero() {
		t.Errorf("own id and time stay: %+v, %v", got, err)
	}
	got, err = DecodeHTTP(header(), []byte(structured(TypeAnomaly, `{"signal":"errors","service":"checkout","series":"s","onset":{"earliest":"2026-03-02T14:00:00Z","best":"2026-03-02T14:00:00Z","latest":"2026-03-02T14:00:00Z"},"from":1,"to":2,"effect":9}`)))
	if err != nil || got[0].Anomaly == nil || got[0].Anomaly.ID != "/ci/acme#e1" {
		t.Errorf("anomaly: %+v, %v", got, err)
	}
}

func TestBadInputNamesWhatIsWrong(t *testing.T) {
	ce := header("Content-Type", "application/cloudevents+json")
	for name, tc := range map[string]struct {
		h    http.Header
		body string
		want string
	}{
		"unknown field in data":   {ce, structured(TypeChange, `{"kind":"flag","service":"a","servce":"b"}`), "data.servce: is not a known field"},
		"truncated":               {ce, structured(TypeChange, `{`), "want one JSON object"},
		"a list":                  {ce, `[]`, "want one JSON object"},
		"no id":                   {ce, `{"specversion":"1.0","source":"/a","type":"` + TypeChange + `","data":{}}`, "id:"},
		"no data":                 {ce, `{"specversion":"1.0","id":"1","source":"/a","type":"` + TypeChange + `"}`, "data: is required"},
		"binary, version":         {header("ce-specversion", "0.3", "ce-id", "1"), `{}`, "only version 1.0"},
		"binary, no type":         {header("ce-specversion", "1.0", "ce-id", "1", "ce-source", "/a"), `{}`, "type"},
		"cdevent without service": {header(), strings.Replace(deployed, `"id":"checkout"`, `"id":""`, 1), "subject.id: is required"},
		"cdevent without id":      {header(), strings.Replace(deployed, `"id":"e1"`, `"id":""`, 1), "context.id"},
		"batch, second one bad":   {header("Content-Type", "application/cloudevents-batch+json"), `[` + structured(TypeChange, `{"kind":"flag","service":"a"}`) + `,{"specversion":"1.0"}]`, "batch[1]"},
		"batch too long":          {header("Content-Type", "application/cloudevents-batch+json"), `[` + strings.Repeat("0,", maxBatch) + `0]`, "at most 1000"},
		"not json":                {header(), `hello`, "is not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeHTTP(tc.h, []byte(tc.body))
			if _, skip := triage.IsIgnored(err); err == nil || skip || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want %q in the error, got %+v, %v", tc.want, got, err)
			}
		})
	}
	for name, tc := range map[string]struct {
		h    http.Header
		body string
	}{"object": {header(), `{"service":"a"}`}, "list": {header(), `[1]`}} {
		if _, err := DecodeHTTP(tc.h, []byte(tc.body)); !errors.Is(err, ErrNotCloudEvent) {
			t.Errorf("%s: want ErrNotCloudEvent, got %v", name, err)
		}
	}
}

// A time that cannot be read refuses no event: it is taken as of its arrival, and says so.
func TestUnreadableTimeIsTheArrival(t *testing.T) {
	const data = `{"kind":"deploy","service":"checkout"}`
	d := Decoder{Now: func() time.Time { return at.Add(time.Hour) }}
	for name, tc := range map[string]struct {
		h    http.Header
		body string
	}{
		"structured": {header("Content-Type", "application/cloudevents+json"), strings.Replace(structured(TypeChange, data), "07Z", "07", 1)},
		"binary":     {header("ce-specversion", "1.0", "ce-id", "1", "ce-source", "/a", "ce-type", TypeChange, "ce-time", "noon"), data},
		"cdevent":    {header(), strings.Replace(deployed, "14:21:07Z", "14:21", 1)},
	} {
		got, err := d.DecodeHTTP(tc.h, []byte(tc.body))
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		if c := got[0].Change; !c.FinishedAt.Equal(at.Add(time.Hour)) || c.TimeUncertaintyS == 0 || c.Labels["time_from"] != "arrival" {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestIgnoredWithReason(t *testing.T) {
	for name, tc := range map[string]struct {
		h          http.Header
		body, want string
	}{
		"unknown type": {header(), structured("com.example.x", `{}`), `type "com.example.x"`},
		"avro format":  {header("Content-Type", "application/cloudevents+avro"), "\x00", "format this does not read"},
		"protobuf data": {
			header("ce-specversion", "1.0", "ce-id", "1", "ce-source", "/a", "ce-type", TypeChange, "Content-Type", "application/protobuf"),
			"\x00", `"application/protobuf"`,
		},
		"batch of unknown": {header("Content-Type", "application/cloudevents-batch+json"), `[` + structured("com.example.x", `{}`) + `]`, `com.example.x`},
		"empty batch":      {header("Content-Type", "application/cloudevents-batch+json"), `[]`, "empty batch"},
	} {
		_, err := DecodeHTTP(tc.h, []byte(tc.body))
		if got, ok := triage.IsIgnored(err); !ok || !strings.Contains(got, tc.want) {
			t.Errorf("%s: want it ignored because of %q, got %v", name, tc.want, err)
		}
	}
}

func TestPurl(t *testing.T) {
	for in, want := range map[string][3]string{ // name, tag, digest
		"pkg:oci/myapp@sha256%3Aab?tag=v1":           {"myapp", "v1", "sha256:ab"},
		"pkg:oci/myapp@sha256:ab":                    {"myapp", "sha256:ab", "sha256:ab"},
		"pkg:docker/acme/checkout@v2#sub/path":       {"checkout", "v2", ""},
		"pkg:golang/github.com/acme/checkout@v1.2.3": {"checkout", "v1.2.3", ""},
		"pkg:npm/%40acme/checkout@1.0.0":             {"checkout", "1.0.0", ""},
		"pkg:oci/unversioned":                        {"unversioned", "", ""},
	} {
		p, err := parsePurl(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := [3]string{p.Name, p.tag(), p.digest()}; got != want {
			t.Errorf("%s: want %v, got %v", in, want, got)
		}
	}
	for _, in := range []string{"", "checkout:v1", "pkg:", "pkg:oci", "pkg:oci/", "pkg:oci/a@%zz"} {
		if p, err := parsePurl(in); err == nil {
			t.Errorf("%q: want an error, got %+v", in, p)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("application/cloudevents+json", "", []byte(structured(TypeChange, `{"kind":"flag","service":"a"}`)))
	f.Add("application/cloudevents-batch+json", "", []byte("["+structured("dev.cdevents.service.deployed.0.1.0", deployed)+"]"))
	f.Add("application/json", "1.0", []byte(deployed))
	f.Add("", "", []byte(deployed))
	f.Fuzz(func(t *testing.T, contentType, version string, body []byte) {
		h := []Header{
			{Key: "content-type", Value: []byte(contentType)},
			{Key: "ce_specversion", Value: []byte(version)},
			{Key: "ce_id", Value: []byte("1")},
			{Key: "ce_source", Value: []byte("/a")},
			{Key: "ce_type", Value: []byte(TypeChange)},
		}
		events, err := DecodeRecord(h, body, at)
		if (err == nil) != (len(events) > 0) {
			t.Fatalf("want events or an error, got %v and %v", events, err)
		}
		for _, e := range events {
			if (e.Change == nil) == (e.Anomaly == nil) {
				t.Fatalf("not exactly one of change and anomaly: %+v", e)
			}
			if e.Change != nil {
				if err := e.Change.Validate(""); err != nil {
					t.Fatalf("accepted an invalid change: %v", err)
				}
			}
		}
	})
}
