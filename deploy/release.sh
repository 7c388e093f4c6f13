#!/usr/bin/env bash
# Releases a build by canary: the new build goes to the canary workers, deploy/canary.sh raises their share of the servers by thresholds, and then
# the stable workers get it. The pipeline runs the phases one after the other (.github/workflows/deploy.yml); docs/safe-change.md explains them.
#
#   PROMETHEUS_URL=http://prometheus.monitoring.svc:9090 deploy/release.sh PLACE ENVIRONMENT IMAGES PHASE
#
# PLACE is kubernetes or aws; IMAGES is that of deploy/PLACE/deploy.sh. PHASE:
#
#   plan     records what runs, and prints canary=true, or canary=false where there is nothing to try: a first deployment, or workers whose image stays.
#            Refuses to begin while another canary serves
#   start    starts the canary workers with the new build
#   drive    raises the share step by step. The exit code is 1 when a threshold was crossed; the share is 0 then
#   finish   deploys the new build to every service, sets the share to 0, and stops the canary workers
#   back     sets the share to 0, and deploys what `plan` has recorded. After a phase that failed or was interrupted
#
# PROMETHEUS_URL is its address as operators' commands reach it (the pod of deploy/operator.sh); on AWS Terraform's output prometheus_operator_url unless
# it is set. CANARY_OPTIONS are options of `arrakis-worker canary drive`, such as --hold-seconds 600. RELEASED_BY is written to the audit log.
set -euo pipefail
usage() { echo "usage: deploy/release.sh kubernetes|aws ENVIRONMENT IMAGES plan|start|drive|finish|back" >&2 && exit 64; }
(($# == 4)) || usage
place=$1 environment=$2 images=$(realpath "$3") phase=$4
cd "$(dirname "${BASH_SOURCE[0]}")/.."
by=${RELEASED_BY:-${GITHUB_ACTOR:-$(id -un)}}

case $place in
kubernetes) operator=(deploy/operator.sh) ;;
aws)
    operator=(deploy/aws/task.sh "$environment" operator)
    # Amazon Managed Service for Prometheus, by the signing proxy of the task.
    if [[ -z ${PROMETHEUS_URL:-} && $phase == @(plan|drive) ]]; then
        PROMETHEUS_URL=$(terraform -chdir="${TERRAFORM_FOLDER:-terraform/environments/$environment}" output -raw prometheus_operator_url)
    fi
    ;;
*) usage ;;
esac
deploy() { "deploy/$place/deploy.sh" "$environment" "$images" "$1"; }

plan() {
    local workers status
    if [[ -z ${PROMETHEUS_URL:-} ]]; then
        echo "PROMETHEUS_URL is not set: without metrics no threshold can be checked. CANARY=off releases without a canary" >&2
        exit 64
    fi
    workers=$(deploy record)
    if [[ $workers != changed ]]; then
        echo "no canary: the workers are $workers" >&2
        echo canary=false
        return
    fi
    status=$("${operator[@]}" canary status --json)
    if [[ $status != *'"percent":0,'* || $status != *'"is_served":false'* ]]; then
        echo "another canary serves, or its share is not 0; end it first, by canary set 0 and without its workers: $status" >&2
        exit 1
    fi
    echo canary=true
}

case $phase in
plan) plan ;;
start) deploy canary ;;
drive)
    # shellcheck disable=SC2086 # options are separated by spaces
    ARRAKIS_WORKER="${operator[*]}" deploy/canary.sh "${PROMETHEUS_URL:?}" "$by" ${CANARY_OPTIONS:-}
    ;;
finish)
    # The canary serves until every stable worker has the build, so no server returns to the build before.
    deploy stable
    "${operator[@]}" canary set 0 --reason released --by "$by"
    deploy all
    ;;
back)
    "${operator[@]}" canary set 0 --reason "release stopped" --by "$by" ||
        echo "the share could not be set to 0; without canary workers the stable workers serve every server all the same" >&2
    deploy before
    ;;
*) usage ;;
esac
