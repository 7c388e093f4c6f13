#!/usr/bin/env bash
# Moves one server from an earlier bot to Arrakis, in phases. Each phase can be repeated; each has a way back until `finish`. A folder keeps what
# has been done, so that the script continues after an interruption.
#
#   deploy/cut-over.sh run [PHASE…]       runs the phases that are not done, or those named
#   deploy/cut-over.sh rollback           goes back from the phase that was reached, in reverse order
#   deploy/cut-over.sh status             prints the phases with their times
#   --dry-run                             prints what would be done, and changes nothing
#
# Environment: SERVER_ID, SQLITE_FILE (the earlier bot's data, docs/moving-in.md), OPERATOR (a name for the audit log), VERIFY_BASE_URL,
# PROMETHEUS_URL (for the watch; may be empty), HOOKS (a file with the functions below), CUT_OVER_FOLDER (default: cut-over-SERVER_ID),
# WATCH_MINUTES (default 30), and what commands of arrakis-worker need (DATABASE_ADMIN_URL, DATABASE_URL, AMQP_URL, REDIS_URL).
#
# HOOKS defines, for the deployment at hand:   stop_old_bot, start_old_bot, start_platform, stop_platform, back_up_database. It may replace `worker`,
# which runs arrakis-worker (docs/operations/cut-over.md). Outside of Kubernetes the smoke tests need ONLY_PUBLIC=true.
set -euo pipefail

phases=(preflight back-up stop-old import start verify watch finish)
# The limit of this procedure, from the stop of the earlier bot to the end of the watch.
limit_minutes=240
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)

die() {
    echo "cut-over: $1" >&2
    exit "${2:-1}"
}
note() { echo "$(date -u +%H:%M:%S) $*"; }
# do_ COMMAND…: runs it, or prints it with --dry-run.
do_() {
    if $dry_run; then printf 'would run: %s\n' "${*@Q}"; else "$@"; fi
}
is_done() { [[ -e $folder/$1.done ]]; }
# By a rename: a file without a time would be a phase that is done, without a limit.
mark_done() {
    if $dry_run; then return; fi
    date -u +%s >"$folder/$1.done.new"
    mv "$folder/$1.done.new" "$folder/$1.done"
}
unmark() { if ! $dry_run; then rm -f "$folder/$1.done" "$folder/$1.begun"; fi; }
worker() { arrakis-worker "$@"; }

# ---- phases ------------------------------------------------------------------------------------------------------------------

# Changes nothing. Rollback point 0: nothing to undo.
phase_preflight() {
    do_ test -r "$SQLITE_FILE"
    do_ worker topology check
    do_ worker registry verify
    # Every problem of the file is printed with its row; correct the file and repeat.
    do_ worker import-profiles --from "$SQLITE_FILE" --community "$SERVER_ID" --dry-run
    do_ no_dead_letters
}

# Changes nothing of the earlier bot. Rollback point 1: delete the copies.
phase_back_up() {
    do_ back_up_database
}

# From here on members get no answer until `start` is done. Rollback point 2: start the earlier bot; its data are as they were.
phase_stop_old() {
    do_ stop_old_bot
    do_ copy_members
    do_ record_checksum
}

# The whole file is checked first, and then written in pages; what is interrupted continues. Rollback point 3: undo the import, and then point 2.
phase_import() {
    do_ verify_checksum
    do_ worker import-profiles --from "$folder/members.sqlite" --community "$SERVER_ID" --by "$OPERATOR"
    do_ worker registry verify
}

# Rollback point 4: stop the platform, and then point 3. Commands that members have used since are lost by an undo with --discard-changes.
phase_start() {
    do_ start_platform
}

# Tests from outside. Rollback point 4.
phase_verify() {
    do_ smoke_tests
    do_ no_dead_letters
    do_ no_page_alert
}

# Watches the alerts. Rollback point 4.
phase_watch() {
    local minutes=${WATCH_MINUTES:-30} minute
    if $dry_run; then
        printf 'would watch the alerts for %s minutes\n' "$minutes"
        return
    fi
    for ((minute = 0; minute < minutes; minute++)); do
        no_page_alert
        sleep "${SECONDS_OF_A_MINUTE:-60}"
    done
}

