package try

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

func writeJSON(w io.Writer, r Result) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(r)
}

// mark is the sign a page begins with.
func mark(w triage.Word) string {
	switch w {
	case triage.WordLikely:
		return "🔴"
	case triage.WordPossible, triage.WordSeparate:
		return "🟠"
	default:
		return "⚪"
	}
}

// writeText prints the pages, the latest first, and the summary last, where a terminal stops.
func writeText(w io.Writer, r Result, verbose bool) {
	fmt.Fprintf(w, "What triaged would have said on the pages of the last %s, from %s alone.\n", say.Plural(r.Summary.Days, "day", "days"), r.Server)
	fmt.Fprintf(w, "Times are UTC. It knew only what was known %s after the page; what happened afterwards is marked with →.\n\n", say.Span(afterPage))
	for _, p := range r.Pages {
		if verbose {
			fmt.Fprintf(w, "%s\n%s→ %s. In %s it %s.\n\n", p.title(), p.Card, p.After, say.Plural(r.Summary.Days, "day", "days"), p.History)
			continue
		}
		fmt.Fprintf(w, "%s %s\n   %s\n", mark(p.Word), p.title(), p.Said)
		if p.Advice != "" {
			fmt.Fprintf(w, "   %s\n", p.Advice)
		}
		fmt.Fprintf(w, "   → %s. In %s it %s.\n", p.After, say.Plural(r.Summary.Days, "day", "days"), p.History)
	}
	if len(r.Pages) == 0 {
		fmt.Fprintln(w, "No page was answered.")
	}
	fmt.Fprintln(w)
	for _, line := range r.summaryLines() {
		fmt.Fprintln(w, line)
	}
}

// title says which page it was.
func (p Page) title() string {
	s := p.Start.Format("Mon 2006-01-02 15:04") + "  " + p.Alert
	if p.Service != "" {
		s += " " + p.Service
	}
	if len(p.Also) > 0 {
		s += " (also " + list(p.Also, 3) + ")"
	}
	return s
}

// summaryLines is the summary, the same in the terminal and on the page.
func (r Result) summaryLines() []string {
	s := r.Summary
	out := []string{fmt.Sprintf("%s in %s: named %d, undecided %d, silent %d.", say.Plural(s.Pages, "page", "pages"), say.Plural(s.Days, "day", "days"), s.Named, s.Separate, s.Silent)}
	if s.Answered < s.Pages {
		why := "--max-pages raises that"
		if r.Interrupted {
			why = "it was ended early"
		}
		out[0] = fmt.Sprintf("%s in %s; of the latest %d: named %d, undecided %d, silent %d (%s).", say.Plural(s.Pages, "page", "pages"),
			say.Plural(s.Days, "day", "days"), s.Answered, s.Named, s.Separate, s.Silent, why)
	}
	if s.Named > 0 {
		out = append(out, fmt.Sprintf("Of the %d named, people rolled back that very change before the page ended in %d.", s.Named, s.Undone))
	}
	if s.Silent > 0 {
		out = append(out, fmt.Sprintf("Of the %d silent, %d cleared with no change seen until then.", s.Silent, s.Alone))
	}
	if len(r.Noisy) == 0 {
		out = append(out, "Noise: no paging alert fired three times or more and mostly cleared alone.")
	}
	for _, n := range r.Noisy {
		name := n.Alert
		if n.Service != "" {
			name += " " + n.Service
		}
		out = append(out, fmt.Sprintf("Noise: %s paged %d times and cleared alone %s, after %s in the middle case.", name, n.Fired, say.Times(n.Alone), say.Span(say.Seconds(n.Median))))
	}
	kinds := make([]string, 0, len(s.ByKind))
	for _, k := range slices.Sorted(maps.Keys(s.ByKind)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", s.ByKind[k], k))
	}
	seen := "none"
	if len(kinds) > 0 {
		seen = strings.Join(kinds, ", ")
	}
	out = append(out, fmt.Sprintf("Seen: %s (%s); %s measured, %s between them.", say.Plural(s.Changes, "change", "changes"), seen,
		say.Plural(s.Services, "service", "services"), say.Plural(s.Calls, "call", "calls")))
	for _, u := range r.Unseen {
		out = append(out, "Not seen: "+u+".")
	}
	if r.Next != "" {
		out = append(out, "What would help most: "+r.Next+".")
	}
	for _, n := range r.Notes {
		out = append(out, "Note: "+n+".")
	}
	c := r.Cost
	out = append(out, fmt.Sprintf("It cost your Prometheus %d queries in %s, at most %d at once: %s of work, %s read, the slowest %.1f s.",
		c.Queries, say.Span(say.Seconds(c.ElapsedS)), c.MaxInFlight, say.Span(say.Seconds(c.QueryS)), size(c.Bytes), c.SlowestS))
	if c.Failed > 0 {
		out = append(out, fmt.Sprintf("%d queries had no answer.", c.Failed))
	}
	return out
}

func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
