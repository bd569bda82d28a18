{{/* The name of everything this release makes: the release's name, with the chart's where it does not say it. */}}
{{- define "kato.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Cluster-wide objects carry the namespace too: releases of one name in two namespaces must not share them. */}}
{{- define "kato.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "kato.fullname" .) -}}
{{- end -}}

{{- define "kato.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "kato.labels" -}}
{{ include "kato.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: kato
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* A dict with `image` and `chart`: the reference of an image, with the chart's appVersion where no tag is given. */}}
{{- define "kato.image" -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .chart.AppVersion) -}}
{{- end -}}

{{/* What every pod of the chart has: the `restricted` pod security profile, and where it may run. A dict with `Values`,
     with `fsGroup` where a volume is written to, and with `apart`, the component whose pods rather lie on several nodes,
     unless the values say where. */}}
{{- define "kato.pod" -}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  seccompProfile: {type: RuntimeDefault}
{{- with .fsGroup }}
  fsGroup: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .Values.affinity }}
affinity:
  {{- toYaml .Values.affinity | nindent 2 }}
{{- else if .apart }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "kato.selector" . | nindent 14 }}
              app.kubernetes.io/component: {{ .apart }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* What every container of the chart has: the operator's image, its bounds, and no privilege. */}}
{{- define "kato.container" -}}
image: {{ include "kato.image" (dict "image" .Values.image "chart" .Chart) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The Secrets that name the stores of processors without storage of their own, as YAML; nothing where there are none. */}}
{{- define "kato.stores" -}}
{{- if .Values.stores.bundled.enabled }}
{{- $secret := printf "%s-stores" (include "kato.fullname" .) }}
mongodb: {secret: {{ $secret }}, key: uri}
redis: {secret: {{ $secret }}, key: url}
{{- else if .Values.stores.external.mongodb.secret }}
{{- toYaml .Values.stores.external }}
{{- end }}
{{- end -}}

{{/* Labels of the gateway's pods. */}}
{{- define "kato.gatewaySelector" -}}
{{ include "kato.selector" . }}
app.kubernetes.io/component: gateway
{{- end -}}

{{/* The operator's settings; `kato-operator run` and `kato-operator release-finalizers` read the same ones. */}}
{{- define "kato.env" -}}
- name: KATO_OPERATOR_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: KATO_OPERATOR_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: KATO_OPERATOR_LEASE_NAME
  value: {{ include "kato.fullname" . }}
{{- with .Values.watchNamespaces }}
- name: KATO_OPERATOR_WATCH_NAMESPACES
  value: {{ join "," . | quote }}
- name: KATO_OPERATOR_ROLE_BINDING
  value: {{ include "kato.clusterName" $ }}
{{- end }}
- name: KATO_OPERATOR_SERVICE_IMAGE
  value: {{ include "kato.image" (dict "image" .Values.serviceImage "chart" .Chart) }}
- name: KATO_OPERATOR_CLEANUP_DEADLINE_SECONDS
  value: {{ .Values.cleanupDeadlineSeconds | quote }}
{{- with include "kato.stores" . | fromYaml }}
- name: KATO_OPERATOR_STORES_MONGODB_SECRET
  value: {{ .mongodb.secret | quote }}
- name: KATO_OPERATOR_STORES_MONGODB_KEY
  value: {{ .mongodb.key | quote }}
- name: KATO_OPERATOR_STORES_REDIS_SECRET
  value: {{ .redis.secret | quote }}
- name: KATO_OPERATOR_STORES_REDIS_KEY
  value: {{ .redis.key | quote }}
{{- end }}
- name: KATO_OPERATOR_LOG_LEVEL
  value: {{ .Values.logLevel }}
{{- end -}}

{{/* Where `helm test` puts its throw-away processor: the release's namespace, unless the operator serves others only. */}}
{{- define "kato.testNamespace" -}}
{{- if or (empty .Values.watchNamespaces) (has .Release.Namespace .Values.watchNamespaces) -}}
{{- .Release.Namespace -}}
{{- else -}}
{{- first .Values.watchNamespaces -}}
{{- end -}}
{{- end -}}
