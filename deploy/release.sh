#!/usr/bin/env bash
# Releases a build by canary: the new build goes to the canary workers, deploy/canary.sh raises their share of the servers by thresholds, and then
# the stable workers get it. The pipeline runs the phases one after the other (.github/workflows/deploy.yml); docs/safe-change.md explains them.
#
#   PROMETHEUS_URL=http://prometheus.monitoring.svc:9090 deploy/release.sh PLACE ENVIRONMENT IMAGES PHASE
#
# PLACE is kubernetes or aws; IMAGES is that of deploy/PLACE/deploy.sh. PHASE:
#
#   plan     records what runs, and prints canary=true, or canary=false where there is nothing to try: a first deployment, or workers whose image stays.
#            Refuses to begin while another canary serves, or a release of this machine has not ended
#   start    starts the canary workers with the new build. After `plan`, with the same IMAGES as every phase
#   drive    raises the share step by step. The exit code is 1 when a threshold was crossed; the share is 0 then
#   finish   deploys the new build to every service, sets the share to 0, and stops the canary workers. Only after a `drive` whose steps held, and
#            while nobody has set the share to 0
#   back     sets the share to 0, and deploys what `plan` has recorded. After a phase that failed or was interrupted. The exit code is 1 unless the
#            share is 0
#
# RELEASE_FOLDER (default target/release-state) has the record and the phase that was reached, so one machine runs all phases of a release.
# PROMETHEUS_URL is its address as operators' commands reach it (the pod of deploy/operator.sh); on AWS Terraform's output prometheus_operator_url unless
# it is set. CANARY_OPTIONS are options of `arrakis-worker canary drive`, such as --hold-seconds 600. RELEASED_BY is written to the audit log.
set -euo pipefail
usage() { echo "usage: deploy/release.sh kubernetes|aws ENVIRONMENT IMAGES plan|start|drive|finish|back" >&2 && exit 64; }
(($# == 4)) || usage
place=$1 environment=$2 images=$(realpath "$3") phase=$4
[[ $environment =~ ^[a-z0-9][a-z0-9-]*$ ]] || usage
case $phase in plan | start | drive | finish | back) ;; *) usage ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Commands of operators read standard input, which is a terminal where this script is run by hand.
exec </dev/null
by=${RELEASED_BY:-${GITHUB_ACTOR:-$(id -un)}}
retry_seconds=${RETRY_SECONDS:-5}

case $place in
kubernetes) operator=(deploy/operator.sh) ;;
aws)
    operator=(deploy/aws/task.sh "$environment" operator)
    # Amazon Managed Service for Prometheus, by the signing proxy of the task. The state of Terraform is read with the role of the workflow.
    if [[ -z ${PROMETHEUS_URL:-} && $phase == @(plan|drive) ]]; then
        . deploy/aws/sign-in.sh
        PROMETHEUS_URL=$(terraform -chdir="${TERRAFORM_FOLDER:-terraform/environments/$environment}" output -raw prometheus_operator_url)
    fi
    ;;
*) usage ;;
esac
deploy() { "deploy/$place/deploy.sh" "$environment" "$images" "$1"; }

# ---- the phase that was reached ------------------------------------------------------------------------------------------------

folder=${RELEASE_FOLDER:-target/release-state}
mkdir -p "$folder"
# planned, started, held or finishing, and the checksum of IMAGES. Without a release that has begun there is no such file.
reached_file=$folder/release-$place-$environment
checksum=$(sha256sum <"$images")
checksum=${checksum%% *}
reached=none reached_images=''
if [[ -s $reached_file ]]; then read -r reached reached_images <"$reached_file"; fi
reach() { # PHASE
    printf '%s %s\n' "$1" "$checksum" >"$reached_file.new"
    mv "$reached_file.new" "$reached_file"
}
# Ends the script unless the release is at one of these phases, with these IMAGES.
require() { # PHASE…
    if [[ " $* " != *" $reached "* ]]; then
        echo "$phase is refused: the release of $environment is at '$reached', and $phase follows '$*' ($reached_file)" >&2
        exit 1
    fi
    if [[ $reached_images != "$checksum" ]]; then
        echo "$phase is refused: $images is not the file with which the release of $environment has begun" >&2
        exit 1
    fi
}

# A second run at the same time would deploy between the steps of this one. What this script starts keeps the lock until it ends.
if command -v flock >/dev/null; then
    exec 9>"$reached_file.lock"
    flock --nonblock 9 || { echo "$phase is refused: another run of deploy/release.sh for $environment has not ended ($reached_file.lock)" >&2 && exit 1; }
fi
print_way_back() { echo "$phase ended with $1; the way back to what ran before: deploy/release.sh $place $environment $images back" >&2; }
name_way_back() {
    local code=$?
    if ((code == 0)); then return; fi
    case $phase in
    plan) echo "plan ended with $code; nothing was deployed" >&2 ;;
    start) if ((code == 75)); then echo "start ended with $code; nothing was deployed, and there is nothing to take back: plan comes first" >&2; else print_way_back "$code"; fi ;;
    back) echo "back ended with $code; repeat it, or do it by hand (docs/operations/rollback.md)" >&2 ;;
    *) print_way_back "$code" ;;
    esac
}
trap name_way_back EXIT

# ---- the share -----------------------------------------------------------------------------------------------------------------

