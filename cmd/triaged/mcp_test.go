package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/triaged-dev/triaged/triage"
)

// withToken sends a bearer token with every request.
type withToken string

func (t withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if t != "" {
		r.Header.Set("Authorization", "Bearer "+string(t))
	}
	return http.DefaultTransport.RoundTrip(r)
}

func overHTTP(t *testing.T, address, token string) (*sdk.ClientSession, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	client := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	return client.Connect(ctx, &sdk.StreamableClientTransport{Endpoint: address + "/mcp", HTTPClient: &http.Client{Transport: withToken(token)}, DisableStandaloneSSE: true}, nil)
}

const mcpAuth = `
auth:
  tokens:
    - {name: reader, token: reader-token-0123456789, scopes: [read]}
    - {name: oncall, token: oncall-token-0123456789, scopes: [read, feedback]}
    - {name: ci, token: writer-token-0123456789, scopes: ['write:changes', 'write:alerts']}
`

// The same tools, over HTTP with tokens and over standard input, asked by the official client: each gives the deterministic answer of
// the API, and only a token that may write is offered the tool that writes.
func TestAssistantsAreAnswered(t *testing.T) {
	d := startDaemon(t, mcpAuth)
	now := time.Now().UTC()
	header := http.Header{"Authorization": {"Bearer writer-token-0123456789"}, "Content-Type": {"application/json"}}
	body, err := json.Marshal(triage.Change{ID: "ci:7", Kind: triage.KindFlag, Scope: triage.Scope{Service: "checkout"}, StartedAt: now.Add(-5 * time.Minute), Title: "flag new-pricing turned on"})
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := d.tryHook(t, "/api/v1/changes", header, body); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	alert := []byte(`[{"labels":{"alertname":"Errors","service":"checkout","severity":"critical"},"startsAt":"` + now.Add(-2*time.Minute).Format(time.RFC3339) + `"}]`)
	if status, answer := d.tryHook(t, "/api/v2/alerts", header, alert); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}

	reader, err := overHTTP(t, string(d.asker), "reader-token-0123456789")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if got := toolNames(t, reader); !slices.Equal(got, []string{"changes", "explain", "incident", "suspects"}) {
		t.Errorf("a reader is offered %v", got)
	}
	if text := call(t, reader, "changes", map[string]any{"service": "checkout"}); !strings.Contains(text, "ci:7") {
		t.Errorf("changes: %s", text)
	}
	first := call(t, reader, "suspects", map[string]any{"service": "checkout", "at": now.Format(time.RFC3339)})
	if !strings.Contains(first, "ci:7 0.") || !strings.Contains(first, "none of the changes") {
		t.Errorf("suspects: %s", first)
	}
	var id string
	eventually(t, 20*time.Second, "the incident has a report", func() error {
		text := call(t, reader, "incident", nil)
		_, id, _ = strings.Cut(text, "id=")
		id = strings.TrimSpace(id)
		_, err := reader.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "triaged://incidents/" + id + "/reports/latest"})
		return err
	})
	if a, b := call(t, reader, "explain", map[string]any{"incident": id}), call(t, reader, "explain", map[string]any{"incident": id, "report": 1}); a == "" || !strings.Contains(b, "ci:7") {
		t.Errorf("explain: %q, %q", a, b)
	}
	templates, err := reader.ListResourceTemplates(t.Context(), nil)
	if err != nil || len(templates.ResourceTemplates) != 1 {
		t.Errorf("templates: %+v, %v", templates, err)
	}
	res, err := reader.CallTool(t.Context(), &sdk.CallToolParams{Name: "explain", Arguments: map[string]any{"incident": "no-such-one"}})
	if err != nil || !res.IsError {
		t.Errorf("an unknown incident: want the tool's own error, got %+v, %v", res, err)
	}
	for _, uri := range []string{"triaged://incidents/x/reports/0", "triaged://incidents/" + id + "/reports/zero", "triaged://other"} {
		if got, err := reader.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri}); err == nil {
			t.Errorf("%s: want no such resource, got %+v", uri, got)
		}
	}

	oncall, err := overHTTP(t, string(d.asker), "oncall-token-0123456789")
	if err != nil {
		t.Fatal(err)
	}
	defer oncall.Close()
	if !slices.Contains(toolNames(t, oncall), "feedback") {
		t.Error("a token that may give feedback is not offered the tool")
	}
	if text := call(t, oncall, "feedback", map[string]any{"incident": id, "verdict": "confirm", "change_id": "ci:7"}); !strings.Contains(text, "Noted") {
		t.Errorf("feedback: %s", text)
	}
	for _, token := range []string{"", "wrong-token-0123456789", "writer-token-0123456789"} {
		if s, err := overHTTP(t, string(d.asker), token); err == nil {
			s.Close()
			t.Errorf("token %q is let in", token)
		}
	}

	// Over standard input and output: the same words for the same question.
	first = call(t, reader, "suspects", map[string]any{"service": "checkout", "at": now.Format(time.RFC3339)}) // with what the feedback taught
	for _, may := range []bool{false, true} {
		in, toServer := io.Pipe()
		fromServer, out := io.Pipe()
		args := []string{"mcp", "--url=" + string(d.asker), "--token-file=" + write(t, filepath.Join(t.TempDir(), "token"), "reader-token-0123456789\n")}
		if may {
			args = append(args, "--allow-feedback")
		}
		ended := make(chan int, 1)
		said := &lockedBuffer{}
		go func() { ended <- run(t.Context(), args, streams{in, out, said}) }()
		client := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil)
		s, err := client.Connect(t.Context(), &sdk.IOTransport{Reader: fromServer, Writer: toServer}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(toolNames(t, s), "feedback"); got != may {
			t.Errorf("--allow-feedback %v: the tool is offered: %v", may, got)
		}
		if again := call(t, s, "suspects", map[string]any{"service": "checkout", "at": now.Format(time.RFC3339)}); stripStamp(again) != stripStamp(first) {
			t.Errorf("another answer to the same question:\n%s\n%s", first, again)
		}
		if may { // the flag offers the tool, the token decides
			res, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: "feedback", Arguments: map[string]any{"incident": id, "verdict": "none"}})
			if err != nil || !res.IsError {
				t.Errorf("a token that may only read gave feedback: %+v, %v", res, err)
			}
		}
		s.Close()
		toServer.Close()
		select {
		case code := <-ended:
			if code != 0 {
				t.Errorf("mcp ended with %d: %s", code, said)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("mcp does not end with its input")
		}
	}
}

