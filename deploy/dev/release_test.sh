#!/usr/bin/env bash
# Tests deploy/release.sh and the scripts that it calls with stubs of helm, kubectl, terraform, aws and docker, which write what is called: the phases
# of a canary release in Kubernetes and on AWS, a threshold that is crossed, what begins no canary, phases that are killed and repeated, and programs
# that print nothing, print something else, or have no effect. `./dev deploy-check` runs it. Needs jq.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
fail() {
    echo "FAILED: $1" >&2
    cat "$work/output" "$work/errors" "$CALLS" >&2 || true
    exit 1
}

# What the operator's command answers, by its arguments.
cat >"$work/bin/answer" <<'STUB'
#!/usr/bin/env bash
case "$*" in
*'canary status'*)
    served=false
    if [[ -e $STATE/canary ]]; then served=true; fi
    # The output of the first ones is lost.
    lost=$(cat "$STATE/lost" 2>/dev/null || true)
    if ((${lost:-0} < ${LOST:-0})); then echo $((${lost:-0} + 1)) >"$STATE/lost" && exit; fi
    share=${PERCENT:-$(cat "$STATE/share" 2>/dev/null || echo 0)}
    status='{"percent":'$share',"reason":"r","is_served":'$served'}'
    echo "${STATUS:-$status}"
    ;;
*'canary drive'*)
    if [[ -z ${CROSSED:-} && -z ${NO_EFFECT:-} ]]; then echo 100 >"$STATE/share"; fi
    exit "${CROSSED:-0}"
    ;;
*'canary set'*)
    # Each word is what happens to one attempt: refused, without effect, or the answer is lost after the effect. Else it is set.
    at=$(cat "$STATE/sets" 2>/dev/null || echo 0)
    echo $((at + 1)) >"$STATE/sets"
    read -ra attempts <<<"${SETS:-}"
    case ${attempts[at]:-} in
    refused) exit 1 ;;
    no-effect) exit 0 ;;
    lost) echo 0 >"$STATE/share" && exit 1 ;;
    *) echo 0 >"$STATE/share" ;;
    esac
    ;;
esac
STUB
cat >"$work/bin/helm" <<'STUB'
#!/usr/bin/env bash
releases='[{"revision":"7","status":"deployed"}]'
values='{"image":{"digests":{"worker":"sha256:old","api":"sha256:api","discord-proxy":"sha256:old"}}}'
case "$*" in
list*) echo "${RELEASES:-$releases}" ;;
'get values'*) echo "${VALUES:-$values}" ;;
upgrade*)
    echo "helm upgrade" >>"$CALLS"
    if [[ -n ${UPGRADE_FAILS:-} ]]; then exit 1; fi
    while (($# > 0)); do
        if [[ $1 == --values ]]; then values=$2; fi
        shift
    done
    jq --compact-output '[.image.digests.worker, .image.digests["discord-proxy"], .image.digests.api, .migrate.digest, .worker.canary.digest]' "$values" |
        sed -E 's/sha256:0{60}(000.)/sha256:\1/g; s/:0001/:new/g; s/:0002/:migrate/g; s/:0003/:api2/g; s/:0004/:proxy/g' >>"$CALLS"
    rm -f "$STATE/canary"
    if jq --exit-status .worker.canary.enabled "$values" >/dev/null; then touch "$STATE/canary"; fi
    ;;
rollback*)
    echo "helm $*" >>"$CALLS"
    if [[ -z ${NO_ROLLBACK:-} ]]; then rm -f "$STATE/canary"; fi
    ;;
esac
STUB
cat >"$work/bin/kubectl" <<'STUB'
#!/usr/bin/env bash
case "$*" in
*'get deployment/worker'*) echo '{"spec":{"template":{"metadata":{"labels":{}},"spec":{"containers":[{"image":"worker","env":[]}]}}}}' ;;
*'get deployment/api'*) echo '{"spec":{"template":{"spec":{"containers":[{"env":[]}]}}}}' ;;
*' run '*)
    arguments=$(jq --raw-output '.spec.containers[0].args | join(" ")' <<<"${!#}")
    echo "operator $arguments" >>"$CALLS"
    # Until the pod is deleted.
    while [[ -n ${HANGS:-} && ! -e $STATE/deleted ]]; do sleep 0.1; done
    exec answer "$arguments"
    ;;
