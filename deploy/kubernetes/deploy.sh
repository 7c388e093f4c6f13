#!/usr/bin/env bash
# Deploys the images of a build to an environment in Kubernetes, by the chart, with a rollback when a service does not become ready. Needs helm 4,
# and jq.
#
#   deploy/kubernetes/deploy.sh ENVIRONMENT IMAGES [STAGE]
#
# IMAGES is JSON: {"worker": {"image": "ghcr.io/…/arrakis-worker", "digest": "sha256:…", "tag": "tree-…"}, …}. STAGE:
#
#   all      every service gets the images; there are no canary workers (default)
#   record   deploys nothing: writes what runs to RELEASE_FOLDER, and prints first, changed or unchanged, by the image of the workers
#   canary   the canary workers get the images, after a migration, and the discord-proxies before them, whose allow-list must be as new as their
#            callers (docs/operations/deploy.md); the other services keep what `record` has found
#   stable   every service gets the images; the canary workers stay
#   before   what `record` has found, without a migration
# shellcheck disable=SC2016 # variables of jq
set -euo pipefail
environment=${1:?usage: deploy.sh ENVIRONMENT IMAGES [STAGE]} images=${2:?usage: deploy.sh ENVIRONMENT IMAGES [STAGE]} stage=${3:-all}
images=$(realpath "$images")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. deploy/images.sh
check_images "$images"
namespace=${NAMESPACE:-arrakis} release=arrakis
folder=${RELEASE_FOLDER:-target/release-state}
recorded=$folder/kubernetes-$environment.json
mkdir -p "$folder"

# The chart with the values of a filter, over those of the environment.
upgrade() { # FILTER
    local values=$folder/values-$environment-$stage.json
    values "$1" >"$values"
    helm upgrade "$release" deploy/helm/arrakis --install --namespace "$namespace" \
        --values "deploy/helm/arrakis/values-$environment.yaml" --values "$values" \
        --wait --rollback-on-failure --timeout 15m --history-max 10
}

# Values by a filter over $new, the digests of IMAGES, and $before, the `image` of the release that runs.
values() { # FILTER
    local before='{}'
    if [[ -s $recorded ]]; then before=$(<"$recorded"); fi
    jq --null-input --slurpfile images "$images" --argjson recorded "$before" \
        '($images[0] | map_values(.digest)) as $new | ($recorded.image // {}) as $before | '"$1"
}
canary='{worker: {canary: {enabled: true, tag: "", digest: $new.worker}}}'

# The release that runs, {} if there is none.
found() { helm list --namespace "$namespace" --filter "^$release\$" --output json | jq '.[0] // {}'; }
record() {
    local found
    rm -f "$recorded"
    found=$(found)
    if [[ $found == '{}' ]]; then echo first && return; fi
    if [[ $(jq --raw-output .status <<<"$found") != deployed ]]; then
        echo "the release $release is in the state '$(jq --raw-output .status <<<"$found")', not deployed: another deployment runs, or one was interrupted." \
            "Find the last revision that was deployed by helm history $release --namespace $namespace, and go back to it by helm rollback (docs/operations/rollback.md)" >&2
        return 1
    fi
    helm get values "$release" --namespace "$namespace" --output json |
        jq --argjson found "$found" '{revision: $found.revision, image: (.image // {} | {tag, digests} | map_values(select(. != null and . != "")))}' >"$recorded.new"
    # Without both, the version would be that of the chart of this checkout, and the services that stay would change.
    if [[ $(jq '.image.tag // .image.digests.worker // ""' "$recorded.new") == '""' ]]; then
        echo "the release $release has neither image.tag nor image.digests, so its images are unknown" >&2
        return 1
    fi
    mv "$recorded.new" "$recorded"
    values 'if $before.digests.worker == $new.worker then "unchanged" else "changed" end' | jq --raw-output .
}

if [[ $stage == canary || $stage == before ]]; then
    [[ -s $recorded ]] || { echo "what runs is not recorded: deploy.sh $environment IMAGES record comes first" >&2 && exit 1; }
fi
# Where somebody has deployed since, what was recorded would undo it. The exit code states that nothing was changed.
if [[ $stage == canary ]]; then
    running=$(found | jq '[.revision, .status]')
    [[ $(jq --argjson running "$running" '[.revision, "deployed"] == $running' "$recorded") == true ]] ||
        { echo "another release was deployed since record, or is being deployed: record again. Now: $(jq --compact-output . <<<"$running")" >&2 && exit 75; }
fi
case $stage in
all) upgrade '{image: {digests: $new}}' ;;
record) record ;;
canary)
    # A service that the release before did not have has no other image than the new one.
    upgrade '(if ($before.tag // "") == "" then $new + $before.digests else $before.digests // {} end) as $digests
        | {image: ($before + {digests: ($digests + {"discord-proxy": $new["discord-proxy"]})}), migrate: {tag: "", digest: $new.migrate}} * '"$canary"
    ;;
stable) upgrade '{image: {digests: $new}} * '"$canary" ;;
before)
    # A rollback runs no migration: the one of the earlier build fails on a newer schema. It also ends an upgrade that was interrupted.
    helm rollback "$release" "$(jq --exit-status --raw-output .revision "$recorded")" --namespace "$namespace" --wait --timeout 15m --history-max 10
    ;;
*) echo "usage: deploy.sh ENVIRONMENT IMAGES [all|record|canary|stable|before]" >&2 && exit 64 ;;
esac
