#!/usr/bin/env bash
# Tests deploy/release.sh and the scripts that it calls with stubs of helm, kubectl, terraform, aws and docker, which write what is called: the phases
# of a canary release in Kubernetes and on AWS, a threshold that is crossed, and what begins no canary. `./dev deploy-check` runs it. Needs jq.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
fail() {
    echo "FAILED: $1" >&2
    cat "$work/output" "$CALLS" >&2 || true
    exit 1
}

# What the operator's command answers, by its arguments.
cat >"$work/bin/answer" <<'STUB'
#!/usr/bin/env bash
case "$*" in
*'canary status'*)
    served=false
    if [[ -e $STATE/canary ]]; then served=true; fi
    echo "{\"percent\":${PERCENT:-0},\"reason\":\"r\",\"is_served\":$served}"
    ;;
*'canary drive'*) exit "${CROSSED:-0}" ;;
*'canary set'*) exit "${SHARE_IS_REFUSED:-0}" ;;
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
    while (($# > 0)); do
        if [[ $1 == --values ]]; then values=$2; fi
        shift
    done
    jq --compact-output '[.image.digests.worker, .image.digests["discord-proxy"], .image.digests.api, .migrate.digest, .worker.canary.digest]' "$values" >>"$CALLS"
    rm -f "$STATE/canary"
    if jq --exit-status .worker.canary.enabled "$values" >/dev/null; then touch "$STATE/canary"; fi
    ;;
rollback*)
    echo "helm $*" >>"$CALLS"
    rm -f "$STATE/canary"
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
    exec answer "$arguments"
    ;;
esac
STUB
cat >"$work/bin/terraform" <<'STUB'
#!/usr/bin/env bash
echo "session ${AWS_SESSION_TOKEN:-}" >"$STATE/session"
outputs='{"image_tags": {"value": {"worker": "old", "api": "api", "discord-proxy": "old"}}}'
case "$*" in
*'output -json') echo "${OUTPUTS:-$outputs}" ;;
*repository_urls) echo '{"api": "r/api", "worker": "r/worker", "discord-proxy": "r/discord-proxy"}' ;;
*registry_url) echo r ;;
*prometheus_operator_url) echo http://127.0.0.1:8005/workspaces/ws ;;
*one_off_tasks) echo '{"migrate": {"task_definition": "m", "subnets": [], "security_group": "s", "log_group": "l"}, "operator": {"task_definition": "o", "subnets": [], "security_group": "s", "log_group": "l"}}' ;;
*apply*)
    [[ $* == *-target* ]] || {
        jq --compact-output '[.image_tags.worker, .image_tags["discord-proxy"], .image_tags.api, .migrate_image_tag, .canary_image_tag, .canary_tasks]' \
            "$TERRAFORM_FOLDER/images.auto.tfvars.json" >>"$CALLS"
        rm -f "$STATE/canary"
        if jq --exit-status '.canary_tasks > 0' "$TERRAFORM_FOLDER/images.auto.tfvars.json" >/dev/null; then touch "$STATE/canary"; fi
    }
    ;;
esac
STUB
cat >"$work/bin/aws" <<'STUB'
#!/usr/bin/env bash
case "$*" in
*assume-role-with-web-identity*)
    [[ $* == *'--role-arn arn:role '*'--web-identity-token token-of-github '* ]] || exit 1
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
    echo arn:aws:ecs:task/1
    ;;
