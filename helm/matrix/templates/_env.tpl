{{/* Settings that are no secrets, as data of the ConfigMap: takes $. */}}
{{- define "matrix.config" -}}
{{ include "matrix.kafkaConfig" . }}
{{- with .Values.grpc }}
MATRIX_GRPC__HOST: {{ .host | quote }}
MATRIX_GRPC__PORT: "50051"
MATRIX_GRPC__GRACE_SECONDS: {{ .graceSeconds | quote }}
{{- if .tls }}
MATRIX_GRPC__CERT_FILE: /etc/matrix/grpc/tls.crt
MATRIX_GRPC__KEY_FILE: /etc/matrix/grpc/tls.key
MATRIX_GRPC__CA_FILE: /etc/matrix/grpc/ca.crt
{{- end }}
{{- if .clientCertificates }}
MATRIX_GRPC__CLIENT_CA_FILE: /etc/matrix/grpc/client-ca.crt
{{- end }}
{{- if .callers }}
MATRIX_GRPC__CALLERS_FILE: /etc/matrix/grpc/callers.toml
{{- end }}
{{- end }}
MATRIX_METRICS__HOST: {{ .Values.grpc.host | quote }}
MATRIX_METRICS__PORT: "9464"
{{- with .Values.tracing }}
{{- if .endpoint }}
MATRIX_TRACING__ENDPOINT: {{ .endpoint | quote }}
MATRIX_TRACING__SAMPLE_RATIO: {{ .sampleRatio | quote }}
MATRIX_TRACING__PROMPTS: {{ .prompts | quote }}
{{- end }}
{{- end }}
{{- with .Values.settings }}
MATRIX_LOG_FORMAT: {{ .logFormat }}
MATRIX_MAX_PENDING: {{ .maxPending | int64 | quote }}
MATRIX_POPULATION_CONTROL: {{ .populationControl | quote }}
MATRIX_MODELS__TIMEOUT_SECONDS: {{ .modelTimeoutSeconds | quote }}
MATRIX_MODELS__PATIENCE_SECONDS: {{ .modelPatienceSeconds | quote }}
{{- end }}
{{ include "matrix.modelConfig" . }}
{{- range $name, $value := .Values.settings.extraEnv }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* Those that reach the broker; the setup job, which runs before the ConfigMap is there, has them
too: takes $. */}}
{{- define "matrix.kafkaConfig" -}}
{{- with .Values.kafka -}}
MATRIX_KAFKA__BOOTSTRAP_SERVERS: {{ .bootstrapServers | quote }}
MATRIX_KAFKA__SECURITY_PROTOCOL: {{ .securityProtocol }}
MATRIX_KAFKA__SASL_MECHANISM: {{ .saslMechanism }}
MATRIX_KAFKA__PARTITIONS: {{ .partitions | int64 | quote }}
MATRIX_KAFKA__REPLICATION_FACTOR: {{ .replicationFactor | int64 | quote }}
MATRIX_KAFKA__SESSION_TIMEOUT_SECONDS: {{ .sessionTimeoutSeconds | quote }}
{{- if and (contains "SSL" .securityProtocol) .caInSecret }}
MATRIX_KAFKA__CA_FILE: /etc/matrix/kafka/ca.crt
{{- end }}
{{- if .clientCertificate }}
MATRIX_KAFKA__CERT_FILE: /etc/matrix/kafka/user.crt
MATRIX_KAFKA__KEY_FILE: /etc/matrix/kafka/user.key
{{- end }}
{{- end }}
{{- end }}

{{/* Those that reach the store: takes $. */}}
{{- define "matrix.storeConfig" -}}
{{- with .Values.objectStore -}}
MATRIX_OBJECT_STORE__URL: {{ .url | quote }}
MATRIX_OBJECT_STORE__REGION: {{ .region | quote }}
{{- if .endpoint }}
MATRIX_OBJECT_STORE__ENDPOINT: {{ .endpoint | quote }}
{{- end }}
{{- if .caInSecret }}
MATRIX_OBJECT_STORE__CA_FILE: /etc/matrix/store/ca.crt
{{- end }}
{{- end }}
{{- end }}

{{/* User and password of Kafka: (dict "root" $ "existingSecret" NAME "username" NAME). */}}
{{- define "matrix.kafkaSecrets" -}}
{{- if contains "SASL" .root.Values.kafka.securityProtocol -}}
- name: MATRIX_KAFKA__SASL_USERNAME
  {{- if .username }}
  value: {{ .username | quote }}
  {{- else }}
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret }}, key: username}
  {{- end }}
- name: MATRIX_KAFKA__SASL_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret }}, key: password}
{{- end }}
{{- end }}

{{/* The store, its keys included, as variables; only who writes there has them: takes $. */}}
{{- define "matrix.storeEnv" -}}
{{- range $name, $value := include "matrix.storeConfig" . | fromYaml }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
- name: MATRIX_OBJECT_STORE__ACCESS_KEY
  valueFrom:
    secretKeyRef: {name: {{ .Values.objectStore.existingSecret }}, key: access-key}
- name: MATRIX_OBJECT_STORE__SECRET_KEY
  valueFrom:
    secretKeyRef: {name: {{ .Values.objectStore.existingSecret }}, key: secret-key}
{{- if .Values.objectStore.caInSecret }}
- name: SSL_CERT_FILE
  value: /etc/matrix/store/ca.crt
{{- end }}
{{- end }}

{{/* Volumes with certificates and callers; never with a password that the environment has:
(dict "root" $ "kafkaSecret" NAME "store" BOOL "grpc" BOOL). */}}
{{- define "matrix.volumes" -}}
{{- $kafka := .root.Values.kafka -}}
{{- if and .kafkaSecret (contains "SSL" $kafka.securityProtocol) (or $kafka.caInSecret $kafka.clientCertificate) }}
- name: kafka
  secret:
    secretName: {{ .kafkaSecret }}
    items:
      {{- if $kafka.caInSecret }}
      - {key: ca.crt, path: ca.crt}
      {{- end }}
      {{- if $kafka.clientCertificate }}
      - {key: user.crt, path: user.crt}
      - {key: user.key, path: user.key}
      {{- end }}
{{- end }}
{{- if and .store .root.Values.objectStore.caInSecret }}
- name: store
  secret:
    secretName: {{ .root.Values.objectStore.existingSecret }}
    items:
      - {key: ca.crt, path: ca.crt}
{{- end }}
{{- with .root.Values.grpc }}
{{- if and $.grpc (or .tls .clientCertificates .callers) }}
- name: grpc
  secret:
    secretName: {{ .existingSecret }}
    items:
      {{- if .tls }}
      - {key: tls.crt, path: tls.crt}
      - {key: tls.key, path: tls.key}
      - {key: ca.crt, path: ca.crt}
      {{- end }}
      {{- if .clientCertificates }}
      - {key: client-ca.crt, path: client-ca.crt}
      {{- end }}
      {{- if .callers }}
      - {key: callers.toml, path: callers.toml}
      {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where these volumes are mounted; takes the same. */}}
{{- define "matrix.mounts" -}}
{{- range include "matrix.volumes" . | fromYamlArray }}
- name: {{ .name }}
  mountPath: /etc/matrix/{{ .name }}
  readOnly: true
{{- end }}
{{- end }}
