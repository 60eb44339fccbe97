#!/usr/bin/env bash
# Names the tests that tools/tested saw skipped, with the reason each gave, and counts them.
set -euo pipefail
file=$1
[[ -s $file ]] || { echo "no test was skipped"; exit 0; }
echo "skipped: $(wc -l <"$file")"
sort "$file" | sed 's/^/  /'