*'delete pod operator-'*)
    echo 'pod deleted' >>"$CALLS"
    touch "$STATE/deleted"
    ;;
esac
STUB
cat >"$work/bin/terraform" <<'STUB'
#!/usr/bin/env bash
echo "session ${AWS_SESSION_TOKEN:-}" >"$STATE/session"
# In a workflow nothing can be read without the role.
[[ -z ${AWS_ROLE_ARN:-} || -n ${AWS_SESSION_TOKEN:-} ]] || exit 1
if [[ $* == *'output -json' && -n ${NO_OUTPUTS:-} ]]; then exit; fi
outputs='{"image_tags": {"value": {"worker": "old", "api": "api", "discord-proxy": "old"}}}'
case "$*" in
*'output -json') echo "${OUTPUTS:-$outputs}" ;;
*repository_urls) echo '{"api": "r/api", "worker": "r/worker", "discord-proxy": "r/discord-proxy"}' ;;
*registry_url) echo r ;;
*prometheus_operator_url) echo http://127.0.0.1:8005/workspaces/ws ;;
*one_off_tasks) echo '{"migrate": {"task_definition": "m", "subnets": [], "security_group": "s", "log_group": "l"}, "operator": {"task_definition": "o", "subnets": [], "security_group": "s", "log_group": "l"}}' ;;
*apply*)
    if [[ $* == *-target* ]]; then
        # Until the migration is done, the services have the tags that run.
        [[ $(jq --raw-output '[.image_tags.worker, .migrate_image_tag] | join(" ")' "$TERRAFORM_FOLDER/images.auto.tfvars.json") == 'old new' ]] || exit 1
    else
        jq --compact-output '[.image_tags.worker, .image_tags["discord-proxy"], .image_tags.api, .migrate_image_tag, .canary_image_tag, .canary_tasks]' \
            "$TERRAFORM_FOLDER/images.auto.tfvars.json" >>"$CALLS"
        rm -f "$STATE/canary"
        if jq --exit-status '.canary_tasks > 0' "$TERRAFORM_FOLDER/images.auto.tfvars.json" >/dev/null; then touch "$STATE/canary"; fi
    fi
    ;;
esac
STUB
cat >"$work/bin/aws" <<'STUB'
#!/usr/bin/env bash
case "$*" in
*assume-role-with-web-identity*)
    [[ $* == *'--role-arn arn:role '*'--web-identity-token file://'* && $* != *token-of-github* ]] || exit 1
    all=$*
    file=${all##*file://}
    [[ $(<"${file%% *}") == token-of-github ]] || exit 1
    echo '{"AccessKeyId": "a", "SecretAccessKey": "s", "SessionToken": "t"}'
    ;;
*run-task*)
    for argument in "$@"; do
        if [[ $argument == '{"containerOverrides'* ]]; then overrides=$argument; fi
    done
    arguments=$(jq --raw-output '.containerOverrides[0] | [.name] + (.command // []) | join(" ")' <<<"$overrides")
    echo "$arguments" >>"$CALLS"
    code=0
    answer "$arguments" >"$STATE/log" || code=$?
    echo "$code" >"$STATE/code"
    rm -f "$STATE/reads"
    echo "${TASK:-arn:aws:ecs:task/1}"
    ;;
*'wait tasks-stopped'*) exit "${WAIT:-0}" ;;
*get-log-events*)
    # The lines arrive late.
    if [[ -n ${LATE_LOG:-} && ! -e $STATE/reads ]]; then touch "$STATE/reads" && echo '[]' && exit; fi
    jq --raw-input --slurp 'split("\n") | map(select(. != ""))' "$STATE/log"
    ;;
*describe-tasks*) cat "$STATE/code" ;;
*list-services*) printf '%s\n' "${SERVICES:-arn:service/arrakis-production-worker	arn:service/arrakis-production-worker-canary}" ;;
*describe-services*)
    all=$*
    name=${all##*arrakis-production-}
    printf '%s\t%s\n' "${ROLLOUT:-COMPLETED}" "definition-${name%% *}"
    ;;
*describe-task-definition*)
    field=.image_tags.worker
    if [[ $* == *definition-worker-canary* ]]; then field=.canary_image_tag; fi
    tag=$(jq --raw-output "$field" "$TERRAFORM_FOLDER/images.auto.tfvars.json")
    # ECS has returned to the earlier image.
    if [[ $* == *"definition-${RETURNED:-none} "* ]]; then tag=old; fi
    echo "[\"r/worker:$tag\", \"public/collector@sha256:0\"]"
    ;;
