package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/configs"
	"github.com/triaged-dev/triaged/triage"
)

// Level says how bad a finding is.
type Level string

// The levels. Only what is wrong makes the command fail.
const (
	OK    Level = "ok"
	Hint  Level = "hint"  // reports would be better
	Wrong Level = "wrong" // reports are wrong, late, or do not come
)

// Finding is one thing that was looked at.
type Finding struct {
	Check string `json:"check"` // which examination: stable, for machines
	About string `json:"about,omitempty"`
	Level Level  `json:"level"`
	Says  string `json:"says"`
	Fix   string `json:"fix,omitempty"`
}

// Options say what to examine.
type Options struct {
	ConfigFile string // empty: none
	URL        string // of a running daemon; empty: none
	Token      config.Secret
	Now        func() time.Time  // nil: time.Now
	Transport  http.RoundTripper // nil: the default one; for GitHub
	Daemon     http.RoundTripper // nil: Transport; for the daemon
}

// Limits: what is still well.
const (
	askTime       = 10 * time.Second
	maxSkew       = 5 * time.Second
	slowQuery     = 2 * time.Second
	expiresWithin = 14 * 24 * time.Hour
	coarseScrape  = time.Minute
	namedShare    = .9 // of paging rules, and of incidents, that must lead to a service
)

// examination is one run.
type examination struct {
	o   Options
	now func() time.Time
	out []Finding
}

func (e *examination) add(f Finding) { e.out = append(e.out, f) }

func (e *examination) ok(check, about, says string, args ...any) {
	e.add(Finding{Check: check, About: about, Level: OK, Says: fmt.Sprintf(says, args...)})
}

func (e *examination) hint(check, about, says, fix string) {
	e.add(Finding{check, about, Hint, says, fix})
}

func (e *examination) wrong(check, about, says, fix string) {
	e.add(Finding{check, about, Wrong, says, fix})
}

// Examine looks at everything the options name, in a fixed order.
func Examine(ctx context.Context, o Options) []Finding {
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Daemon == nil {
		o.Daemon = o.Transport
	}
	e := &examination{o: o, now: o.Now}
	if e.now == nil {
		e.now = time.Now
	}
	if o.ConfigFile != "" {
		e.configured(ctx)
	}
	if o.URL != "" {
		e.daemon(ctx)
	}
	return e.out
}

func (e *examination) configured(ctx context.Context) {
	cfg, err := configs.Load(e.o.ConfigFile)
	if err != nil {
		e.wrong("configuration", e.o.ConfigFile, err.Error(), "mend the file; triaged check-config repeats this")
		return
	}
	e.ok("configuration", e.o.ConfigFile, "%d sources, %d receivers", len(cfg.Sources.Prometheus)+len(cfg.Sources.Kafka)+len(cfg.Sources.GitHub), len(cfg.Receivers))
	for _, w := range cfg.Warnings {
		e.wrong("team files", "", w, "mend that file; until then its services are unknown")
	}
	e.routes(cfg)
	e.secrets(cfg)
	for _, g := range cfg.Sources.GitHub {
		e.github(ctx, g)
	}
	var calls graph
	var seen kinds
	for _, p := range cfg.Sources.Prometheus {
		seen.merge(e.prometheus(ctx, cfg, p, &calls))
	}
	if len(cfg.Sources.Prometheus) == 0 {
		e.wrong("prometheus", "", "no Prometheus is configured: every report is by timing alone", "add one under sources.prometheus")
	}
	e.callGraph(cfg, calls)
	e.reported(cfg, seen)
}

// callGraph says how complete the graph is. Without one everything is a neighbour or nothing is; a part of one is the normal case,
// and what stands alone in it is named.
func (e *examination) callGraph(cfg *configs.Config, calls graph) {
	declared := triage.NewTopology(cfg.Edges())
	slices.Sort(calls.services)
	c := triage.GraphCoverageOf(declared, triage.NewTopology(calls.calls), slices.Compact(calls.services))
	known := c.Declared + c.Seen - c.Both
	const remedy = "export client-side metrics (OpenTelemetry), a service graph or a mesh's, or write topology.calls"
	switch {
	case known == 0:
		e.wrong("call graph", "", "nobody says which service calls which: only timing and metrics tell a neighbour's change from a stranger's", remedy)
		return
	case 2*c.Alone > c.Services:
		e.hint("call graph", "", fmt.Sprintf("%d of %d services with metrics are in no known call: %s", c.Alone, c.Services, few(c.AloneNames, c.Alone)), remedy)
	}
	e.ok("call graph", "", "%d calls between services are known: %d declared, %d seen in metrics, %d both", known, c.Declared, c.Seen, c.Both)
	if c.Seen > 0 && c.Declared > c.Both {
		e.ok("call graph", "", "%d declared calls were not seen within an hour: rare ones, or gone", c.Declared-c.Both)
	}
}

// few names the first of n.
func few(names []string, n int) string {
	const most = 5
	out := strings.Join(names[:min(len(names), most)], ", ")
	if n > most {
		out += fmt.Sprintf(" and %d more", n-most)
	}
	return out
}

// routes looks at where reports would go.
func (e *examination) routes(cfg *configs.Config) {
	live, shadow, nowhere := modes(cfg.Route, cfg.Route.Mode == "live", cfg.Route.Receiver != "")
	switch {
	case len(cfg.Receivers) == 0:
		e.hint("route", "", "there is no receiver: reports are recorded and shown on the pages, and posted nowhere", "add one under receivers, and name it in route")
	case nowhere > 0 && live == 0 && shadow == 0:
		e.wrong("route", "", "there are receivers, but no route names one: nothing is posted", "set route.receiver")
	case live == 0:
		e.hint("route", "", "every route is in shadow mode: what would be posted is only recorded", "read the digest, then set mode: live on the routes that convince you")
	default:
		e.ok("route", "", "%d routes live, %d in shadow mode", live, shadow)
	}
	if cfg.Global.ExternalURL == "" {
		e.hint("links", "", "global.external_url is not set: messages have no links to their pages", "set it to where people reach triaged")
	}
}

// Print writes the findings for people, what is well in short, and reports whether something is wrong.
func Print(w io.Writer, fs []Finding) (wrong bool) {
	counts := map[Level]int{}
	for _, f := range fs {
		counts[f.Level]++
		sign := map[Level]string{OK: "✓", Hint: "·", Wrong: "✗"}[f.Level]
		about := f.Check
		if f.About != "" {
			about += " " + f.About
		}
		fmt.Fprintf(w, "%s %s: %s\n", sign, about, f.Says)
		if f.Fix != "" {
			fmt.Fprintf(w, "    → %s\n", f.Fix)
		}
	}
	fmt.Fprintf(w, "\n%d wrong, %d hints, %d well\n", counts[Wrong], counts[Hint], counts[OK])
	return counts[Wrong] > 0
}
