package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/configs"
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
	edges := len(cfg.Topology.Edges())
	var seen kinds
	for _, p := range cfg.Sources.Prometheus {
		n, k := e.prometheus(ctx, cfg, p)
		edges += n
		seen.merge(k)
	}
	if len(cfg.Sources.Prometheus) == 0 {
		e.wrong("prometheus", "", "no Prometheus is configured: every report is by timing alone", "add one under sources.prometheus")
	}
	if edges == 0 {
		e.wrong("call graph", "", "nobody says which service calls which: only changes of the very service that pages can be found",
			"export a service graph (Tempo, OpenTelemetry connector, mesh), or write topology.calls")
	} else {
		e.ok("call graph", "", "%d calls between services are known", edges)
	}
	e.reported(cfg, seen)
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
