// Command proof measures and breaks the real triaged: `bench` prints what it does beside the limit measured in the same run,
// `crash` kills it at random moments and looks for what is missing, `chaos` gives it peers that misbehave, `sbom` lists what is
// linked into it. It contains
// nothing the daemon needs, and it judges only by what an outsider sees: answers, messages, files, the process.
package main
