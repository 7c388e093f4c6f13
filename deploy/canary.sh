#!/bin/sh
# Raises the share of servers that the canary workers serve, 10, 50, 100 %, and sets it back to 0 as soon as a threshold is crossed.
# docs/safe-change.md has the procedure. Everything after the first two arguments is passed to `arrakis-worker canary drive`.
#
#   DATABASE_ADMIN_URL=… deploy/canary.sh https://prometheus.internal stilgar --hold-seconds 600
set -euf

if [ $# -lt 2 ]; then
    echo "usage: deploy/canary.sh PROMETHEUS_URL NAME [option of arrakis-worker canary drive]…" >&2
    exit 64
fi
prometheus=$1 name=$2
shift 2
# With arguments, separated by spaces, where a script runs the commands: deploy/operator.sh.
worker=${ARRAKIS_WORKER:-arrakis-worker}

# Without a canary worker every message would stay with the stable ones, and every threshold would hold. The output of a short command in a pod or a
# task may be lost, so it is read again.
attempt=1
while true; do
    # shellcheck disable=SC2086
    status=$($worker canary status --json) || status=''
    case $status in
    *'"is_served":true'*) break ;;
    *'"is_served":false'*)
        echo "no canary worker serves: start workers of the new build first, with WORKER_GROUP=canary (worker.canary in the chart, canary_tasks on AWS)" >&2
        exit 1
        ;;
    esac
    if [ "$attempt" -ge 3 ]; then
        echo "whether a canary worker serves cannot be read, and the share was not changed: '$worker canary status --json' printed no status: $status" >&2
        exit 1
    fi
    attempt=$((attempt + 1))
    sleep "${RETRY_SECONDS:-5}"
done
# shellcheck disable=SC2086
exec $worker canary drive --prometheus "$prometheus" --by "$name" "$@"
