{{/* Which image. */}}
{{- define "exchange.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "exchange.selector" -}}
app.kubernetes.io/name: exchange
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "exchange.labels" -}}
{{ include "exchange.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Settings of every process: plain ones, and the names of the files that hold the secret ones. */}}
{{- define "exchange.env" -}}
- {name: ALLOWED_HOSTS, value: {{ join "," .Values.hosts | quote }}}
- {name: BASE_URL, value: {{ printf "https://%s" (first .Values.hosts) | quote }}}
- {name: PROMETHEUS_MULTIPROC_DIR, value: /run/counts}
- {name: SNAPSHOT_DIR, value: /var/lib/exchange-snapshots}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- range .Values.secretKeys }}
- {name: {{ . }}_FILE, value: /run/secrets/exchange/{{ . }}}
{{- end }}
{{- if .Values.database.secret }}
- {name: DATABASE_URL_FILE, value: /run/secrets/database/{{ .Values.database.key }}}
{{- end }}
{{- end -}}

{{- define "exchange.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: data, mountPath: /var/lib/exchange}
- {name: counts, mountPath: /run/counts}
- {name: secret, mountPath: /run/secrets/exchange, readOnly: true}
{{- if .Values.database.secret }}
- {name: database, mountPath: /run/secrets/database, readOnly: true}
{{- end }}
{{- end -}}

{{- define "exchange.volumes" -}}
- {name: tmp, emptyDir: {sizeLimit: 1Gi}}
- {name: data, emptyDir: {}}
- {name: counts, emptyDir: {medium: Memory, sizeLimit: 64Mi}}
- name: secret
  secret:
    secretName: {{ .Values.secret }}
    defaultMode: 0440
    items:
      {{- range .Values.secretKeys }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- with .Values.database.secret }}
- name: database
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{/* The volume that web processes and workers share. */}}
{{- define "exchange.snapshots" -}}
- name: snapshots
  persistentVolumeClaim: {claimName: {{ .Values.snapshots.claim | default (printf "%s-snapshots" .Release.Name) }}}
{{- end -}}

{{/* What every pod may not. */}}
{{- define "exchange.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "exchange.container" -}}
image: {{ include "exchange.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Of one process, on nodes of their own where there are several: (dict "root" $ "name" "web"). */}}
{{- define "exchange.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "exchange.selector" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .name }}
{{- end -}}