# No way back by this script: the earlier bot's data are out of date from here on.
phase_finish() {
    do_ no_dead_letters
    note "the cut-over is complete; keep $folder for the audit, and remove the earlier bot's token"
}

# ---- ways back, in the reverse order of the phases ---------------------------------------------------------------------------

# A `finish` that failed has changed nothing.
undo_finish() { :; }
undo_watch() { :; }
undo_verify() { :; }
undo_start() { do_ stop_platform; }
undo_import() {
    local options=()
    if [[ ${DISCARD_CHANGES:-0} == 1 ]]; then options=(--discard-changes); fi
    do_ worker undo-profile-import --community "$SERVER_ID" --by "$OPERATOR" "${options[@]}"
}
undo_stop_old() { do_ start_old_bot; }
undo_back_up() { :; }
undo_preflight() { :; }

# ---- checks ------------------------------------------------------------------------------------------------------------------

# With the file of its write-ahead log, which has the last changes of a bot that was killed.
copy_members() {
    rm -f "$folder/members.sqlite-wal"
    cp -p "$SQLITE_FILE" "$folder/members.sqlite"
    if [[ -s $SQLITE_FILE-wal ]]; then cp -p "$SQLITE_FILE-wal" "$folder/members.sqlite-wal"; fi
    # A hook that returns before the earlier bot has ended leaves a file that changes.
    if ! cmp --silent "$SQLITE_FILE" "$folder/members.sqlite" || { [[ -s $SQLITE_FILE-wal ]] && ! cmp --silent "$SQLITE_FILE-wal" "$folder/members.sqlite-wal"; }; then
        die "$SQLITE_FILE has changed while it was copied: the earlier bot still writes, so stop_old_bot of $HOOKS returned too early. Stop it, then: deploy/cut-over.sh run"
    fi
}
record_checksum() { (cd "$folder" && sha256sum members.sqlite >members.sqlite.sha256); }
verify_checksum() {
    (cd "$folder" && sha256sum --check --quiet members.sqlite.sha256) ||
        die "$folder/members.sqlite is not the copy that stop-old has made; make it again: deploy/cut-over.sh run stop-old"
}
no_dead_letters() {
    local letters
    letters=$(worker dead-letters list --json)
    [[ -z $letters ]] || die "there are dead letters: arrakis-worker dead-letters list"
}
smoke_tests() {
    local smoke=${SMOKE:-$here/smoke.sh}
    [[ -x $smoke ]] || die "$smoke is missing: the smoke tests are those of a deployment"
    "$smoke"
}
no_page_alert() {
    if [[ -z ${PROMETHEUS_URL:-} ]]; then
        note "PROMETHEUS_URL is not set: look at the alerts yourself"
        return
    fi
    local firing
    # The names alone, so that no JSON has to be parsed.
    firing=$(curl --silent --show-error --fail --max-time 20 --get "$PROMETHEUS_URL/api/v1/query" \
        --data-urlencode 'query=group by (alertname) (ALERTS{alertstate="firing",severity="page"})') || die "Prometheus does not respond at $PROMETHEUS_URL"
    [[ $firing == *'"status":"success"'* ]] || die "the response of $PROMETHEUS_URL is not one of Prometheus, so alerts are unknown: $firing"
    [[ $firing != *'"alertname"'* ]] || die "alerts that wake a person fire; deploy/cut-over.sh rollback, or once they are over: deploy/cut-over.sh run. $firing"
}

# ---- order -------------------------------------------------------------------------------------------------------------------

run_phase() {
    local phase=$1
    note "phase $phase"
    # A phase that is interrupted may have done a part, which a rollback undoes.
    if ! $dry_run; then touch "$folder/$phase.begun"; fi
    "phase_${phase//-/_}"
    mark_done "$phase"
    note "phase $phase: done"
}

