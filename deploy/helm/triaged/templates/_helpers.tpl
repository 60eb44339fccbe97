{{- define "triaged.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "triaged.selector" -}}
app.kubernetes.io/name: triaged
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "triaged.labels" -}}
{{ include "triaged.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "triaged.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "triaged.name" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "triaged.secret" -}}
{{- if .Values.secrets.data }}{{ include "triaged.name" . }}{{ else }}{{ .Values.secrets.existingSecret }}{{ end }}
{{- end }}

{{- define "triaged.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}

{{- /* triaged.yml as text. */ -}}
{{- define "triaged.config" -}}
{{- if kindIs "string" .Values.config }}{{ .Values.config }}{{ else }}{{ toYaml .Values.config }}{{ end }}
{{- end }}

{{- /* triaged.yml as a value; a text that is no YAML is an error of the install and not of the pod. */ -}}
{{- define "triaged.configValue" -}}
{{- $c := fromYaml (include "triaged.config" .) }}
{{- if hasKey $c "Error" }}{{ fail (printf "config is no YAML: %s" (get $c "Error")) }}{{ end }}
{{- toJson $c }}
{{- end }}

{{- /* The TCP ports of everything the configuration names, as a list in JSON: what the network policy lets out. */ -}}
{{- define "triaged.ports" -}}
{{- $c := fromJson (include "triaged.configValue" .) }}
{{- if $c.global }}{{ $_ := set $c "global" (omit $c.global "external_url") }}{{ end }}
{{- $text := toJson $c }}
{{- $ports := dict }}
{{- range regexFindAll "https?://[^/\"\\\\ ]+" $text -1 }}
{{- $u := urlParse . }}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $u.host) }}
{{- $_ := set $ports (default (ternary "443" "80" (eq $u.scheme "https")) $port) true }}
{{- end }}
{{- /* Those that are reached at addresses of their own, or at ones in files. */ -}}
{{- range list "slack_configs" "pagerduty_configs" "url_file" "\"github\":[{" }}
{{- if contains . $text }}{{ $_ := set $ports "443" true }}{{ end }}
{{- end }}
{{- range (dig "sources" "kafka" list $c) }}
{{- range .brokers }}{{ $_ := set $ports (default "9092" (regexFind "[0-9]+$" .)) true }}{{ end }}
{{- end }}
{{- range regexFindAll "\"smarthost\":\"[^\"]+\"" $text -1 }}
{{- $_ := set $ports (default "25" (regexFind "[0-9]+$" (trimSuffix "\"" .))) true }}
{{- end }}
{{- keys $ports | sortAlpha | toJson }}
{{- end }}
