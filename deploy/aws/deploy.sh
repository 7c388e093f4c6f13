#!/usr/bin/env bash
# Deploys images to an environment on AWS: copies those that are new to its registry, migrates the database, and applies the environment's
# Terraform with their tags. A service whose image did not change keeps its tag, so its tasks are not replaced. Needs terraform, aws, docker
# with buildx, and jq; the folder of the environment is initialised.
#
#   deploy/aws/deploy.sh ENVIRONMENT IMAGES [STAGE]
#
# IMAGES is JSON: {"worker": {"image": "ghcr.io/…/arrakis-worker", "digest": "sha256:…", "tag": "tree-…"}, …}. STAGE:
#
#   all      every service gets the images; canary workers are those of terraform.tfvars (default)
#   record   deploys nothing: writes the tags that run to RELEASE_FOLDER, and prints first, changed or unchanged, by the image of the workers
#   canary   the canary workers get the images, after a migration, and the discord-proxies before them, whose allow-list must be as new as their
#            callers (docs/operations/deploy.md); the other services keep what `record` has found
#   stable   every service gets the images; the canary workers stay
#   before   what `record` has found, without a migration
# shellcheck disable=SC2016 # variables of jq
set -euo pipefail
environment=${1:?usage: deploy.sh ENVIRONMENT IMAGES [STAGE]} images=${2:?usage: deploy.sh ENVIRONMENT IMAGES [STAGE]} stage=${3:-all}
images=$(realpath "$images")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=${TERRAFORM_FOLDER:-terraform/environments/$environment}
cluster=arrakis-$environment
recorded=${RELEASE_FOLDER:-target/release-state}/aws-$environment.json
canary_tasks=${CANARY_TASKS:-2}
case $stage in all | record | canary | stable | before) ;; *) echo "usage: deploy.sh ENVIRONMENT IMAGES [all|record|canary|stable|before]" >&2 && exit 64 ;; esac
. deploy/images.sh
check_images "$images"
. deploy/aws/sign-in.sh

in_environment() { terraform -chdir="$folder" "$@"; }
# A field of a service in IMAGES.
of() { jq --exit-status --raw-output --arg service "$1" --arg field "$2" '.[$service][$field]' "$images"; }

# ---- what runs -----------------------------------------------------------------------------------------------------------------

# The tags of the last apply, whoever did it.
running_tags() { in_environment output -json | jq --sort-keys '.image_tags.value // {}'; }
if [[ $stage == record ]]; then
    mkdir -p "$(dirname "$recorded")"
    rm -f "$recorded"
    running_tags >"$recorded.new"
    [[ -s $recorded.new ]] || { echo "terraform output printed nothing, so what runs is unknown: terraform -chdir=$folder output -json" >&2 && exit 1; }
    mv "$recorded.new" "$recorded"
    if [[ $(<"$recorded") == '{}' ]]; then
        echo first
    elif [[ $(jq --raw-output .worker "$recorded") == "$(of worker tag)" ]]; then
        echo unchanged
    else
        echo changed
    fi
    exit
fi

# ---- images ------------------------------------------------------------------------------------------------------------------

copy_images() {
    local repositories registry service tag
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
}

if [[ $stage == canary || $stage == before ]]; then
    [[ -s $recorded ]] || { echo "what runs is not recorded: deploy.sh $environment IMAGES record comes first" >&2 && exit 1; }
fi
# Where somebody has deployed since, what was recorded would undo it. The exit code states that nothing was changed.
if [[ $stage == canary && $(running_tags) != "$(<"$recorded")" ]]; then
    echo "other images were deployed since record: record again. terraform output image_tags has those that run" >&2
    exit 75
fi
new=$(of worker tag)
case $stage in
all | stable) copy_images ;;
canary)
    copy_images
    tags=$(jq --argjson new "$tags" '. + {"discord-proxy": $new["discord-proxy"]}' "$recorded")
    ;;