# Refuses a phase whose predecessor is not done, and names the way back once the time is over.
run() {
    local phase previous=''
    for phase in "${phases[@]}"; do
        if (($# == 0)); then
            if is_done "$phase"; then note "phase $phase: done before"; else
                check_time
                run_phase "$phase"
            fi
        elif [[ " $* " == *" $phase "* ]]; then
            if [[ -n $previous ]] && ! is_done "$previous" && ! $dry_run; then die "phase $previous is not done" 64; fi
            check_time
            run_phase "$phase"
        fi
        previous=$phase
    done
}

check_time() {
    is_done stop-old || return 0
    local minutes=$((($(date -u +%s) - $(<"$folder/stop-old.done")) / 60))
    if ((minutes > limit_minutes)) && ! is_done verify; then
        die "$minutes minutes have passed since the earlier bot was stopped, the limit is $limit_minutes: deploy/cut-over.sh rollback" 3
    fi
}

rollback() {
    local at
    if is_done finish; then die "the cut-over is finished: there is no way back by this script" 2; fi
    for ((at = ${#phases[@]} - 1; at >= 0; at--)); do
        if is_done "${phases[at]}" || [[ -e $folder/${phases[at]}.begun ]]; then
            note "undoing phase ${phases[at]}"
            "undo_${phases[at]//-/_}"
            unmark "${phases[at]}"
        fi
    done
    note "rolled back"
}

# Two runs at once would stop and start against each other. The lock is a file with the id of the process, not an open file, which what the hooks
# start would keep.
take_lock() {
    local lock=$folder/lock holder
    if [[ $command == status ]]; then return; fi
    if ! (set -o noclobber && echo $$ >"$lock") 2>/dev/null; then
        holder=$(<"$lock") || holder=''
        if [[ $holder =~ ^[0-9]+$ ]] && kill -0 "$holder" 2>/dev/null; then
            die "another run of deploy/cut-over.sh has not ended: process $holder ($lock)"
        fi
        echo $$ >"$lock"
    fi
    # shellcheck disable=SC2064 # its value now
    trap "rm -f ${lock@Q}" EXIT
}

status() {
    local phase
    for phase in "${phases[@]}"; do
        if is_done "$phase"; then printf '%-10s done  %s\n' "$phase" "$(date -u --date="@$(<"$folder/$phase.done")" +%FT%TZ)"; else printf '%-10s open\n' "$phase"; fi
    done
}

dry_run=false
arguments=()
for argument in "$@"; do
    if [[ $argument == --dry-run ]]; then dry_run=true; else arguments+=("$argument"); fi
done
set -- "${arguments[@]}"
command=${1:-}
shift || true
for phase in "$@"; do
    [[ " ${phases[*]} " == *" $phase "* ]] || die "there is no phase $phase; phases: ${phases[*]}" 64
done
case $command in
run | rollback | status) ;;
*) die "usage: cut-over.sh run [PHASE…] | rollback | status [--dry-run]; see the head of the file" 64 ;;
esac
for variable in SERVER_ID SQLITE_FILE OPERATOR HOOKS; do
    [[ -n ${!variable:-} ]] || die "$variable is not set; see the head of $0" 78
done
folder=${CUT_OVER_FOLDER:-cut-over-$SERVER_ID}
case ${DISCARD_CHANGES:-0} in 0 | 1) ;; *) die "DISCARD_CHANGES is '$DISCARD_CHANGES'; expected 1 or 0" 78 ;; esac
if ! $dry_run; then
    mkdir -p "$folder"
    # The phases that are done are those of one server.
    if [[ ! -s $folder/server ]]; then echo "$SERVER_ID" >"$folder/server"; fi
    [[ $(<"$folder/server") == "$SERVER_ID" ]] || die "$folder has the phases of the server $(<"$folder/server"), not of $SERVER_ID; set CUT_OVER_FOLDER to another folder" 78
    take_lock
fi
# shellcheck source=/dev/null
. "$HOOKS"
for hook in stop_old_bot start_old_bot start_platform stop_platform back_up_database; do
    declare -F "$hook" >/dev/null || die "$HOOKS does not define $hook" 78
done
"$command" "$@"