# The share in percent, and whether a canary worker reports, as `canary status` has them: 0 false. On AWS other lines of the log are around it, and the
# output of a short command may be lost.
status() { # [ATTEMPTS]
    local attempts=${1:-3} output value
    while true; do
        output=$("${operator[@]}" canary status --json) || output=''
        value=$(jq --raw-input --raw-output \
            'fromjson? | select(type == "object" and (.percent | type) == "number" and (.is_served | type) == "boolean") | "\(.percent) \(.is_served)"' <<<"$output" | tail -n 1)
        if [[ -n $value ]]; then break; fi
        if ((--attempts <= 0)); then
            echo "the share of the canary cannot be read: '${operator[*]} canary status --json' printed no status: $output" >&2
            return 1
        fi
        sleep "$retry_seconds"
    done
    echo "$value"
}
set_share_to_zero() { # REASON
    # Of one attempt, so that a database or a cluster that hangs does not keep the deployment from going back.
    timeout --kill-after 10 "${SHARE_SECONDS:-300}" "${operator[@]}" canary set 0 --reason "$1" --by "$by"
}
# Sets the share to 0 until `canary status` has it: the answer of `canary set` may be lost after its effect, or before.
end_share() { # REASON
    local attempt found
    for attempt in 1 2 3; do
        if ((attempt > 1)); then sleep "$retry_seconds"; fi
        set_share_to_zero "$1" || true
        found=$(status 1) || continue
        if [[ $found == '0 '* ]]; then return; fi
    done
    echo "the share of the canary is not 0; set it: ${operator[*]} canary set 0 --reason WHY --by NAME" >&2
    return 1
}

# ---- phases --------------------------------------------------------------------------------------------------------------------

plan() {
    local workers found
    if [[ -z ${PROMETHEUS_URL:-} ]]; then
        echo "PROMETHEUS_URL is not set: without metrics no threshold can be checked. CANARY=off releases without a canary" >&2
        exit 64
    fi
    if [[ $reached != @(none|planned) ]]; then
        echo "a release of $environment has begun on this machine and not ended (it is at '$reached', $reached_file): end it by back or finish first" >&2
        exit 1
    fi
    rm -f "$reached_file"
    workers=$(deploy record)
    case $workers in
    first)
        echo "no canary: there are no workers yet" >&2
        echo canary=false
        return
        ;;
    changed | unchanged) ;;
    *)
        echo "what runs is unclear: deploy/$place/deploy.sh record printed '$workers' in place of first, changed or unchanged" >&2
        exit 1
        ;;
    esac
    found=$(status)
    if [[ $found != '0 false' ]]; then
        echo "another canary serves, or its share is not 0 (percent: ${found% *}, a canary worker reports: ${found#* }); end it first: '${operator[*]} canary set 0 --reason WHY --by NAME', and stop its workers" >&2
        exit 1
    fi
    # Only now: a share that an interrupted release has left would stay.
    if [[ $workers == unchanged ]]; then
        echo "no canary: the workers have this image already" >&2
        echo canary=false
        return
    fi
    reach planned
    echo canary=true
}

finish() {
    local found
    require held finishing
    if [[ $reached == held ]]; then
        found=$(status)
        # Somebody has stopped the canary since, or `drive` had no effect.
        if [[ $found == '0 '* ]]; then
            echo "the share of the canary is 0 although every step held: it was set back since ('${operator[*]} canary status' has the name and the reason)" >&2
            exit 1
        fi
        reach finishing
    fi
    # The canary serves until every stable worker has the build, so no server returns to the build before.
    deploy stable
    end_share released
    deploy all
    rm -f "$reached_file"
}

back() {
    local found
    if [[ $reached == planned ]]; then
        echo "nothing was started, so there is nothing to take back" >&2
        rm -f "$reached_file"
        return
    fi
    if [[ $reached == none ]]; then
        echo "no release of $environment has begun on this machine ($reached_file), so what ran before is unknown here: canary set 0, then docs/operations/rollback.md" >&2
        exit 1
    fi
    require started held finishing
    set_share_to_zero "release stopped" ||
        echo "the share could not be set to 0 yet; without canary workers the stable workers serve every server all the same" >&2
    deploy before
    # A drive that was interrupted may have gone on, and set its share after the first attempt.
    found=$(status 1) || found=unknown
    if [[ $found != '0 '* ]]; then end_share "release stopped"; fi
    # A worker that has just ended counts for four seconds.
    if [[ $found == *' true' ]]; then
        sleep "$retry_seconds"
        found=$(status)
    fi
    if [[ $found == *' true' ]]; then
        echo "canary workers still report, although what ran before is deployed: see what runs, and stop them (docs/safe-change.md, Back)" >&2
        exit 1
    fi
    rm -f "$reached_file"
}

case $phase in
plan) plan ;;
start)
    require planned
    reach started
    code=0
    deploy canary || code=$?
    # Somebody else has deployed since `plan`: nothing was started, and a `back` would undo that deployment.
    if ((code == 75)); then rm -f "$reached_file"; fi
    if ((code != 0)); then exit "$code"; fi
    ;;
drive)
    require started held
    reach started
    set -f
    # shellcheck disable=SC2086 # options are separated by spaces
    ARRAKIS_WORKER="${operator[*]}" deploy/canary.sh "${PROMETHEUS_URL:?}" "$by" ${CANARY_OPTIONS:-}
    reach held
    ;;
finish) finish ;;
back) back ;;
esac
