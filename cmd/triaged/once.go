package main

import (
	"fmt"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/api"
)

// auth adds the token for this run where nobody could do anything without it.
func (o serveOptions) auth(c api.Config, listen []string) api.Config {
	if o.once == "" || !c.Closed(listen) {
		return c
	}
	c.Tokens = []api.Token{{Name: "once", Token: config.Secret(o.once), Scopes: []api.Scope{api.ScopeAdmin}}}
	return c
}

// greet prints that token. It goes to the terminal and not into the log, and is another one at the next start.
func (o serveOptions) greet(c api.Config, listen []string) {
	if o.once == "" || o.out == nil || !c.Closed(listen) || len(listen) == 0 {
		return
	}
	fmt.Fprintf(o.out, `
auth.tokens is empty, so nobody may do anything. For this run, the bearer of this token may do everything:

    %[1]s

It is the password of the pages, with any user name, and goes into a header for the API:
    curl -H 'Authorization: Bearer %[1]s' http://%[2]s/api/v1/incidents
Lasting tokens: triaged init makes them. To trust everybody on this machine, proxies included: auth: {trust_loopback: true}

`, o.once, listen[0])
}
