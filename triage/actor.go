package triage

import (
	"context"
	"slices"
)

// Actor is who did something by hand. It stands on the API and in the audit log and on no card: who pressed a button at night is
// nobody's business in a channel.
type Actor struct {
	Name string `json:"name"` // of the person, or of the token
	Via  string `json:"via"`  // oidc, proxy, token, anonymous, local, link

	Subject string   `json:"-"` // what the provider of identities calls the person: unique, where names are not
	Teams   []string `json:"-"` // whose incidents they may speak about; nil: anybody's
}

// MaySpeakOf reports whether the Actor may say something about what belongs to these owners. What belongs to nobody is for those
// who may speak of everything.
func (a Actor) MaySpeakOf(owners ...string) bool {
	if a.Teams == nil {
		return true
	}
	return slices.ContainsFunc(owners, func(o string) bool { return o != "" && slices.Contains(a.Teams, o) })
}

// actorKey is the key of the Actor in a context.
type actorKey struct{}

// WithActor notes who a request comes from. What is done for it can be put down to them, through code that does not care.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf is who a request comes from; nobody where that was not noted, as of what the daemon does by itself.
func ActorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}

// Owners are the teams that an Incident concerns: of the service that hurts, and of the one whose change is spoken of.
func (d *Directory) Owners(inc Incident, service string) []string {
	var out []string
	add := func(name string) {
		if s, ok := d.Service(name); ok && s.Owner != "" && !slices.Contains(out, s.Owner) {
			out = append(out, s.Owner)
		}
	}
	add(inc.Service)
	add(service)
	return out
}
