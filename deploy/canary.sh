#!/bin/sh
# Raises the share of servers that the canary workers serve, 10, 50, 100 %, and sets it back to 0 as soon as a threshold is crossed.
# docs/safe-change.md has the procedure. Everything after the first two arguments is passed to `arrakis-worker canary drive`.
#
#   DATABASE_ADMIN_URL=… deploy/canary.sh https://prometheus.internal stilgar --hold-seconds 600
set -eu

if [ $# -lt 2 ]; then
    echo "usage: deploy/canary.sh PROMETHEUS_URL NAME [option of arrakis-worker canary drive]…" >&2
    exit 64
fi
prometheus=$1 name=$2
shift 2
# With arguments, separated by spaces, where a script runs the commands: deploy/operator.sh.
worker=${ARRAKIS_WORKER:-arrakis-worker}

# Without a canary worker every message would stay with the stable ones, and every threshold would hold.
# shellcheck disable=SC2086
case $($worker canary status --json) in
*'"is_served":true'*) ;;
*)
    echo "no canary worker serves: start workers of the new build with WORKER_GROUP=canary first" >&2
    exit 1
    ;;
esac
# shellcheck disable=SC2086
exec $worker canary drive --prometheus "$prometheus" --by "$name" "$@"
