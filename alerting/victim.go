package alerting

import "github.com/triaged-dev/triaged/triage"

// subject is what an alert is about: where it lives, which rule made a service of the name, and where the name was read.
func (a *Alerting) subject(al triage.Alert, d *triage.Directory) (scope triage.Scope, rule triage.NameRule, s triage.Subject) {
	s = triage.SubjectOf(al.Labels, a.opts.Owners)
	scope, rule = triage.ScopeOf(al.Labels, s, d)
	s.From = joined(s.From, s.Service, scope.Service, rule)
	return scope, rule, s
}

// joined adds to where a name was read the rule that made a service of it, unless it is the service's own name.
func joined(from, named, service string, rule triage.NameRule) string {
	switch rule {
	case triage.NameAlias:
		return from + ": " + named + " is an alias of " + service
	case triage.NameNormalised:
		return from + ": " + named + " without its affixes is " + service
	default: // it bears its own name
		return from
	}
}
