// Package doctor looks for what would make triaged's reports late, thin or silent, and says in one line each how to mend it.
//
// It reads the configuration, asks the servers named there a few questions, and a running daemon how it does. It changes
// nothing, and it shows no secret.
package doctor
