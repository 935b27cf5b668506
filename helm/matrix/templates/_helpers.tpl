{{/* Beginning of all names. */}}
{{- define "matrix.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 30 | trimSuffix "-" -}}
{{- end }}

{{/* Name of what belongs to a component: (dict "root" $ "component" "agent-state"). */}}
{{- define "matrix.name" -}}
{{ include "matrix.fullname" .root }}-{{ .component }}
{{- end }}

{{/* Labels that pods are found by; they never change: (dict "root" $ "component" NAME). */}}
{{- define "matrix.selectorLabels" -}}
app.kubernetes.io/name: matrix
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* All labels of an object: (dict "root" $ "component" NAME). */}}
{{- define "matrix.labels" -}}
{{ include "matrix.selectorLabels" . }}
app.kubernetes.io/part-of: matrix
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The one image: takes $. */}}
{{- define "matrix.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Pod Security Standard "restricted": takes $. */}}
{{- define "matrix.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "matrix.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* What every pod of ours begins with: (dict "root" $ "component" NAME). */}}
{{- define "matrix.podBasics" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "matrix.podSecurityContext" .root | nindent 2 }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Priority class of "services" or "models": (dict "root" $ "of" NAME). It belongs to the cluster,
hence the namespace in its name. */}}
{{- define "matrix.priorityClass" -}}
{{ .root.Release.Namespace | default "default" }}-{{ include "matrix.fullname" .root }}-{{ .of }}
{{- end }}

{{/* The port of host:port or of a URL, by its scheme if it names none. */}}
{{- define "matrix.portOf" -}}
{{- $authority := regexReplaceAll "^[a-z]+://" . "" | splitList "/" | first -}}
{{- if regexMatch ":[0-9]+$" $authority -}}
{{ regexFind "[0-9]+$" $authority }}
{{- else if hasPrefix "http://" . -}}
80
{{- else -}}
443
{{- end -}}
{{- end }}
