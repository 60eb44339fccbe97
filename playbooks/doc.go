// Package playbooks turns a recommendation into the command, link and runbook for it.
//
// It executes nothing and invents nothing: a value that is not known, or that does not look like a name, makes it say so
// instead of printing a command, and so does a workload that GitOps owns, or may own. Every value is checked against a list of
// what is allowed and quoted for a POSIX shell; commands are lists of arguments, so no value can become a second command.
package playbooks
