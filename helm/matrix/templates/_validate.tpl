{{/* What a schema cannot say: values that contradict each other. Each message names the value. */}}
{{- define "matrix.validate" -}}
{{- $v := .Values -}}
{{- if and (contains "SASL" $v.kafka.securityProtocol) (not $v.kafka.existingSecret) -}}
{{- fail (printf "kafka.existingSecret: kafka.securityProtocol %s needs the name of a secret with username and password" $v.kafka.securityProtocol) -}}
{{- end -}}
{{- if and (contains "SSL" $v.kafka.securityProtocol) (or $v.kafka.caInSecret $v.kafka.clientCertificate) (not $v.kafka.existingSecret) -}}
{{- fail "kafka.existingSecret: kafka.caInSecret and kafka.clientCertificate need the name of a secret" -}}
{{- end -}}
{{- if and $v.kafka.clientCertificate (not (contains "SSL" $v.kafka.securityProtocol)) -}}
{{- fail (printf "kafka.clientCertificate: kafka.securityProtocol %s shows none; take SSL or SASL_SSL" $v.kafka.securityProtocol) -}}
{{- end -}}
{{- if and (hasPrefix "s3://" $v.objectStore.url) (not $v.objectStore.existingSecret) -}}
{{- fail "objectStore.existingSecret: give the name of a secret with access-key and secret-key" -}}
{{- end -}}
{{- if and (or $v.grpc.tls $v.grpc.callers) (not $v.grpc.existingSecret) -}}
{{- fail "grpc.existingSecret: grpc.tls and grpc.callers need the name of a secret" -}}
{{- end -}}
{{- if and $v.grpc.callers (not $v.grpc.tls) -}}
{{- fail "grpc.tls: grpc.callers needs it, because tokens are not sent in the clear" -}}
{{- end -}}
{{- if and $v.grpc.clientCertificates (not $v.grpc.tls) -}}
{{- fail "grpc.tls: grpc.clientCertificates needs it" -}}
{{- end -}}
{{- if and $v.grpc.tls $v.controller.enabled (not $v.controller.existingSecret) -}}
{{- fail "controller.existingSecret: grpc.tls needs the name of a secret with ca.crt and token" -}}
{{- end -}}
{{- if le (int $v.autoscaling.keda.lagThreshold) (int $v.settings.maxPending) -}}
{{- fail (printf "autoscaling.keda.lagThreshold: %d must be above settings.maxPending %d, since what a pod works on counts as lag" (int $v.autoscaling.keda.lagThreshold) (int $v.settings.maxPending)) -}}
{{- end -}}
{{- range $name, $service := $v.services -}}
{{- if gt (int $service.minReplicas) (int $service.maxReplicas) -}}
{{- fail (printf "services.%s.minReplicas: %d is more than maxReplicas %d" $name (int $service.minReplicas) (int $service.maxReplicas)) -}}
{{- end -}}
{{- if gt (int $service.maxReplicas) (int $v.kafka.partitions) -}}
{{- fail (printf "services.%s.maxReplicas: %d is more than kafka.partitions %d, and further pods would have nothing to do" $name (int $service.maxReplicas) (int $v.kafka.partitions)) -}}
{{- end -}}
{{- end -}}
{{- if eq $v.models.mode "kserve" -}}
{{- range $role, $server := $v.models.servers -}}
{{- if gt (int $server.minReplicas) (int $server.maxReplicas) -}}
{{- fail (printf "models.servers.%s.minReplicas: %d is more than maxReplicas %d" $role (int $server.minReplicas) (int $server.maxReplicas)) -}}
{{- end -}}
{{- if and $server.uri (not $server.name) -}}
{{- fail (printf "models.servers.%s.name: give the name of the model in %s" $role $server.uri) -}}
{{- end -}}
{{- if and $server.enabled (eq (int $server.minReplicas) 0) (ne $v.autoscaling.mode "keda") -}}
{{- fail (printf "models.servers.%s.minReplicas: 0 needs autoscaling.mode keda, which wakes it" $role) -}}
{{- end -}}
{{- end -}}
{{- if not (or $v.models.servers.teacher.enabled $v.models.external.simulator.url) -}}
{{- fail "models.servers.teacher.enabled: without it, models.external.simulator.url is needed" -}}
{{- end -}}
{{- if not (or $v.models.servers.embedding.enabled $v.models.external.embedding.url) -}}
{{- fail "models.servers.embedding.enabled: without it, models.external.embedding.url is needed, because a server of chat models makes no embeddings" -}}
{{- end -}}
{{- else if and (eq $v.models.mode "external") (not $v.models.external.simulator.url) -}}
{{- fail "models.external.simulator.url: models.mode external needs it" -}}
{{- end -}}
{{- end }}
