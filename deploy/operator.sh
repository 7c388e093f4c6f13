#!/usr/bin/env bash
# Runs a command of arrakis-worker in the cluster, as operators do: with the image and the variables of the workers, and the login of the database
# that spans tenants, which the workers have not. Needs kubectl with access to the namespace, and jq. The output and the exit code are those of the command,
# which gets SIGTERM when this script gets SIGINT, SIGTERM or SIGHUP.
#
#   deploy/operator.sh canary status
#   deploy/operator.sh canary drive --prometheus http://prometheus.monitoring.svc:9090 --by stilgar
#   deploy/operator.sh kill-switch on --reason "token leaked" --by stilgar
set -euo pipefail
(($# > 0)) || { echo "usage: deploy/operator.sh COMMAND [ARGUMENT…]; deploy/operator.sh --help lists the commands" >&2 && exit 64; }
namespace=${NAMESPACE:-arrakis}
kube() { kubectl --namespace "$namespace" "$@"; }

# The reference to the Secret is in the api's Deployment; values of secrets do not pass through here.
pod=$({
    kube get deployment/worker --output json
    kube get deployment/api --output json
} | jq --slurp --compact-output --args '
    .[0].spec.template as $worker |
    .[1].spec.template.spec.containers[0].env as $api |
    {
        metadata: {labels: ($worker.metadata.labels + {"app.kubernetes.io/name": "operator"} | del(.["pod-template-hash"]))},
        spec: ($worker.spec | del(.topologySpreadConstraints) + {
            restartPolicy: "Never",
            activeDeadlineSeconds: 14400,
            containers: [.containers[0] | {name: "operator", image, volumeMounts, securityContext, resources, stdin: true, tty: false,
                env: ([.env[] | select(.name != "WORKER_GROUP")] + [$api[] | select(.name == "DATABASE_ADMIN_URL")]),
                args: $ARGS.positional}]
        })
    }' -- "$@")
name=operator-$(date +%s)-$$
# A merge patch: its list of containers replaces the one of `kubectl run`, whose container has the name of the pod.
image=$(jq --raw-output '.spec.containers[0].image' <<<"$pod")
kubectl --namespace "$namespace" run "$name" --image "$image" --restart Never --rm --stdin --quiet --attach --pod-running-timeout 2m \
    --override-type merge --overrides "$pod" <&0 &
attached=$!
# kubectl that is ended by a signal leaves the pod, whose command would go on: `canary drive` would raise the share without a terminal. The command gets
# SIGTERM when the pod is deleted, and its last output is still printed.
# shellcheck disable=SC2317 # called by trap
end_pod() { # EXIT-CODE
    trap '' INT TERM HUP
    kube delete pod "$name" --ignore-not-found --timeout 60s >&2 ||
        echo "the pod $name cannot be deleted, so its command may go on: kubectl --namespace $namespace delete pod $name" >&2
    kill "$attached" 2>/dev/null || true
    wait "$attached" || true
    exit "$1"
}
trap 'end_pod 129' HUP
trap 'end_pod 130' INT
trap 'end_pod 143' TERM
code=0
wait "$attached" || code=$?
exit "$code"
