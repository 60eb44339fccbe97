#!/usr/bin/env bash
# Says which real peers the tests will find on this machine; with REQUIRE_PEERS=1 a missing one is a failure.
set -u
missing=0
peer() { # name, command
  if command -v "$2" >/dev/null 2>&1; then
    printf 'peer %-14s %s\n' "$1" "$(command -v "$2")"
  else
    printf 'peer %-14s missing: the tests against it are skipped (Debian package: %s)\n' "$1" "$3"
    missing=1
  fi
}
peer prometheus prometheus prometheus
peer promtool promtool prometheus
peer alertmanager prometheus-alertmanager prometheus-alertmanager
peer chromium chromium chromium
peer java java default-jre-headless
if compgen -G "${KAFKA_HOME_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/triaged-kafka}/*/complete" >/dev/null; then
  printf 'peer %-14s Apache Kafka is fetched\n' kafka
else
  printf 'peer %-14s missing: the tests use the in-process broker only (run tools/kafka/fetch; needs maven)\n' kafka
  missing=1
fi
for tool in schemathesis redocly; do
  command -v "$tool" >/dev/null 2>&1 || printf 'tool %-14s missing: the API is held against its description without it\n' "$tool"
done
if [ -z "${TRIAGED_SHARED:-}" ]; then
  echo "TRIAGED_SHARED is not set: the tests over recorded cases and captured payloads are skipped"
fi
[ "$missing" = 0 ] || [ "${REQUIRE_PEERS:-}" != 1 ] || { echo "REQUIRE_PEERS=1 and a peer is missing" >&2; exit 1; }
