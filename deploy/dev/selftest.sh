# shellcheck shell=bash
# ./dev selftest: tests of ./dev. A copy of the checkout runs below a private temporary folder with a space in its name, with the real
# services and programs, and is stopped by signals, by SIGKILL and by ./dev down.

command_selftest() {
    (($# == 0)) || usage_error "selftest takes no arguments" "./dev selftest"
    use_instance selftest
    take_lock selftest
    ensure_tools
    clear_leftovers
    at_exit end_selftest
    # As ./dev test builds, so that one build serves both.
    info "building the programs and their tests"
    build_suite || die "the build failed" "see cargo's message above"
    local folder
    folder=$(mktemp -d)
    checkout="$folder/a checkout"
    echo "$folder" >"$instance/folder"
    mkdir -p "$checkout/target" "$folder/bin"
    cp -a "$root/dev" "$root/deploy" "$root/loadtests" "$checkout"
    ln -s "$root/target/debug" "$checkout/target/debug"
    mkdir -p "$root/target/tools"
    ln -s "$root/target/tools" "$checkout/target/tools"
    # Everything is built; another build in the copy would only cost time.
    printf '#!/bin/sh\nexit 0\n' >"$folder/bin/cargo"
    chmod +x "$folder/bin/cargo"
    stub_path=$folder/bin:$PATH

    signal_during_a_wait_kills_no_process
    wait_shows_the_last_warning
    end_of_a_process_is_described
    services_start_and_stop
    down_stops_every_instance
    process_with_a_recorded_pid_is_not_killed
    invalid_arguments_are_refused
    each_command_has_help
    names_of_scenarios_and_profiles_are_found
    printed_addresses_respond
    holdings_come_from_the_chain
    up_stops_on INT
    holdings_are_kept_over_a_restart
    up_without_npm_uses_seeded_rows
    up_stops_on TERM
    leftovers_of_a_killed_up_are_removed
    second_up_is_refused_and_down_stops_the_first
    dead_worker_is_reported
    success "./dev selftest: all tests passed"
}

end_selftest() {
    # A ./dev that has just started has no lock yet, by which `down` would find it.
    if [[ -n ${up:-} ]] && kill -TERM "$up" 2>/dev/null; then wait "$up" || true; fi
    if [[ -n ${checkout:-} ]]; then in_checkout down --clean >/dev/null 2>&1 || true; fi
    if [[ -s $instance/folder ]]; then rm -rf "$(<"$instance/folder")"; fi
    if [[ -n ${without_npm:-} ]]; then rm -rf "$without_npm"; fi
    rm -rf "$instance"
}

# A background process of a script ignores SIGINT unless its handling is reset.
exec_dev() { exec env --default-signal=INT "${credentials[@]/#/--unset=}" PATH="$stub_path" NO_COLOR=1 "$checkout/dev" "$@"; }
in_checkout() { (exec_dev "$@"); }
# The same with stderr in a log, which is shown after a failure.
quietly_in_checkout() { (exec_dev "$@" 2>>"$instance/copy.log"); }

expect() { # WHAT CONDITION…
    local what=$1
    shift
    "$@" || fail "failed: $what"
    info "$what"
}
contains() { [[ $1 == *"$2"* ]]; }

# fail MESSAGE: shows the output of ./dev in the copy and the leftovers, for a reader of a log on another machine.
fail() {
    local file
    for file in "$instance"/copy.log "$instance"/up.log; do
        [[ -s $file ]] || continue
        info "the end of ${file##*/}:"
        show_log "$file" 25
    done
    if [[ -n $leftovers ]]; then
        info "leftovers of the copy:"
        echo "$leftovers" >&"$screen"
    fi
    die "$1"
}

# A line for each process with the mark of an instance of the copy, and for each of its ports that is in use.
list_leftovers() {
    local file pid name port
    for file in $(grep -lsazF "ARRAKIS_DEV_INSTANCE=$checkout/" /proc/[0-9]*/environ 2>/dev/null || true); do
        pid=${file#/proc/}
        pid=${pid%/environ}
        echo "    | process $pid: $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | cut -c 1-200)"
    done
    for file in "$checkout"/target/dev/*/ports; do
        while IFS='=' read -r name port; do
            if is_listening "$port" '[0-9A-F]+'; then echo "    | port $port ($name)"; fi
        done <"$file"
    done
}
leftovers=''
nothing_is_running() {
    leftovers=$(list_leftovers)
    [[ -z $leftovers ]]
}

is_listening() { # PORT ADDRESS: the address as /proc/net/tcp writes it; 0A is LISTEN
    local hex
    printf -v hex '%04X' "$1"
    grep -qsE "^ *[0-9]+: $2:$hex [0-9A-F]+:0000 0A " /proc/net/tcp /proc/net/tcp6
}

# As Ctrl-C while ./dev up waits for the last process, which the clean-up stops first.
signal_during_a_wait_kills_no_process() {
    local output
    output=$(
        exec {screen}>&1
        trap 'stop_processes 10 awaited slow' EXIT
        spawn slow TERM /dev/null bash -c 'trap "sleep 0.5; exit" TERM; while true; do sleep 0.1; done'
        spawn awaited TERM /dev/null sleep 600
        condition_with_a_signal() { exit 1; }
        wait_while_running awaited '' 'a condition' 10 condition_with_a_signal
    ) || true
    if contains "$output" 'is killed'; then fail "a signal during a wait killed a process: $output"; fi
    info 'a signal during a wait leaves each process its grace period'
}

wait_shows_the_last_warning() {
    local output log=$instance/warnings.log line
    for line in '2026-01-01T00:00:00Z  WARN ingestor: GET /gateway/bot failed' '{"level":"ERROR","message":"GET /gateway/bot failed"}'; do
        printf '%s\n' '2026-01-01T00:00:00Z ERROR ingestor: an earlier one' "$line" '2026-01-01T00:00:00Z  INFO ingestor: ERROR in a text' >"$log"
        output=$(exec {screen}>&1 && wait_while_running '' "$log" 'a condition' 4 false) || true
        expect 'a wait shows the last warning of the log' contains "$output" "$line"
        if contains "$output" 'an earlier one' || contains "$output" 'INFO'; then fail "a wait shows another line of the log: $output"; fi
    done
}

end_of_a_process_is_described() {
    spawn failing TERM /dev/null bash -c 'exit 3'
    expect 'the exit status of a process is described' test "$(end_of failing)" = 'exit status 3'
    spawn aborting TERM /dev/null bash -c 'kill -ABRT $$'
    expect 'the signal that ended a process is described' test "$(end_of aborting)" = 'killed by SIGABRT'
    stop_processes 1 failing aborting
}

services_start_and_stop() {
    local before after port
    before=$(quietly_in_checkout services) || fail './dev services failed in the copy'
    expect 'services start in a folder with a space in its name' contains "$before" 'export DATABASE_URL='
    after=$(quietly_in_checkout services) || fail 'a second ./dev services failed in the copy'
    expect 'a second start uses the running services' test "$before" = "$after"
    expect 'env prints the same addresses' test "$before" = "$(in_checkout env)"
    while IFS='=' read -r _ port; do
        is_listening "$port" 0100007F || fail "port $port does not listen on loopback"
        if is_listening "$port" 00000000; then fail "port $port listens on every address"; fi
    done <"$checkout/target/dev/test/ports"
    info 'services listen on loopback only'
    for login in DATABASE_OWNER_URL DATABASE_URL DATABASE_ADMIN_URL; do
        "$(postgres_bin)/psql" --no-psqlrc --quiet -c 'select' "$(sed -n "s/^export $login='\(.*\)'/\1/p" <<<"$before")" >/dev/null ||
            fail "$login does not accept the login"
    done
    info 'each login is accepted'
    quietly_in_checkout test >/dev/null || fail './dev test failed in the copy'
    expect 'a run leaves kept services running' test "$before" = "$(in_checkout env)"
    quietly_in_checkout down || fail './dev down failed in the copy'
    expect 'down leaves no process and no port' nothing_is_running
}

down_stops_every_instance() {
    (use_instance_of_the_copy --other && spawn Redis TERM /dev/null sleep 600)
    if nothing_is_running; then fail 'the test is broken: a process should run in the instance'; fi
    quietly_in_checkout down || fail './dev down failed in the copy'
    expect 'down stops the processes of an instance that no command uses' nothing_is_running
}
use_instance_of_the_copy() { # NAME
    instance=$checkout/target/dev/$1
    mkdir -p "$instance"
}

process_with_a_recorded_pid_is_not_killed() {
    local process
    sleep 600 &
    process=$!
    mkdir -p "$checkout/target/dev/up/processes"
    echo "$process 1 $boot_id TERM" >"$checkout/target/dev/up/processes/001-Redis"
    quietly_in_checkout down || fail './dev down failed in the copy'
    expect 'a process with a recorded pid and another start time is not killed' kill -0 "$process"
    kill "$process"
}

invalid_arguments_are_refused() {
    local output status=0
    output=$(in_checkout donw 2>&1) || status=$?
    expect "an unknown command exits with 64 (it was $status)" test "$status" = 64
    expect 'and suggests the nearest command' contains "$output" './dev down'
    # A command that starts prints progress, with the seconds since its start.
    for arguments in 'services --foo' 'faucet' 'faucet chani' 'faucet chani many' 'env --foo' 'env up --foo' 'down --foo' 'check --foo' 'up --foo' 'up --workers' 'demo --foo' 'demo --seed' \
        'bench --profile nosuch' 'bench --seed' 'chaos' 'chaos nosuch' 'chaos --seed' 'chaos --seed 1' 'chaos --all op-7' \
        'chaos op-7 --minutes 2' 'chaos kill-anything --minutes 0' 'fuzz nosuch' 'fuzz --minutes' 'sqlx-prepare --foo' 'selftest --foo' 'images --foo' 'images --programs' 'images --no-test --demo' 'deploy-check --foo' 'coverage --foo' 'coverage --report' 'demo --from-image' 'upgrade-test --foo' 'upgrade-test --from nosuch' 'upgrade-test --programs'; do
        status=0
        # shellcheck disable=SC2086 # each word is an argument
        output=$(in_checkout $arguments 2>&1) || status=$?
        if contains "$output" ' s] '; then fail "./dev $arguments started before it was refused: $output"; fi
        expect "./dev $arguments is refused with 64 (it was $status)" test "$status" = 64
    done
    status=0
    output=$(REDIS_URL=redis://127.0.0.1:1 PATH="$stub_path" "$checkout/dev" services 2>&1) || status=$?
    expect 'a named service that does not respond is reported' contains "$output" 'REDIS_URL names 127.0.0.1:1'
    expect 'and no process is left' nothing_is_running
}

each_command_has_help() {
    local command output
    for command in up faucet demo test bench chaos upgrade-test fuzz check images deploy-check coverage down services env sqlx-prepare selftest; do
        output=$(in_checkout "$command" --help 2>&1) || fail "./dev $command --help failed"
        expect "./dev $command --help prints its help and no more" contains "$output" "./dev $command"
        if contains "$output" ' s] '; then fail "./dev $command --help started the command: $output"; fi
    done
}

# The names are read from the source of loadtests, so that an unknown one is refused before the build.
names_of_scenarios_and_profiles_are_found() {
    local listed
    listed=$("$root/target/debug/loadtests" chaos --list | sed -nE 's/^ *([0-9]+) ([a-z0-9-]+) .*/\1\n\2/p' | sort -u | paste -sd '|')
    expect 'the names of all scenarios are found' test "$(chaos_scenarios)" = "$listed"
    expect 'the names of the profiles are found' contains "|$(bench_profiles)|" '|short|mission|'
}

ready='Ctrl-C stops everything'
up_is_ready_or_gone() { grep -qs "$ready" "$instance/up.log" || ! kill -0 "$up" 2>/dev/null; }

# Leaves the process id of the script in `up`, once it is ready. The limit is for a machine on which much else runs.
start_up() {
    local since=$SECONDS
    # Emptied before the start, so that the output of the last run is not read.
    : >"$instance/up.log"
    exec_dev up >>"$instance/up.log" 2>&1 &
    up=$!
    wait_until './dev up in the copy' 240 up_is_ready_or_gone || true
    grep -qs "$ready" "$instance/up.log" || fail './dev up did not start in the copy'
    info "./dev up is ready after $((SECONDS - since)) s"
}

# The addresses that ./dev up prints are those of the running emulator. Leaves ./dev up running.
printed_addresses_respond() {
    local line
    start_up
    line=$(grep -oE 'http://[^ ]+/control$' "$instance/up.log" || true)
    expect 'the printed address of the control API responds' test "$(status_of "$line/addresses")" = 200
    line=$(grep -oE 'DISCORD_API_BASE=[^ ]+ DISCORD_TOKEN=[^ ]+$' "$instance/up.log" || true)
    [[ $line =~ =([^ ]+)\ .*=([^ ]+)$ ]] || fail 'up prints no address of REST with a token'
    expect 'the printed address of REST accepts the printed token' \
        test "$(status_of "${BASH_REMATCH[1]}/users/@me" "Authorization: Bot ${BASH_REMATCH[2]}")" = 200
    line=$(in_checkout env up) || fail './dev env up failed in the copy'
    expect 'env up has what commands of arrakis-worker need' contains "$(eval "$line" && arrakis-worker token-profiles list 2>&1)" bgt
    if contains "$line" 'DISCORD_TOKEN'; then fail 'env up prints the bot token'; fi
}
status_of() { # URL [HEADER]
    split_url "$1" 80
    http_status "$url_host" "$url_port" "/${1#*://*/}" "${2:-}"
}

# The chain of ./dev up decides the ranking: a claim by ./dev faucet changes the api's answer. Leaves ./dev up running.
a_wallet=0x00000000000000000000000000000000000fa0ce
holdings_come_from_the_chain() {
    local output
    contains "$(answer_of_api eligibility)" '"last_rank":69' || fail "the api has no ranking: $(answer_of_api eligibility)"
    output=$(eligible_wallets)
    expect "the ranking has 69 eligible wallets (it was $output)" test "$output" = 69
    output=$(quietly_in_checkout faucet "$a_wallet" 100000.5) || fail './dev faucet failed in the copy'
    expect 'the faucet prints rank and holding' contains "$output" 'no rank → rank 1, holding 0 → 100,000.5 BGT'
    expect 'the api answers from the chain' contains "$(answer_of_api "eligibility/$a_wallet")" '"rank":1,"held":"100000.5"'
    output=$(quietly_in_checkout faucet chani 100000) || fail './dev faucet chani failed in the copy'
    expect 'the faucet finds a member by name' contains "$output" 'rank 9 → rank 1'
    output=$(quietly_in_checkout faucet chani -100000) || fail './dev faucet with a negative amount failed in the copy'
    expect 'and burns a negative amount' contains "$output" 'rank 1 → rank 9'
}
holdings_are_kept_over_a_restart() {
    start_up
    expect 'the chain is kept over a restart' contains "$(answer_of_api "eligibility/$a_wallet")" '"rank":1,"held":"100000.5"'
    if grep -q 'began anew' "$instance/up.log"; then fail 'the chain began anew after a restart'; fi
    kill -INT "$up"
    wait "$up" || true
}
# npm is missing, and anvil with it.
up_without_npm_uses_seeded_rows() {
    local path_before=$stub_path status=0
    # Readable by the user as whom PostgreSQL runs.
    without_npm=$(mktemp -d)
    chmod 755 "$without_npm"
    cp -rs /usr/bin "$without_npm/bin"
    rm -f "$without_npm"/bin/{npm,node} "$checkout/target/tools"
    stub_path=$folder/bin:$without_npm/bin:/usr/sbin:/sbin
    start_up
    expect 'without npm, up states what is missing' grep -q 'no local chain: npm is not installed' "$instance/up.log"
    expect 'and the ranking is seeded rows' test "$(eligible_wallets)" = 69
    expect 'without the wallets of the chain' contains "$(answer_of_api "eligibility/$a_wallet")" '"rank":null'
    quietly_in_checkout faucet chani 5 || status=$?
    expect "and the faucet is refused (its exit code was $status)" test "$status" = 1
    stub_path=$path_before
    ln -s "$root/target/tools" "$checkout/target/tools"
}
answer_of_api() { # PATH: the body
    local url
    url=$(sed -nE 's|^ *api +(http://[^ ]+)/eligibility$|\1|p' "$instance/up.log")
    split_url "$url" 80
    http_body "$url_host" "$url_port" "/$1"
}
eligible_wallets() { answer_of_api eligibility | grep -oE '0x[0-9a-f]{40}' | wc -l; }

# up_stops_on SIGNAL: starts ./dev up, unless it runs already.
up_stops_on() {
    local status=0
    if ! kill -0 "${up:-none}" 2>/dev/null; then start_up; fi
    # Twice: a second signal must not interrupt the clean-up.
    kill -s "$1" "$up"
    kill -s "$1" "$up"
    wait "$up" || status=$?
    expect "SIG$1 ends ./dev up with 0 (it was $status)" test "$status" = 0
    expect 'and leaves no process' nothing_is_running
}

leftovers_of_a_killed_up_are_removed() {
    start_up
    kill -KILL "$up"
    wait "$up" 2>/dev/null || true
    if nothing_is_running; then fail 'the test is broken: SIGKILL should have left something'; fi
    up_stops_on INT
    expect 'the next start stops the processes that SIGKILL left' grep -q 'stopping processes of an earlier run' "$instance/up.log"
}

second_up_is_refused_and_down_stops_the_first() {
    local output status=0
    start_up
    output=$(in_checkout up 2>&1) || status=$?
    expect 'a second up in one checkout is refused' contains "$output" 'is running in this checkout'
    quietly_in_checkout down || fail './dev down failed in the copy'
    wait "$up" || true
    expect 'down stops the first and leaves no process' nothing_is_running
}

dead_worker_is_reported() {
    local status=0 pid
    start_up
    read -r pid _ <"$(echo "$checkout"/target/dev/up/processes/*-worker-1)"
    kill -KILL "$pid"
    wait_until 'the report of the dead worker' 60 grep -qs 'worker-1 ended unexpectedly: killed by SIGKILL' "$instance/up.log" ||
        fail 'a dead worker was not reported'
    wait_until 'the hint' 10 grep -qs 'to start worker-1 again: Ctrl-C, then ./dev up' "$instance/up.log" || fail 'the report has no hint'
    kill -TERM "$up"
    wait "$up" || status=$?
    expect "a dead worker is reported, and the exit code is 1 (it was $status)" test "$status" = 1
    expect 'and no process is left' nothing_is_running
}
