#!/usr/bin/env bash
# Runs one of the tasks that end by themselves (database-logins, migrate, backup, operator), or a command about a proxy (discord-proxy-1), in an
# environment on AWS; waits for its end, prints its log, and ends with its exit code. Needs terraform, aws and jq; the folder of the environment is
# initialised.
#
#   deploy/aws/task.sh ENVIRONMENT TASK [ARGUMENT…]
#   deploy/aws/task.sh staging migrate
#   deploy/aws/task.sh staging operator kill-switch status
#   deploy/aws/task.sh staging discord-proxy-1 token status --address 10.20.1.7:8090
#
# Arguments replace the command of the task. The output stays in the log group for as long as its retention: not for what prints a secret.
set -euo pipefail
environment=${1:?usage: task.sh ENVIRONMENT TASK [ARGUMENT…]} name=${2:?usage: task.sh ENVIRONMENT TASK [ARGUMENT…]}
shift 2
# Without a command it would be a proxy that serves, and not end.
[[ $name != discord-proxy-* ]] || (($# > 0)) || { echo "usage: task.sh ENVIRONMENT $name token|limits status|clear --address IP:8090" >&2 && exit 64; }
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=${TERRAFORM_FOLDER:-terraform/environments/$environment}
cluster=arrakis-$environment
. deploy/aws/sign-in.sh

task=$(terraform -chdir="$folder" output -json one_off_tasks | jq --exit-status --arg name "$name" '.[$name]') ||
    { echo "there is no task $name: terraform output one_off_tasks" >&2 && exit 64; }
network=$(jq --compact-output '{awsvpcConfiguration: {subnets, securityGroups: [.security_group]}}' <<<"$task")
overrides=$(jq --null-input --compact-output --arg name "$name" '{containerOverrides: [{name: $name} + if $ARGS.positional == [] then {} else {command: $ARGS.positional} end]}' --args -- "$@")
arn=$(aws ecs run-task --cluster "$cluster" --launch-type FARGATE --task-definition "$(jq --raw-output .task_definition <<<"$task")" \
    --network-configuration "$network" --overrides "$overrides" --query 'tasks[0].taskArn' --output text)
[[ $arn == arn:* ]] ||
    { echo "the task $name was not started in $cluster, and ECS printed '$arn': no capacity, or a limit of the account (aws ecs run-task without --query prints failures)" >&2 && exit 1; }
log_group=$(jq --raw-output .log_group <<<"$task")
# The command waits for ten minutes; a drive of the canary or a large migration takes longer. It also ends when the credentials of a workflow have
# expired, after an hour, and when AWS does not respond.
status=''
for ((attempt = 0; attempt < 12; attempt++)); do
    if aws ecs wait tasks-stopped --cluster "$cluster" --tasks "$arn"; then
        status=STOPPED
        break
    fi
    sleep "${RETRY_SECONDS:-5}"
    . deploy/aws/sign-in.sh
done
if [[ $status != STOPPED ]]; then
    echo "the end of the task $name was not seen: it may still run, and goes on. Its state: aws ecs describe-tasks --cluster $cluster --tasks $arn; its log: $log_group;" \
        "it is ended by aws ecs stop-task --cluster $cluster --task $arn" >&2
    exit 1
fi
# Its last lines may arrive later than its end.
messages=''
for ((attempt = 0; attempt < 3; attempt++)); do
    if messages=$(aws logs get-log-events --log-group-name "$log_group" --log-stream-name "$name/$name/${arn##*/}" --start-from-head --query 'events[].message' --output json |
        jq --raw-output '.[]') && [[ -n $messages ]]; then break; fi
    sleep "${RETRY_SECONDS:-5}"
done
if [[ -n $messages ]]; then printf '%s\n' "$messages"; else echo "the log has no line, or cannot be read: $log_group" >&2; fi
exit_code=$(aws ecs describe-tasks --cluster "$cluster" --tasks "$arn" --query "tasks[0].containers[?name=='$name']|[0].exitCode" --output text)
if [[ $exit_code != 0 ]]; then
    echo "the task $name ended with $exit_code; its log is in $log_group" >&2
    # Without a number the container did not start: the reason is in `aws ecs describe-tasks`.
    if [[ $exit_code =~ ^[0-9]+$ ]]; then exit "$exit_code"; else exit 1; fi
fi
