package card

import (
	"cmp"

	"github.com/triaged-dev/triaged/triage"
	"github.com/triaged-dev/triaged/triage/say"
)

// courtesy tells a team that its change is the likely one of somebody else's incident: what hurts, why it is thought so, who is
// on it and what would help. It comes once, and asks for a look and not for an account.
func (c *Card) courtesy(in Input, v triage.Standing) {
	s := v.Named[0]
	c.Mark = "🔵"
	c.Headline = "for " + say.Clean(in.Courtesy, say.MaxPhrase) + ": a change of yours may be behind trouble at " + say.Clean(cmp.Or(in.Incident.Service, in.Incident.Title), say.MaxPhrase)
	c.add("THERE", headline(in))
	c.add("YOURS", say.Suspect(s)+where(s, in)+" "+say.When(s, in.Report), reasons(s, in.Report)...)
	if in.Report.Recommendation.Action.Reversal() {
		c.add("ADVISED THERE", adviceInShort(in.Report))
	}
	who := "whoever has the page is on it"
	if in.Owner != "" {
		who = say.Clean(in.Owner, say.MaxPhrase) + " has the page"
	}
	c.add("PLEASE", who+"; you know this change best: a look, and a word whether it was this, would help. This is said once; the page goes on")
}
