#!/usr/bin/env bash
# Tests deploy/cut-over.sh with a deployment of stubs that write what is called: order of the phases, --dry-run, a failure in the middle, ways
# back, and the limit of time. A test of loadtests runs it.
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
