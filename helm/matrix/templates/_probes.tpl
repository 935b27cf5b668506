{{/* How a service is asked for its health: (dict "root" $ "component" NAME). `liveness` is served from
the start, the name "" when its partitions are restored. The kubelet's own gRPC probe knows no
TLS: with it, a command asks. */}}
{{- define "matrix.probes" -}}
startupProbe:
  {{- include "matrix.probe" (dict "root" .root "component" .component "service" "liveness") | nindent 2 }}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  {{- include "matrix.probe" (dict "root" .root "component" .component "service" "liveness") | nindent 2 }}
  periodSeconds: {{ ternary 30 10 .root.Values.grpc.tls }}
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  {{- include "matrix.probe" (dict "root" .root "component" .component "service" "") | nindent 2 }}
  # With TLS a probe is a process of its own, a fifth of a second of a processor.
  periodSeconds: {{ ternary 10 5 .root.Values.grpc.tls }}
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}

{{- define "matrix.probe" -}}
{{- if .root.Values.grpc.tls -}}
exec:
  command:
    - python
    - -m
    - services.runtime.grpc_probe
    - {{ include "matrix.name" . }}.{{ .root.Release.Namespace }}.svc
    {{- with .service }}
    - {{ . }}
    {{- end }}
{{- else -}}
grpc:
  port: 50051
  {{- with .service }}
  service: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
