#!/usr/bin/env bash
# Copies deploy/prometheus/rules.yml to where Kubernetes wants it: the chart's file, and the operator's object.
set -euo pipefail
cd "$(dirname "$0")/.."
cp deploy/prometheus/rules.yml deploy/helm/triaged/files/rules.yml
{
  printf '%s\n' '# Made of deploy/prometheus/rules.yml by tools/rules.sh.' 'apiVersion: monitoring.coreos.com/v1' 'kind: PrometheusRule' 'metadata:' '  name: triaged' 'spec:'
  sed 's/^\(.\)/  \1/' deploy/prometheus/rules.yml
} > deploy/kubernetes/monitoring/prometheusrule.yaml
