#!/usr/bin/env bash
# Runs a target of the Dockerfile from its file tree, as a container engine would: the tree is the whole file system and read-only, the process
# has the target's user, ENTRYPOINT and ENV, no capability, and cannot gain any. It keeps this process's id, so that signals reach it.
#
#   deploy/images/run.sh [OPTION…] TREES TARGET [ARGUMENT…]
#
#   --entrypoint WORD   runs this program of the tree (may be repeated, for its arguments)
#   --healthcheck       runs the target's HEALTHCHECK
#   --here              a command of a user: the present folder, which is below /tmp, is writable at the same path, and the process has its owner
#
# As root: namespaces of the kernel. As another user: also a user namespace, where the machine permits it; files then belong to that user, so
# wrong permissions in the tree are found by root only. What differs from an engine: the network and the list of processes are those of this
# machine, and there is no limit of memory or of system calls.
set -euo pipefail
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

script=$(realpath "${BASH_SOURCE[0]}")
dockerfile=$(dirname "$script")/Dockerfile

fail() {
    echo "run.sh: $*" >&2
    exit 70
}

# instructions TARGET NAME: the values of an instruction of a target, with those of the targets that it is based on, the oldest first.
instructions() {
    local base
    base=$(awk -v target="$1" '$1 == "FROM" && $4 == target { print $2 }' "$dockerfile")
    [[ -n $base ]] || fail "the Dockerfile has no target $1"
    if [[ $base != scratch ]]; then instructions "$base" "$2"; fi
    awk -v target="$1" -v name="$2" '
        $1 == "FROM" { inside = ($4 == target) }
        inside && $1 == name { sub(/^[A-Z]+ +/, ""); print }' "$dockerfile"
}

# The words of the last array in JSON of a line, such as CMD ["/usr/bin/x", "healthcheck"].
words_of() { grep -oE '\["[^]]*"\]$' <<<"$1" | sed -E 's/^\["//; s/"\]$//; s/", *"/\n/g'; }

# The namespace is made by a second run of this script in it.
if [[ ${1:-} != --inside ]]; then
    as_root=(--map-root-user)
    if ((EUID == 0)); then as_root=(); fi
    exec unshare "${as_root[@]}" --mount --propagation private bash "$script" --inside "$EUID:$(id -g)" "$@"
fi
caller=$2
shift 2

entrypoint=() healthcheck=false here=false
while (($# > 0)); do
    case $1 in
    --entrypoint) entrypoint+=("$2") && shift ;;
    --healthcheck) healthcheck=true ;;
    --here) here=true ;;
    *) break ;;
    esac
    shift
done
(($# >= 2)) || fail "usage: run.sh [OPTION…] TREES TARGET [ARGUMENT…]"
trees=$1 target=$2
shift 2

# A target without files of its own, such as migrate, has those of its base.
tree=$target
while [[ ! -d $trees/$tree && $tree != scratch && -n $tree ]]; do
    tree=$(awk -v target="$tree" '$1 == "FROM" && $4 == target { print $2 }' "$dockerfile")
done
[[ -d $trees/$tree ]] || fail "$trees has no tree of $target; ./dev images makes them"
tree=$(realpath "$trees/$tree")

if ((${#entrypoint[@]} == 0)); then
    if $healthcheck; then instruction=HEALTHCHECK; else instruction=ENTRYPOINT; fi
    mapfile -t entrypoint < <(words_of "$(instructions "$target" "$instruction" | tail -n 1)")
    ((${#entrypoint[@]} > 0)) || fail "the target $target has no $instruction"
fi
user=$(instructions "$target" USER | tail -n 1)
folder=$(instructions "$target" WORKDIR | tail -n 1)
# What this shell adds to the environment.
environment=(--unset=PATH --unset=HOME --unset=PWD --unset=OLDPWD --unset=SHLVL)
while read -r assignment; do
    # A variable that is given has priority, as with an engine.
    if [[ -n $assignment && ! -v ${assignment%%=*} ]]; then environment+=("$assignment"); fi
done < <(instructions "$target" ENV)

mount --bind "$tree" "$tree"
mount -o remount,bind,ro,nosuid,nodev "$tree"
mount --rbind /proc "$tree/proc"
mount -t tmpfs -o mode=755,size=64k tmpfs "$tree/dev"
for device in null zero full random urandom; do
    : >"$tree/dev/$device"
    mount --bind "/dev/$device" "$tree/dev/$device"
done
for file in hosts resolv.conf; do mount --bind "$(realpath "/etc/$file")" "$tree/etc/$file"; done
if $here; then
    folder=$PWD
    [[ $folder == /tmp/* ]] || fail "--here needs a folder below /tmp, not $folder"
    user=$(stat --format=%u:%g "$folder")
    mount -t tmpfs -o mode=1777 tmpfs "$tree/tmp"
    mkdir -p "$tree$folder"
    mount --bind "$folder" "$tree$folder"
fi

if [[ ${caller%%:*} == 0 ]]; then
    as_user=(--setgid="${user#*:}" --setuid="${user%:*}")
else
    # The only user of this namespace that the machine permits is the caller, to whom a second namespace gives the target's id.
    as_user=(--user --map-user="${user%:*}" --map-group="${user#*:}")
fi
exec setpriv --no-new-privs env "${environment[@]}" "$(command -v unshare)" "${as_user[@]}" --root="$tree" --wd="${folder:-/}" \
    "${entrypoint[@]}" "$@"
