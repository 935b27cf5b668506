{{/* Whether KEDA needs a secret to speak to the brokers: takes $. */}}
{{- define "matrix.kafkaAsks" -}}
{{- with .Values.kafka -}}
{{- if or (contains "SASL" .securityProtocol) (and (contains "SSL" .securityProtocol) (or .caInSecret .clientCertificate)) -}}
true
{{- end -}}
{{- end -}}
{{- end }}

{{/* A KEDA trigger on the lag of a group: (dict "root" $ "topic" T "group" G "threshold" N). All
metadata are strings. Never excludePersistentLag: a service commits when models have answered, which
may be a minute, and would look stuck while it is busy. */}}
{{- define "matrix.kafkaTrigger" -}}
{{- $kafka := .root.Values.kafka -}}
type: kafka
metadata:
  bootstrapServers: {{ $kafka.bootstrapServers | quote }}
  topic: {{ .topic | quote }}
  consumerGroup: {{ .group | quote }}
  lagThreshold: {{ .threshold | int64 | quote }}
  # As the consumers begin: services.runtime.kafka_member.
  offsetResetPolicy: earliest
  tls: {{ ternary "enable" "disable" (contains "SSL" $kafka.securityProtocol) }}
  {{- if contains "SASL" $kafka.securityProtocol }}
  sasl: {{ get (dict "SCRAM-SHA-512" "scram_sha512" "SCRAM-SHA-256" "scram_sha256" "PLAIN" "plaintext") $kafka.saslMechanism }}
  {{- end }}
{{- if include "matrix.kafkaAsks" .root }}
authenticationRef:
  name: {{ include "matrix.fullname" .root }}-kafka
{{- end }}
{{- end }}
