#!/usr/bin/env bash
# Deploys images to an environment on AWS: copies those that are new to its registry, migrates the database, and applies the environment's
# Terraform with their tags. A service whose image did not change keeps its tag, so its tasks are not replaced. Needs terraform, aws, docker
# with buildx, and jq; the folder of the environment is initialised.
#
#   deploy/aws/deploy.sh ENVIRONMENT IMAGES
#
# IMAGES is JSON: {"worker": {"image": "ghcr.io/…/arrakis-worker", "digest": "sha256:…", "tag": "tree-…"}, …}
set -euo pipefail
environment=${1:?usage: deploy.sh ENVIRONMENT IMAGES} images=${2:?usage: deploy.sh ENVIRONMENT IMAGES}
images=$(realpath "$images")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=${TERRAFORM_FOLDER:-terraform/environments/$environment}
cluster=arrakis-$environment

in_environment() { terraform -chdir="$folder" "$@"; }
# A field of a service in IMAGES.
of() { jq --exit-status --raw-output --arg service "$1" --arg field "$2" '.[$service][$field]' "$images"; }

# ---- images ------------------------------------------------------------------------------------------------------------------

repositories=$(in_environment output -json repository_urls)
registry=$(in_environment output -raw registry_url)
aws ecr get-login-password | docker login --username AWS --password-stdin "$registry"
tags='{}'
for service in $(jq --raw-output 'keys[]' <<<"$repositories"); do
    tag=$(of "$service" tag)
    tags=$(jq --arg service "$service" --arg tag "$tag" '.[$service] = $tag' <<<"$tags")
    # Tags of the registry are immutable, and this one names the content.
    if aws ecr describe-images --repository-name "arrakis-$environment-$service" --image-ids imageTag="$tag" >/dev/null 2>&1; then
        echo "$service: unchanged ($tag)"
        continue
    fi
    echo "$service: copying $tag"
    docker buildx imagetools create --tag "$(jq --raw-output --arg service "$service" '.[$service]' <<<"$repositories"):$tag" \
        "$(of "$service" image)@$(of "$service" digest)"
done
# Only of this checkout. Whoever applies elsewhere reads the tags from the state first: terraform output image_tags (terraform/README.md).
jq '{image_tags: .}' <<<"$tags" >"$folder/images.auto.tfvars.json"

# ---- database, before any service of the new version -----------------------------------------------------------------------

in_environment apply -input=false -auto-approve -target=module.platform.module.migrate
deploy/aws/task.sh "$environment" migrate

# ---- services ----------------------------------------------------------------------------------------------------------------

in_environment apply -input=false -auto-approve
# ECS returns to the earlier image where the new one does not become healthy; then the tag in use is not this one, and the wait or the smoke
# tests fail.
mapfile -t services < <(aws ecs list-services --cluster "$cluster" --query 'serviceArns[]' --output text | tr '\t' '\n')
# The command takes ten services at most.
for ((at = 0; at < ${#services[@]}; at += 10)); do
    aws ecs wait services-stable --cluster "$cluster" --services "${services[@]:at:10}"
done
for service in "${services[@]}"; do
    state=$(aws ecs describe-services --cluster "$cluster" --services "$service" --query 'services[0].deployments[0].rolloutState' --output text)
    [[ $state == COMPLETED ]] || { echo "${service##*/}: the rollout is $state" >&2 && exit 1; }
done
echo "$environment runs these images: $tags"
