#!/usr/bin/env bash
# Sends one change to triaged. Everything comes by environment, nothing is pasted into the script, and the token is in no argument
# that others on the machine could list. It needs curl and jq, which every hosted runner has.
set -euo pipefail

now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
status=$TRIAGED_STATUS
case $status in # what job.status says, in triaged's words
  success) status=succeeded ;;
  failure) status=failed ;;
esac
repo=${GITHUB_REPOSITORY:-local} run=${GITHUB_RUN_ID:-$now} attempt=${GITHUB_RUN_ATTEMPT:-1}
id=${TRIAGED_ID:-"ci:$repo/run/$run/$attempt/${GITHUB_JOB:-job}/$TRIAGED_SERVICE/$TRIAGED_ENVIRONMENT"}
version=${TRIAGED_VERSION:-${GITHUB_SHA:0:7}}

body=$(jq -n \
  --arg id "$id" --arg kind "${TRIAGED_KIND:-deploy}" --arg status "$status" --arg service "$TRIAGED_SERVICE" --arg environment "$TRIAGED_ENVIRONMENT" \
  --arg version "$version" --arg previous "$TRIAGED_PREVIOUS_VERSION" --arg title "${TRIAGED_TITLE:-$TRIAGED_SERVICE $version}" --arg now "$now" \
  --arg url "${GITHUB_SERVER_URL:-}${GITHUB_SERVER_URL:+/$repo/actions/runs/$run}" --arg sha "${GITHUB_SHA:-}" --arg ref "${GITHUB_REF_NAME:-}" --arg repo "$repo" \
  --arg run "$repo#$run" \
  '{id: $id, kind: $kind, status: $status, service: $service, environment: $environment, version: $version, previous_version: $previous,
    title: $title, url: $url, labels: ({sha: $sha, ref: $ref, repo: $repo} | with_entries(select(.value != ""))),
    refs: [{system: "ci-job", id: ($id)}]}
   + (if $status == "started" then {started_at: $now} else {finished_at: $now} end)
   | with_entries(select(.value != ""))')

echo "id=$id" >> "${GITHUB_OUTPUT:-/dev/null}"
if answer=$(printf 'header = "Authorization: Bearer %s"\n' "$TRIAGED_TOKEN" |
    curl --silent --show-error --fail-with-body --max-time 15 --retry 3 --retry-connrefused --config - \
      -H 'Content-Type: application/json' --data-binary "$body" "${TRIAGED_URL%/}/api/v1/changes" 2>&1); then
  echo "triaged knows: $id $status"
  exit 0
fi
echo "::warning title=triaged::The change was not recorded: ${answer//[$'\n\r']/ }"
[ "${TRIAGED_FAIL:-false}" != true ]
