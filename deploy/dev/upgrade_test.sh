#!/usr/bin/env bash
# Tests the folder of programs of ./dev upgrade-test without a build: the first start of a replica is the earlier program, later ones the present.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=/dev/null # its other variables are those of ./dev
. "$root/deploy/dev/upgrade.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
die() {
    echo "died: $1"
    exit 1
}
expect() { # WHAT WANTED FOUND
    [[ $2 == "$3" ]] || die "$1: $3 instead of $2"
}
services=(arrakis-ingestor arrakis-worker arrakis-discord-proxy arrakis-interactions arrakis-api)
for build in earlier present; do
    mkdir "$folder/$build"
    for program in "${services[@]}" loadtests; do
        printf '#!/bin/sh\necho "%s %s $*"\n' "$build" "$program" >"$folder/$build/$program"
        chmod +x "$folder/$build/$program"
    done
done
rm "$folder/earlier/loadtests"
make_upgrade_programs "$folder/upgrade" "$folder/earlier" "$folder/present"
programs=$folder/upgrade/programs
start() { env --ignore-environment HEALTH_ADDR="$1" "$programs/$2"; }
expect 'loadtests' 'present loadtests ' "$("$programs/loadtests")"
expect 'a task' 'present arrakis-worker migrate' "$("$programs/arrakis-worker" migrate)"
for program in "${services[@]}"; do
    for port in 1 2; do expect 'the first start' "earlier $program " "$(start "127.0.0.1:$port" "$program")"; done
done
if (check_upgraded_replicas "$folder/upgrade/started" "$folder/earlier") >/dev/null; then die 'replicas that were not upgraded are accepted'; fi
for program in "${services[@]}"; do
    for port in 1 2; do expect 'the next start' "present $program " "$(start "127.0.0.1:$port" "$program")"; done
done
check_upgraded_replicas "$folder/upgrade/started" "$folder/earlier"
# One api is enough, and a program that is new has no earlier one.
rm -r "$folder/upgrade/started/arrakis-api-127-0-0-1-2" "$folder"/upgrade/started/arrakis-interactions-*
if (check_upgraded_replicas "$folder/upgrade/started" "$folder/earlier") >/dev/null; then die 'a scenario without interactions by HTTP is accepted'; fi
rm "$folder/earlier/arrakis-interactions"
check_upgraded_replicas "$folder/upgrade/started" "$folder/earlier"
rm -r "$folder/upgrade/started/arrakis-worker-127-0-0-1-2"
if (check_upgraded_replicas "$folder/upgrade/started" "$folder/earlier") >/dev/null; then die 'a scenario with one worker is accepted'; fi
echo 'upgrade-test: all tests passed'
