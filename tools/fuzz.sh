#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME (default 30s), one after the other; stops at the first finding.
set -euo pipefail
for pkg in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
    echo "fuzz $pkg $target for ${FUZZTIME:-30s}"
    go test -run='^$' -fuzz="^${target}\$" -fuzztime="${FUZZTIME:-30s}" "$pkg"
  done
done
