package main

import (
	"fmt"
	"regexp"
)

// ordinal is how a StatefulSet numbers its pods.
var ordinal = regexp.MustCompile(`-([0-9]+)$`)

// onlyReplica refuses to be any pod of a StatefulSet but the first. Each has a volume, and so a journal, of its own: the lock on
// the journal would not notice a second one, which would hear of half the changes and alerts and be wrong about both.
func onlyReplica(pod string) error {
	m := ordinal.FindStringSubmatch(pod)
	if m == nil || m[1] == "0" {
		return nil
	}
	return fmt.Errorf("this is pod %s, one of several: each would have a journal of its own and know a part of what changed and what fires; set replicas to 1", pod)
}
