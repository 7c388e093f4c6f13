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
[[ $arn == arn:* ]] || { echo "the task $name was not started: $arn" >&2 && exit 1; }
# The command waits for ten minutes; a drive of the canary or a large migration takes longer.
for ((attempt = 0; attempt < 12; attempt++)); do
    if aws ecs wait tasks-stopped --cluster "$cluster" --tasks "$arn"; then break; fi
done
log_group=$(jq --raw-output .log_group <<<"$task")
aws logs get-log-events --log-group-name "$log_group" --log-stream-name "$name/$name/${arn##*/}" --start-from-head --query 'events[].message' --output json |
    jq --raw-output '.[]' || echo "the log cannot be read: $log_group" >&2
exit_code=$(aws ecs describe-tasks --cluster "$cluster" --tasks "$arn" --query "tasks[0].containers[?name=='$name']|[0].exitCode" --output text)
if [[ $exit_code != 0 ]]; then
    echo "the task $name ended with $exit_code; its log is in $log_group" >&2
    # Without a number the container did not start: the reason is in `aws ecs describe-tasks`.
    if [[ $exit_code =~ ^[0-9]+$ ]]; then exit "$exit_code"; else exit 1; fi
fi
