// Package github turns deployments, deploy workflows, releases, merges and configuration pushes of GitHub repositories
// into Changes, by polling the REST API and by signed webhooks.
//
// It does not rank, does not drop a change because it looks harmless, does not know the collector, never writes to GitHub
// and never puts a token, a diff or an e-mail address into an event. What a repository's rules do not name as a change to
// a running system (a merge, a push, a green build) is not reported as one.
package github
