#!/usr/bin/env bash
# Tests deploy/cut-over.sh with a deployment of stubs that write what is called: order of the phases, --dry-run, a failure in the middle, ways
# back, the limit of time, two runs at once, and responses that are not those of Prometheus. A test of loadtests runs it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
calls=$work/calls
: >"$calls"

fail() {
    echo "FAILED: $1" >&2
    cat "$work/output" >&2 || true
    exit 1
}
cat >"$work/bin/arrakis-worker" <<'WORKER'
#!/usr/bin/env bash
echo "arrakis-worker $*" >>"$CALLS"
if [[ "$*" == dead-letters* && -n ${LETTERS:-} ]]; then echo "$LETTERS"; fi
if [[ -n ${FAILING:-} && "$*" == *"$FAILING"* ]]; then exit 1; fi
WORKER
cat >"$work/bin/smoke" <<'SMOKE'
#!/usr/bin/env bash
echo smoke >>"$CALLS"
SMOKE
chmod +x "$work/bin/arrakis-worker" "$work/bin/smoke"
cat >"$work/hooks" <<'HOOKS'
for hook in stop_old_bot start_old_bot start_platform stop_platform back_up_database; do
    eval "$hook() { echo $hook >>\"\$CALLS\"; }"
done
HOOKS
echo data >"$work/members.sqlite"

export CALLS=$calls PATH=$work/bin:$PATH SERVER_ID=1200000000000000000 SQLITE_FILE=$work/members.sqlite OPERATOR=test HOOKS=$work/hooks
export CUT_OVER_FOLDER=$work/state WATCH_MINUTES=2 SECONDS_OF_A_MINUTE=0 SMOKE=$work/bin/smoke PROMETHEUS_URL=
cut_over() { "$root/deploy/cut-over.sh" "$@" >"$work/output" 2>&1; }
called() { paste -sd ' ' "$calls"; }
count() { grep -c -- "$1" "$calls" || true; }

cut_over run --dry-run || fail 'a dry run'
[[ ! -s $calls && ! -e $work/state ]] || fail "a dry run called: $(called)"
grep -q "would run: 'stop_old_bot'" "$work/output" || fail 'a dry run does not print what would be run'

if cut_over run import; then fail 'import without its predecessors'; fi

# A failure in the import: the phases before it stay done, and the rollback undoes in reverse order.
if FAILING='import-profiles --from '"$work/state" cut_over run; then fail 'a failed import'; fi
cut_over status
grep -q '^stop-old *done' "$work/output" || fail 'stop-old is not done'
grep -q '^import *open' "$work/output" || fail 'import is not open'
: >"$calls"
cut_over rollback || fail 'a rollback'
[[ $(called) == "arrakis-worker undo-profile-import --community $SERVER_ID --by test start_old_bot" ]] || fail "the rollback called: $(called)"

# A whole run, in order; a repeated run does nothing again.
: >"$calls"
cut_over run || fail 'a run'
order=$(grep -nE '^(back_up_database|stop_old_bot|start_platform|smoke)$|--by test$' "$calls" | cut -d: -f2 | sed 's/^arrakis-worker import.*/import/' | paste -sd ' ')
[[ $order == 'back_up_database stop_old_bot import start_platform smoke' ]] || fail "order: $order"
before=$(count .)
cut_over run || fail 'a repeated run'
[[ $(count .) == "$before" ]] || fail 'a repeated run called something'
if cut_over rollback; then fail 'a rollback after finish'; fi

# A finish that fails, here by a dead letter, has changed nothing: the way back stays.
rm -rf "$work/state"
cut_over run preflight back-up stop-old import start verify watch || fail 'all phases before finish'
if LETTERS='{"id":1}' cut_over run; then fail 'a finish with dead letters'; fi
: >"$calls"
cut_over rollback || fail 'a rollback after a finish that failed'
[[ $(called) == "stop_platform arrakis-worker undo-profile-import --community $SERVER_ID --by test start_old_bot" ]] || fail "the rollback called: $(called)"

# Changes of members are discarded by DISCARD_CHANGES=1 only.
rm -rf "$work/state"
cut_over run preflight back-up stop-old import || fail 'four phases'
: >"$calls"
if DISCARD_CHANGES=false cut_over rollback; then fail 'DISCARD_CHANGES=false is accepted'; fi
[[ -z $(called) ]] || fail "DISCARD_CHANGES=false called: $(called)"
DISCARD_CHANGES=0 cut_over rollback || fail 'a rollback with DISCARD_CHANGES=0'
[[ $(called) != *--discard-changes* ]] || fail 'DISCARD_CHANGES=0 discards changes'
cut_over run preflight back-up stop-old import || fail 'four phases again'
DISCARD_CHANGES=1 cut_over rollback || fail 'a rollback with DISCARD_CHANGES=1'
[[ $(called) == *--discard-changes* ]] || fail 'DISCARD_CHANGES=1 keeps changes'

# The copy has the write-ahead log of a bot that was killed, and only the copy that stop-old has made is imported.
rm -rf "$work/state"
echo 'last changes' >"$work/members.sqlite-wal"
cut_over run preflight back-up stop-old || fail 'three phases with a write-ahead log'
cmp --silent "$work/members.sqlite-wal" "$work/state/members.sqlite-wal" || fail 'the write-ahead log is not copied'
rm "$work/members.sqlite-wal"
echo other >"$work/state/members.sqlite"
: >"$calls"
if cut_over run import; then fail 'an import of another file'; fi
[[ -z $(called) ]] || fail "an import of another file called: $(called)"
cut_over run stop-old import || fail 'an import of a new copy'
[[ ! -e $work/state/members.sqlite-wal ]] || fail 'the write-ahead log of the copy before stays'

# Alerts that fire, and a response that is not one of Prometheus.
cat >"$work/bin/curl" <<'CURL'
#!/usr/bin/env bash
printf '%s\n' "$ALERTS"
CURL
chmod +x "$work/bin/curl"
cut_over run start || fail 'the start'
for alerts in '' '<html>sign in</html>' '{"status":"success","data":{"result":[{"metric":{"alertname":"shards"}}]}}'; do
    if ALERTS=$alerts PROMETHEUS_URL=http://prometheus cut_over run verify; then fail "a response '$alerts' passes"; fi
done
ALERTS='{"status":"success","data":{"result":[]}}' PROMETHEUS_URL=http://prometheus cut_over run verify || fail 'no alert'

# A second run, a run for another server with the same folder, and what a run that was killed leaves.
sleep 60 &
holder=$!
echo "$holder" >"$work/state/lock"
if cut_over run; then fail 'a second run at the same time'; fi
grep -q "process $holder" "$work/output" || fail 'the other run is not named'
kill "$holder"
wait "$holder" || true
if SERVER_ID=1200000000000000001 cut_over run; then fail 'a run for another server'; fi
: >"$work/state/stop-old.done.new"
cut_over run || fail 'a run after one that was killed'

# After the limit, the script names the way back instead of going on.
rm -rf "$work/state"
cut_over run preflight back-up stop-old || fail 'three phases'
echo $(($(date -u +%s) - 5 * 3600)) >"$work/state/stop-old.done"
if cut_over run; then fail 'a run after the limit of time'; fi
grep -q 'rollback' "$work/output" || fail 'no way back is named'
: >"$calls"
cut_over rollback || fail 'a rollback after the limit'
[[ $(called) == 'start_old_bot' ]] || fail "the rollback called: $(called)"

echo 'cut-over: all tests passed'
