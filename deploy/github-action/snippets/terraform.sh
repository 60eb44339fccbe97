#!/bin/sh
# terraform apply as one change, with its start, its end and how it ended: ./terraform.sh SERVICE ENVIRONMENT [arguments of apply]
# TRIAGED_URL, TRIAGED_TOKEN_FILE and, for mutual TLS, TRIAGED_CA_FILE, TRIAGED_CERT_FILE and TRIAGED_KEY_FILE are read by triaged itself.
set -eu
service=$1 environment=$2
shift 2
exec triaged change run --kind=infra --service="$service" --environment="$environment" --title="terraform apply of $service" -- terraform apply "$@"