*get-log-events*) jq --raw-input --slurp 'split("\n") | map(select(. != ""))' "$STATE/log" ;;
*describe-tasks*) cat "$STATE/code" ;;
*list-services*) echo arn:service/worker ;;
*describe-services*) echo COMPLETED ;;
esac
STUB
printf '#!/bin/sh\n' >"$work/bin/docker"
cat >"$work/bin/curl" <<'STUB'
#!/bin/sh
case "$*" in *'bearer request-token'*'https://github.example/token?a=b&audience=sts.amazonaws.com') echo '{"value": "token-of-github"}' ;; *) exit 22 ;; esac
STUB
chmod +x "$work"/bin/*
cat >"$work/images.json" <<'JSON'
{"worker": {"image": "g/worker", "digest": "sha256:new", "tag": "new"}, "migrate": {"image": "g/migrate", "digest": "sha256:migrate", "tag": "migrate"},
 "api": {"image": "g/api", "digest": "sha256:api2", "tag": "api2"}, "discord-proxy": {"image": "g/proxy", "digest": "sha256:proxy", "tag": "proxy"}}
JSON
export CALLS=$work/calls STATE=$work/state PATH=$work/bin:$PATH PROMETHEUS_URL=http://prometheus:9090 RELEASED_BY=test CANARY_OPTIONS='--hold-seconds 60'
export TERRAFORM_FOLDER=$work RELEASE_FOLDER=$work/state
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
    env "$@" "$root/deploy/release.sh" "$place" production "$work/images.json" "$phase" >"$work/output" 2>"$work/errors" || { cat "$work/errors" >>"$work/output" && return 1; }
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
expect_calls 'the end' 'helm upgrade
["sha256:new","sha256:proxy","sha256:api2",null,"sha256:new"]
operator canary set 0 --reason released --by test
helm upgrade
["sha256:new","sha256:proxy","sha256:api2",null,null]'

expect_plan 'a release whose threshold is crossed' canary=true
release start || fail 'the start'
: >"$CALLS"
expect_refused 'a threshold that is crossed' drive CROSSED=1
: >"$CALLS"
release back SHARE_IS_REFUSED=1 || fail 'the way back without a database'
expect_calls 'the way back' 'operator canary set 0 --reason release stopped --by test
helm rollback arrakis 7 --namespace arrakis --wait --timeout 15m --history-max 10'
# Without a canary worker there is nothing to drive.
expect_refused 'a drive without canary workers' drive

expect_plan 'a first deployment' canary=false RELEASES='[]'
expect_plan 'workers whose image stays' canary=false VALUES='{"image":{"digests":{"worker":"sha256:new"}}}'
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
begin
expect_refused 'unknown images' plan VALUES='{}'
expect_refused 'a release that failed' plan RELEASES='[{"revision":"7","status":"pending-upgrade"}]'
expect_refused 'the share of another canary' plan PERCENT=10
expect_refused 'a plan without Prometheus' plan PROMETHEUS_URL=
touch "$STATE/canary"
expect_refused 'canary workers of somebody else' plan
begin
expect_refused 'a start without a plan' start

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
expect_calls 'the end' 'migrate
["new","proxy","api2",null,"new",2]
operator canary set 0 --reason released --by test
migrate
["new","proxy","api2",null,null,null]'
expect_plan 'a release whose threshold is crossed' canary=true
release start || fail 'the start'
expect_refused 'a threshold that is crossed' drive CROSSED=1
: >"$CALLS"
release back || fail 'the way back'
expect_calls 'the way back' 'operator canary set 0 --reason release stopped --by test
["old","old","api","new",null,null]'
expect_plan 'a first deployment' canary=false OUTPUTS='{}'
expect_plan 'workers whose image stays' canary=false OUTPUTS='{"image_tags": {"value": {"worker": "new"}}}'
begin
expect_refused 'the share of another canary' plan PERCENT=10
begin
expect_refused 'a start without a plan' start
expect_refused 'an unknown phase' begin

# In a workflow of GitHub each script has a session of its own.
github=(AWS_ROLE_ARN=arn:role ACTIONS_ID_TOKEN_REQUEST_TOKEN=request-token 'ACTIONS_ID_TOKEN_REQUEST_URL=https://github.example/token?a=b')
expect_plan 'a release in a workflow' canary=true "${github[@]}"
[[ $(<"$STATE/session") == 'session t' ]] || fail 'the role is not assumed'
expect_refused 'a role that cannot be assumed' plan "${github[@]}" AWS_ROLE_ARN=arn:other
expect_plan 'a release by hand' canary=true
[[ $(<"$STATE/session") == 'session ' ]] || fail 'a role is assumed outside of a workflow'
echo 'release: all tests passed'
