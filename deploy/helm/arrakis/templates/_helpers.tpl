{{/* Names and parts that every object has. */}}

{{- define "arrakis.selector" -}}
app.kubernetes.io/name: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/part-of: arrakis
{{- end }}

{{- define "arrakis.labels" -}}
{{ include "arrakis.selector" . }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "arrakis.metadata" -}}
name: {{ .name | default .component }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "arrakis.labels" . | nindent 2 }}
{{- end }}

{{/* Image of a target of deploy/images/Dockerfile. */}}
{{- define "arrakis.image" -}}
{{- $image := .root.Values.image -}}
{{- $digest := get $image.digests .target -}}
{{ $image.registry }}/arrakis-{{ .target }}{{ if $digest }}@{{ $digest }}{{ else }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Variable from a Secret. */}}
{{- define "arrakis.secret" -}}
{{- $secret := required (printf "secrets.%s.name is empty" .secret) (get .root.Values.secrets .secret).name -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef: {name: {{ $secret }}, key: {{ (get .root.Values.secrets .secret).key }}}
{{- end }}

{{/* Variables from maps of values. Later ones have priority. */}}
{{- define "arrakis.environment" -}}
{{- $all := dict -}}
{{- range .maps }}{{ $all = mergeOverwrite $all (deepCopy .) }}{{ end -}}
{{- range $name, $value := $all }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* Variables of workers and api that turn the kill switch on and off, and check second factors. */}}
{{- define "arrakis.controlSecrets" -}}
{{- range $variable, $secret := dict "KILL_SWITCH_CREDENTIAL" "killSwitchCredential" "MFA_ENCRYPTION_KEY" "mfaEncryptionKey" }}
{{ include "arrakis.secret" (dict "root" $.root "variable" $variable "secret" $secret) }}
{{- end }}
{{- if .root.Values.secrets.killSwitchCredentialPrevious.name }}
{{ include "arrakis.secret" (dict "root" .root "variable" "KILL_SWITCH_CREDENTIAL_PREVIOUS" "secret" "killSwitchCredentialPrevious") }}
{{- end }}
{{- if .root.Values.secrets.notifyWebhookUrl.name }}
{{ include "arrakis.secret" (dict "root" .root "variable" "NOTIFY_WEBHOOK_URL" "secret" "notifyWebhookUrl") }}
{{- end }}
{{- end }}

{{/* Addresses of every replica of the discord-proxy. */}}
{{- define "arrakis.proxyUrls" -}}
{{- $urls := list }}
{{- range $index := until (int .root.Values.discordProxy.replicas) }}
{{- $urls = append $urls (printf "http://discord-proxy-%d.discord-proxy.%s.svc:8090" $index $.root.Release.Namespace) }}
{{- end }}
{{- join "," $urls }}
{{- end }}

{{/* The token of the service account for Vault, where signing.serviceAccountToken is enabled: its variable, its mount, its volume. */}}
{{- define "arrakis.tokenEnvironment" -}}
{{- if .root.Values.signing.serviceAccountToken.enabled }}
VAULT_TOKEN_FILE: /var/run/secrets/vault/token
{{- end }}
{{- end }}
{{- define "arrakis.tokenMount" -}}
{{- if .root.Values.signing.serviceAccountToken.enabled }}
volumeMounts: [{name: vault-token, mountPath: /var/run/secrets/vault, readOnly: true}]
{{- end }}
{{- end }}
{{- define "arrakis.tokenVolume" -}}
{{- if .root.Values.signing.serviceAccountToken.enabled }}
volumes:
  - name: vault-token
    projected:
      sources:
        - serviceAccountToken: {path: token, audience: {{ .root.Values.signing.serviceAccountToken.audience | quote }}, expirationSeconds: 3600}
{{- end }}
{{- end }}

{{/* Groups of workers in this release: component, and the values of the group. */}}
{{- define "arrakis.workers" -}}
{{- $workers := list "worker" }}
{{- if .Values.worker.canary.enabled }}{{ $workers = append $workers "worker-canary" }}{{ end }}
{{- if .Values.worker.shadow.enabled }}{{ $workers = append $workers "worker-shadow" }}{{ end }}
{{- join "," $workers }}
{{- end }}

{{/* As in the image: no privilege, nothing to write to. */}}
{{- define "arrakis.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- if .ownsVolume }}
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
{{- end }}
{{- end }}
{{- define "arrakis.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
capabilities: {drop: [ALL]}
{{- end }}

{{/* Fields of every pod, with the grace period: the service's own grace period and time for its last requests. */}}
{{- define "arrakis.pod" -}}
serviceAccountName: {{ .account | default .component }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .grace | default 35 }}
securityContext:
  {{- include "arrakis.podSecurity" . | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "arrakis.selector" . | nindent 8 }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "arrakis.selector" . | nindent 8 }}
{{- end }}

{{/* Probes on the health endpoints. A dependency that is down makes a service unready, never restarted. */}}
{{- define "arrakis.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: health}
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: {path: /livez, port: health}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}

{{/* A Deployment that is scaled by CPU, where `scaling` enables it. */}}
{{- define "arrakis.cpuScaling" -}}
{{- if .scaling.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "arrakis.metadata" . | nindent 2 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ .component }}}
  minReplicas: {{ .scaling.minReplicas }}
  maxReplicas: {{ .scaling.maxReplicas }}
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: {{ .scaling.cpuPercent }}}}
  behavior:
    scaleDown: {stabilizationWindowSeconds: 300}
{{- end }}
{{- end }}

{{/* Rules of network policies. */}}
{{- define "arrakis.egressDns" -}}
- to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
  ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- end }}
{{- define "arrakis.egressTo" -}}
- to:
    {{- toYaml .peer.to | nindent 4 }}
  ports: [{protocol: TCP, port: {{ .peer.port }}}]
{{- end }}
{{- define "arrakis.egressDiscord" -}}
- to:
    - ipBlock:
        cidr: {{ .root.Values.network.discord.cidr }}
        except:
          {{- toYaml .root.Values.network.discord.except | nindent 10 }}
  ports: [{protocol: TCP, port: 443}]
{{- end }}
{{- define "arrakis.egressTraces" -}}
{{- with .root.Values.network.traces }}
- to:
    {{- toYaml . | nindent 4 }}
  ports: [{protocol: TCP, port: 4317}, {protocol: TCP, port: 4318}]
{{- end }}
{{- end }}
{{/* Who may connect to a component. An empty list of peers would admit everyone, so its rule is left out. */}}
{{- define "arrakis.ingressOf" -}}
{{- $network := .root.Values.network -}}
{{- $root := .root -}}
{{- $peers := list -}}
{{- $port := 0 -}}
{{- if eq .component "discord-proxy" }}
{{- $port = 8090 }}
{{- range append .workers "api" }}
{{- $peers = append $peers (dict "podSelector" (dict "matchLabels" (include "arrakis.selector" (dict "root" $root "component" .) | fromYaml))) }}
{{- end }}
{{- else if eq .component "interactions" }}
{{- $port = 8050 }}
{{- $peers = $network.ingress }}
{{- else if eq .component "api" }}
{{- $port = 8070 }}
{{- $peers = append $network.ingress (dict "podSelector" (dict "matchLabels" (include "arrakis.selector" (dict "root" $root "component" "telegram") | fromYaml))) }}
{{- else if and (eq .component "telegram") $root.Values.telegram.webhookUrl }}
{{- $port = 8060 }}
{{- $peers = $network.ingress }}
{{- end }}
{{- if not (has .component (list "ingestor" "operator")) }}
{{- with $network.monitoring }}
- from:
    {{- toYaml . | nindent 4 }}
  ports: [{protocol: TCP, port: 8080}]
{{- end }}
{{- with $peers }}
- from:
    {{- toYaml . | nindent 4 }}
  ports: [{protocol: TCP, port: {{ $port }}}]
{{- end }}
{{- end }}
{{- end }}
