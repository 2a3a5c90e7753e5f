{{- define "platform.labels" -}}
app.kubernetes.io/managed-by: lotse
lotse.dev/environment: {{ .environment }}
lotse.dev/app: {{ .app }}
{{- end }}