before) tags=$(<"$recorded") ;;
esac
# Beside the tags: canary workers, and the build that migrates. Where a variable is not set here, terraform.tfvars has it.
case $stage in
all) more='{}' ;;
stable) more='{canary_tasks: $tasks, canary_image_tag: $new}' ;;
canary) more='{canary_tasks: $tasks, canary_image_tag: $new, migrate_image_tag: $new}' ;;
# The schema may be that of the new build.
before) more='{migrate_image_tag: $new}' ;;
esac
# Only of this checkout. Whoever applies elsewhere reads the tags from the state first: terraform output image_tags (terraform/README.md).
use_tags() { jq --arg new "$new" --argjson tasks "$canary_tasks" "{image_tags: .} + $1" <<<"$2" >"$folder/images.auto.tfvars.json"; }

# ---- database, before any service of the new version -----------------------------------------------------------------------

if [[ $stage != before ]]; then
    # With the tags of the services as they are: what is interrupted before the services must not count as deployed, here or in Terraform's outputs.
    running=$(running_tags)
    [[ -n $running ]] || { echo "terraform output printed nothing, so what runs is unknown: terraform -chdir=$folder output -json" >&2 && exit 1; }
    running=$(jq --argjson tags "$tags" '$tags + .' <<<"$running")
    use_tags '{migrate_image_tag: $new}' "$running"
    in_environment apply -input=false -auto-approve -target=module.platform.module.migrate
    deploy/aws/task.sh "$environment" migrate
fi

# ---- services ----------------------------------------------------------------------------------------------------------------

use_tags "$more" "$tags"
in_environment apply -input=false -auto-approve
services=$(aws ecs list-services --cluster "$cluster" --query 'serviceArns[]' --output text)
[[ $services == arn:* ]] || { echo "ECS lists no service in the cluster $cluster, so the rollouts cannot be checked: $services" >&2 && exit 1; }
mapfile -t services < <(tr '\t' '\n' <<<"$services")
# The command takes ten services at most.
for ((at = 0; at < ${#services[@]}; at += 10)); do
    aws ecs wait services-stable --cluster "$cluster" --services "${services[@]:at:10}"
done
# ECS returns to the earlier image where the new one does not become healthy, and that rollout completes too: so the images are compared.
repositories=$(in_environment output -json repository_urls)
for service in "${services[@]}"; do
    deployment=$(aws ecs describe-services --cluster "$cluster" --services "$service" --query 'services[0].deployments[0].[rolloutState,taskDefinition]' --output text)
    read -r state definition <<<"$deployment"
    [[ $state == COMPLETED ]] || { echo "${service##*/}: the rollout is $state; its events: aws ecs describe-services --cluster $cluster --services ${service##*/}" >&2 && exit 1; }
    wanted=$tags
    case ${service##*/} in
    *-worker-canary)
        # In other stages terraform.tfvars has its image.
        [[ $stage == canary || $stage == stable ]] || continue
        wanted=$(jq --arg new "$new" '.worker = $new' <<<"$tags")
        ;;
    *-worker-shadow) continue ;;
    esac
    images_in_use=$(aws ecs describe-task-definition --task-definition "$definition" --query 'taskDefinition.containerDefinitions[].image' --output json)
    jq --exit-status --argjson repositories "$repositories" --argjson wanted "$wanted" '
        [.[] as $image | $repositories | to_entries[] | select(.value as $url | $image | startswith($url + ":")) | $image == "\(.value):\($wanted[.key])"]
        | length > 0 and all' <<<"$images_in_use" >/dev/null || {
        echo "${service##*/}: ECS runs another image than the one deployed, so it has returned to the earlier one or somebody else has deployed: $images_in_use." \
            "The reason is in the events: aws ecs describe-services --cluster $cluster --services ${service##*/}" >&2
        exit 1
    }
done
echo "$environment runs these images: $tags"