esac
STUB
printf '#!/bin/sh\n' >"$work/bin/docker"
cat >"$work/bin/curl" <<'STUB'
#!/bin/sh
case "$* $(cat)" in *--config\ -*'https://github.example/token?a=b&audience=sts.amazonaws.com'*'bearer request-token"') echo '{"value": "token-of-github"}' ;; *) exit 22 ;; esac
STUB
chmod +x "$work"/bin/*
cat >"$work/images.json" <<'JSON'
{"worker": {"image": "g/worker", "digest": "sha256:1", "tag": "new"}, "migrate": {"image": "g/migrate", "digest": "sha256:2", "tag": "migrate"},
 "api": {"image": "g/api", "digest": "sha256:3", "tag": "api2"}, "discord-proxy": {"image": "g/proxy", "digest": "sha256:4", "tag": "proxy"},
 "ingestor": {"image": "g/ingestor", "digest": "sha256:5", "tag": "ingestor"}}
JSON
# Digests of 64 digits; helm's stub shortens them.
sed -E -i "s/sha256:([0-9])/sha256:$(printf '%063d' 0)\1/g" "$work/images.json"
new=$(jq --raw-output .worker.digest "$work/images.json")
export CALLS=$work/calls STATE=$work/state PATH=$work/bin:$PATH PROMETHEUS_URL=http://prometheus:9090 RELEASED_BY=test CANARY_OPTIONS='--hold-seconds 60'
export TERRAFORM_FOLDER=$work RELEASE_FOLDER=$work/state RETRY_SECONDS=0
unset AWS_ROLE_ARN AWS_SESSION_TOKEN
# A release from the beginning, with variables of the stubs.
begin() {
    rm -rf "$STATE"
    mkdir "$STATE"
    : >"$CALLS"
}
release() { # PHASE [VARIABLE=VALUE…]
    local phase=$1
    shift
    env "$@" "$root/deploy/release.sh" "$place" production "${images:-$work/images.json}" "$phase" >"$work/output" 2>"$work/errors"
}
expect_calls() { # WHAT CALLS
    [[ $(<"$CALLS") == "$2" ]] || fail "$place: $1; expected: $2"
    : >"$CALLS"
}
expect_plan() { # WHAT PLAN [VARIABLE=VALUE…]
    local what=$1 wanted=$2
    shift 2
    begin
    release plan "$@" || fail "$place: $what"
    [[ $(<"$work/output") == "$wanted" ]] || fail "$place: $what is not $wanted"
}
expect_refused() { # WHAT PHASE [VARIABLE=VALUE…]
    local what=$1
    shift
    if release "$@"; then fail "$place: $what is accepted"; fi
}
expect_message() { # PATTERN
    grep --quiet -- "$1" "$work/errors" || fail "$place: the message lacks '$1'"
}
# The phases of a release, without their calls. They are run once, and what they have left is kept for the next time.
release_phases() { # PHASE…
    local phase kept="$work/kept-$place-$*"
    begin
    if [[ -e $kept ]]; then
        cp -r "$kept/." "$STATE"
        return
    fi
    for phase in "$@"; do release "$phase" || fail "$place: $phase"; done
    : >"$CALLS"
    cp -r "$STATE" "$kept"
}
release_to_held() { release_phases plan start drive; }

drive='canary drive --prometheus http://prometheus:9090 --by test --hold-seconds 60'
place=kubernetes
expect_plan 'a new build of the workers' canary=true
: >"$CALLS"
release start || fail 'the start'
# The image of worker, discord-proxy and api; of the migration; of the canary workers.
expect_calls 'the start' 'helm upgrade
["sha256:old","sha256:proxy","sha256:api","sha256:migrate","sha256:new"]'
release drive || fail 'the drive'
expect_calls 'the drive' "operator canary status --json
operator $drive"
release finish || fail 'the end'
expect_calls 'the end' 'operator canary status --json
helm upgrade
["sha256:new","sha256:proxy","sha256:api2",null,"sha256:new"]
operator canary set 0 --reason released --by test
operator canary status --json
helm upgrade
["sha256:new","sha256:proxy","sha256:api2",null,null]'

expect_plan 'a release whose threshold is crossed' canary=true
release start || fail 'the start'
: >"$CALLS"
expect_refused 'a threshold that is crossed' drive CROSSED=1
: >"$CALLS"
release back SETS=refused || fail 'the way back without a database at first'
expect_calls 'the way back' 'operator canary set 0 --reason release stopped --by test
helm rollback arrakis 7 --namespace arrakis --wait --timeout 15m --history-max 10
operator canary status --json'
expect_refused 'a second way back, whose record is used' back
expect_calls 'a second way back' ''
# Without a canary worker there is nothing to drive.
release_to_held
rm "$STATE/canary"
expect_refused 'a drive without canary workers' drive
expect_message 'no canary worker serves'

expect_plan 'a first deployment' canary=false RELEASES='[]'
expect_plan 'workers whose image stays' canary=false VALUES="{\"image\":{\"digests\":{\"worker\":\"$new\"}}}"
expect_refused 'a share that an interrupted release has left, with its image' plan VALUES="{\"image\":{\"digests\":{\"worker\":\"$new\"}}}" PERCENT=100
# A service that is new.
expect_plan 'a release without the api' canary=true VALUES='{"image":{"digests":{"worker":"sha256:old"}}}'
: >"$CALLS"
release start || fail 'the start beside a release without the api'
expect_calls 'a release without the api' 'helm upgrade
["sha256:old","sha256:proxy","sha256:api2","sha256:migrate","sha256:new"]'
expect_plan 'a release by a tag' canary=true VALUES='{"image":{"tag":"1.0.0"}}'
: >"$CALLS"
release start || fail 'the start beside a release by a tag'
expect_calls 'a release by a tag' 'helm upgrade
[null,"sha256:proxy",null,"sha256:migrate","sha256:new"]'
expect_plan 'an empty tag beside digests' canary=true VALUES='{"image":{"tag":"","digests":{"worker":"sha256:old"}}}'
begin
expect_refused 'unknown images' plan VALUES='{}'
expect_refused 'a start after a plan that was refused' start
[[ ! -s $STATE/kubernetes-production.json ]] || fail 'a plan that was refused leaves a record'
expect_refused 'a release that failed' plan RELEASES='[{"revision":"7","status":"pending-upgrade"}]'
expect_refused 'the share of another canary' plan PERCENT=10
expect_refused 'a plan without Prometheus' plan PROMETHEUS_URL=
touch "$STATE/canary"
expect_refused 'canary workers of somebody else' plan
begin
expect_refused 'a start without a plan' start
expect_refused 'a way back without a release' back
expect_calls 'a way back without a release' ''

# A share that stays above 0: without effect, without an answer, and answers that were lost after the effect.
release_to_held
release finish SETS='no-effect refused' || fail 'the end after two attempts'
[[ $(<"$STATE/share") == 0 && $(grep --count 'canary set' "$CALLS") == 3 ]] || fail 'the share is not set again'
release_to_held
release finish SETS=lost || fail 'the end with a lost answer'
[[ $(grep --count 'canary set' "$CALLS") == 1 ]] || fail 'a share that is 0 is set again'
release_to_held
expect_refused 'an end with a share above 0' finish SETS='refused refused refused'
expect_message 'canary set 0 --reason WHY'
expect_message 'production .*images.json back'
[[ -e $STATE/canary ]] || fail 'the canary workers were stopped with a share above 0'
release finish || fail 'a repeated end'
release_to_held
expect_refused 'a way back with a share above 0' back SETS='refused refused refused refused'
expect_message 'the share of the canary is not 0'
[[ ! -e $STATE/canary ]] || fail 'the canary workers stay when the share cannot be set'
release back || fail 'a repeated way back'
[[ $(<"$STATE/share") == 0 ]] || fail 'a repeated way back leaves the share'
release_phases plan start
expect_refused 'a way back without effect' back NO_ROLLBACK=1
expect_message 'canary workers still report'
release back || fail 'a repeated way back after one without effect'

# Somebody has set the share to 0, or the drive had no effect.
release_to_held
echo 0 >"$STATE/share"
expect_refused 'an end after somebody has set the share to 0' finish
expect_calls 'an end after somebody has set the share to 0' 'operator canary status --json'
release_phases plan start
release drive NO_EFFECT=1 || fail 'a drive without effect'
expect_refused 'an end after a drive without effect' finish

# Phases in another order, with other images, at the same time, and after one that was killed.
release_phases plan
expect_refused 'a drive before the start' drive
expect_refused 'an end before the start' finish
release start || fail 'the start'
expect_refused 'an end before the drive' finish
expect_refused 'a plan in a release that has begun' plan
[[ -s $STATE/kubernetes-production.json ]] || fail 'a plan that was refused removes the record of a release that has begun'
expect_refused 'an end after a threshold was crossed' drive CROSSED=1
expect_refused 'an end after a threshold was crossed' finish
release back || fail 'the way back'
release_to_held
jq '.api.tag = "other"' "$work/images.json" >"$work/others.json"
images=$work/others.json expect_refused 'an end with other images' finish
expect_calls 'an end with other images' ''
release_to_held
expect_refused 'an upgrade that fails' finish UPGRADE_FAILS=1
: >"$CALLS"
release back || fail 'the way back after an upgrade that failed'
[[ $(<"$CALLS") == *'helm rollback arrakis 7 '* ]] || fail 'nothing is brought back'
release_phases plan
expect_refused 'a start after another deployment' start RELEASES='[{"revision":"8","status":"deployed"}]'
release_phases plan
expect_refused 'a start in another deployment' start RELEASES='[{"revision":"7","status":"pending-upgrade"}]'
expect_refused 'a way back that would undo another deployment' back
expect_calls 'a start after another deployment' ''
if command -v flock >/dev/null; then
    begin
    exec 8>"$STATE/release-kubernetes-production.lock"
    flock 8
    expect_refused 'a second release at the same time' plan
    expect_message 'another run'
    exec 8>&-
fi

# A command whose script gets a signal: its pod is deleted, and does not go on.
begin
HANGS=1 "$root/deploy/operator.sh" canary drive >"$work/output" 2>"$work/errors" &
script=$!
until [[ -s $CALLS ]]; do sleep 0.1; done
kill -TERM "$script"
code=0
wait "$script" || code=$?
[[ $code == 143 ]] || fail "an operator's command that gets SIGTERM ends with $code"
expect_calls 'an operator command that gets SIGTERM' 'operator canary drive
pod deleted'
code=0
CROSSED=3 "$root/deploy/operator.sh" canary drive >"$work/output" 2>"$work/errors" || code=$?
[[ $code == 3 ]] || fail "the exit code 3 of an operator's command is $code"

# Programs that print nothing or something else.
expect_plan 'a status that is printed at the third attempt' canary=true LOST=2
begin
expect_refused 'a status without output' plan LOST=3
expect_message 'cannot be read'
for text in '{}' 'error: timed out' '{"percent":"0","is_served":false}' '{"percent":null,"is_served":null}'; do
    expect_refused "a status that is '$text'" plan STATUS="$text"
    expect_message 'cannot be read'
done
expect_refused 'a list of releases without output' plan RELEASES=' '
release_phases plan start
expect_refused 'a drive whose status is not printed' drive LOST=3
expect_message 'the share was not changed'

# Images without digests, which the chart would replace by the tag of its version.
# shellcheck disable=SC2016 # a tag that is a command
for change in '.' 'del(.worker)' '.api.digest = null' '.api.digest = "latest"' '.api.tag = "$(id)"' '[]'; do
    jq "$change" "$work/images.json" >"$work/others.json"
    if [[ $change == . ]]; then : >"$work/others.json"; fi
    : >"$CALLS"
    if "$root/deploy/kubernetes/deploy.sh" production "$work/others.json" all >"$work/output" 2>"$work/errors"; then fail "images by '$change' are deployed"; fi
    expect_calls "images by '$change'" ''
    if "$root/deploy/aws/deploy.sh" production "$work/others.json" all >"$work/output" 2>"$work/errors"; then fail "images by '$change' are deployed on AWS"; fi
    expect_calls "images by '$change' on AWS" ''
done

place=aws
unset PROMETHEUS_URL
drive='canary drive --prometheus http://127.0.0.1:8005/workspaces/ws --by test --hold-seconds 60'
expect_plan 'a new build of the workers' canary=true
: >"$CALLS"
release start || fail 'the start'
# The tag of worker, discord-proxy and api; of the migration; of the canary workers, and their number.
expect_calls 'the start' 'migrate
["old","proxy","api","new","new",2]'
release drive || fail 'the drive'
expect_calls 'the drive' "operator canary status --json
operator $drive"
release finish || fail 'the end'
expect_calls 'the end' 'operator canary status --json
migrate
["new","proxy","api2",null,"new",2]
operator canary set 0 --reason released --by test
operator canary status --json
migrate
["new","proxy","api2",null,null,null]'
expect_plan 'a release whose threshold is crossed' canary=true
release start || fail 'the start'
expect_refused 'a threshold that is crossed' drive CROSSED=1
: >"$CALLS"
release back || fail 'the way back'
expect_calls 'the way back' 'operator canary set 0 --reason release stopped --by test
["old","old","api","new",null,null]
operator canary status --json'
expect_plan 'a first deployment' canary=false OUTPUTS='{}'
expect_plan 'workers whose image stays' canary=false OUTPUTS='{"image_tags": {"value": {"worker": "new"}}}'
begin
expect_refused 'the share of another canary' plan PERCENT=10
begin
expect_refused 'a start without a plan' start
expect_refused 'an unknown phase' begin
expect_refused 'outputs that are not printed' plan NO_OUTPUTS=1
release_phases plan
expect_refused 'a start after another deployment' start OUTPUTS='{"image_tags": {"value": {"worker": "other"}}}'
expect_calls 'a start after another deployment' ''

# ECS that returns to the earlier image completes its rollout, too.
release_to_held
expect_refused 'workers that return to the earlier image' finish RETURNED=worker
expect_message 'arrakis-production-worker: ECS runs another image'
expect_plan 'a plan' canary=true
expect_refused 'canary workers that return to the earlier image' start RETURNED=worker-canary
expect_message 'arrakis-production-worker-canary: ECS runs another image'
expect_plan 'a plan' canary=true
expect_refused 'a rollout that failed' start ROLLOUT=FAILED
expect_plan 'a plan' canary=true
expect_refused 'a cluster without services' start SERVICES=None

# Tasks: lines of the log that arrive late, a task that was not started, one whose end is not seen.
expect_plan 'a status whose lines arrive late' canary=true LATE_LOG=1
begin
if TASK=None "$root/deploy/aws/task.sh" production operator canary status >"$work/output" 2>"$work/errors"; then fail 'a task that is not started'; fi
expect_message 'was not started'
if WAIT=255 "$root/deploy/aws/task.sh" production operator canary status >"$work/output" 2>"$work/errors"; then fail 'a task whose end is not seen'; fi
expect_message 'may still run'
# By hand, as the pipeline does.
begin
touch "$STATE/canary"
: >"$CALLS"
"$root/deploy/aws/canary.sh" production test --hold-seconds 60 >"$work/output" 2>"$work/errors" || fail 'a drive by hand'
expect_calls 'a drive by hand' "operator canary status --json
operator $drive"

# In a workflow of GitHub each script has a session of its own.
github=(AWS_ROLE_ARN=arn:role ACTIONS_ID_TOKEN_REQUEST_TOKEN=request-token 'ACTIONS_ID_TOKEN_REQUEST_URL=https://github.example/token?a=b')
expect_plan 'a release in a workflow' canary=true "${github[@]}"
[[ $(<"$STATE/session") == 'session t' ]] || fail 'the role is not assumed'
begin
expect_refused 'a role that cannot be assumed' plan "${github[@]}" AWS_ROLE_ARN=arn:other
expect_message 'id-token: write'
expect_plan 'a release by hand' canary=true
[[ $(<"$STATE/session") == 'session ' ]] || fail 'a role is assumed outside of a workflow'
echo 'release: all tests passed'
