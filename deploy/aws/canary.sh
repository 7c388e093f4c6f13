#!/usr/bin/env bash
# Raises the share of servers that the canary workers serve in an environment on AWS, and sets it back to 0 as soon as a threshold is crossed:
# `arrakis-worker canary drive` as a task, with the metrics of Amazon Managed Service for Prometheus. docs/safe-change.md has the procedure. Needs
# what deploy/aws/task.sh needs. Everything after the first two arguments is passed to `canary drive`.
#
#   deploy/aws/canary.sh staging stilgar --hold-seconds 600
#
# The task goes on when this script is interrupted. `deploy/aws/task.sh ENVIRONMENT operator canary set 0 …` ends it, and leaves the share at 0.
set -euo pipefail
if (($# < 2)); then
    echo "usage: deploy/aws/canary.sh ENVIRONMENT NAME [option of arrakis-worker canary drive]…" >&2
    exit 64
fi
environment=$1 name=$2
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. deploy/aws/sign-in.sh
prometheus=$(terraform -chdir="${TERRAFORM_FOLDER:-terraform/environments/$environment}" output -raw prometheus_operator_url)
ARRAKIS_WORKER="deploy/aws/task.sh $environment operator" exec deploy/canary.sh "$prometheus" "$name" "$@"