// stripStamp leaves out when a card was made.
func stripStamp(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		if !strings.Contains(line, "UTC") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

func toolNames(t *testing.T, s *sdk.ClientSession) []string {
	t.Helper()
	list, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
		if tool.Annotations == nil || tool.Annotations.ReadOnlyHint == (tool.Name == "feedback") {
			t.Errorf("%s does not say whether it only reads", tool.Name)
		}
	}
	slices.Sort(names)
	return names
}

func call(t *testing.T, s *sdk.ClientSession, tool string, args map[string]any) string {
	t.Helper()
	res, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	var text strings.Builder
	for _, c := range res.Content {
		if tc, ok := c.(*sdk.TextContent); ok {
			text.WriteString(tc.Text)
		}
	}
	if res.IsError {
		t.Fatalf("%s: %s", tool, text.String())
	}
	return text.String()
}

// The Python client of the protocol, where it is: it lists the tools and calls one.
func TestPythonClientOfMCP(t *testing.T) {
	python := os.Getenv("MCP_PYTHON")
	if python == "" {
		t.Skip("MCP_PYTHON is not set to a Python with the package mcp: its client is not tested")
	}
	d := startDaemon(t, mcpAuth)
	out, err := exec.CommandContext(t.Context(), python, "testdata/mcp_client.py", string(d.asker)+"/mcp", "reader-token-0123456789").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "changes explain incident suspects") || !strings.Contains(string(out), "0 changes") {
		t.Errorf("%v: %s", err, out)
	}
}
