{{/* Model servers of this chart, as YAML by role: takes $. None but in mode kserve. */}}
{{- define "matrix.modelServers" -}}
{{- if eq .Values.models.mode "kserve" -}}
{{- if not (hasKey .Values.models.families .Values.models.family) -}}
{{- fail (printf "models.family: there is no %s in models.families; there are %s" .Values.models.family (keys .Values.models.families | sortAlpha | join ", ")) -}}
{{- end -}}
{{- $family := get .Values.models.families .Values.models.family -}}
{{- range $role, $server := .Values.models.servers }}
{{- if $server.enabled }}
{{- $own := get $family $role }}
{{ $role }}:
  isvc: {{ include "matrix.name" (dict "root" $ "component" $role) }}
  uri: {{ $server.uri | default $own.uri }}
  name: {{ $server.name | default $own.name }}
  licence: {{ $server.licence | default $own.licence }}
  promptPrice: {{ $server.promptPrice }}
  completionPrice: {{ $server.completionPrice }}
  {{- /* A Service of KServe's spreads connections, and hides the pods. Where there may be several,
         services are given all addresses: each is a server, with a load and a gate of its own. */}}
  {{- if gt (int $server.maxReplicas) 1 }}
  url: http://{{ include "matrix.name" (dict "root" $ "component" $role) }}-pods.{{ $.Release.Namespace }}.svc:8080
  {{- else }}
  url: http://{{ include "matrix.name" (dict "root" $ "component" $role) }}-predictor.{{ $.Release.Namespace }}.svc
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}
{{- end }}

{{/* URL and name of each role's model: takes $. */}}
{{- define "matrix.modelConfig" -}}
{{- $servers := include "matrix.modelServers" . | fromYaml -}}
{{- $sources := dict "simulator" "teacher" "teacher" "teacher" "student" "student" "reward" "reward" "embedding" "embedding" -}}
{{- range $role, $external := .Values.models.external }}
{{- $variable := $role | replace "-" "_" | upper }}
{{- $source := get $sources $role }}
{{- if $external.url }}
MATRIX_MODELS__{{ $variable }}__URL: {{ $external.url | quote }}
{{- if $external.name }}
MATRIX_MODELS__{{ $variable }}__NAME: {{ $external.name | quote }}
{{- end }}
{{- include "matrix.modelPrices" (dict "variable" $variable "of" $external) }}
{{- else if hasKey $servers $source }}
MATRIX_MODELS__{{ $variable }}__URL: {{ (get $servers $source).url }}
MATRIX_MODELS__{{ $variable }}__NAME: {{ (get $servers $source).name | quote }}
{{- include "matrix.modelPrices" (dict "variable" $variable "of" (get $servers $source)) }}
{{- else if and (eq $role "simulator") (eq $.Values.models.mode "simulated") }}
MATRIX_MODELS__SIMULATOR__URL: http://{{ include "matrix.name" (dict "root" $ "component" "simulated-model") }}.{{ $.Release.Namespace }}.svc:8000
{{- end }}
{{- end }}
{{- $licences := deepCopy .Values.models.licences }}
{{- range $servers }}
{{- if .licence }}
{{- $licences = set $licences .name .licence }}
{{- end }}
{{- end }}
{{- if $licences }}
MATRIX_MODEL_LICENCES: {{ toJson $licences | quote }}
{{- end }}
{{- end }}

{{/* What tokens cost, where that was said: (dict "variable" ROLE "of" MODEL). */}}
{{- define "matrix.modelPrices" -}}
{{- if .of.promptPrice }}
MATRIX_MODELS__{{ .variable }}__PROMPT_PRICE: {{ .of.promptPrice | quote }}
{{- end }}
{{- if .of.completionPrice }}
MATRIX_MODELS__{{ .variable }}__COMPLETION_PRICE: {{ .of.completionPrice | quote }}
{{- end }}
{{- end }}

{{/* Keys of models, from secrets: takes $. */}}
{{- define "matrix.modelSecrets" -}}
{{- $servers := include "matrix.modelServers" . | fromYaml -}}
{{- $sources := dict "simulator" "teacher" "teacher" "teacher" "student" "student" "reward" "reward" "embedding" "embedding" -}}
{{- range $role, $external := .Values.models.external }}
{{- $secret := "" }}
{{- if $external.url }}
{{- $secret = $external.existingSecret }}
{{- else if hasKey $servers (get $sources $role) }}
{{- $secret = $.Values.models.kserve.existingSecret }}
{{- end }}
{{- if $secret }}
- name: MATRIX_MODELS__{{ $role | replace "-" "_" | upper }}__API_KEY
  valueFrom:
    secretKeyRef: {name: {{ $secret }}, key: api-key}
{{- end }}
{{- end }}
{{- end }}
