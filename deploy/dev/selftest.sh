# shellcheck shell=bash
# ./dev selftest: that ./dev keeps its word. It runs in a checkout of its own below a private temporary folder with a space in its
# name, with the real services and the real programs, and is stopped in every way that a machine knows.

command_selftest() {
    (($# == 0)) || usage_error "selftest takes no arguments" "./dev selftest"
    use_instance selftest
    take_lock selftest
    ensure_tools
    clear_leftovers
    at_exit end_selftest
    # As ./dev test builds, so that one build serves both.
    say "building the programs and their tests"
    build_suite || die "the build failed" "cargo's message above says where"
    local folder
    folder=$(mktemp -d)
    checkout="$folder/a checkout"
    echo "$folder" >"$instance/folder"
    mkdir -p "$checkout/target" "$folder/bin"
    cp -a "$root/dev" "$root/deploy" "$checkout"
    ln -s "$root/target/debug" "$checkout/target/debug"
    # All is built; a build in the copy would only cost time.
    printf '#!/bin/sh\nexit 0\n' >"$folder/bin/cargo"
    chmod +x "$folder/bin/cargo"
    stub_path=$folder/bin:$PATH

    services_come_and_go
    a_stranger_with_a_recorded_pid_lives
    wrong_words_are_refused
    up_ends_on INT
    up_ends_on TERM
    a_killed_up_is_cleared_by_the_next
    two_at_once_are_refused_and_down_ends_the_first
    a_dead_service_is_reported
    good "./dev keeps its word"
}

end_selftest() {
    # One that has only just been started holds no lock yet, by which `down` would find it.
    if [[ -n ${up:-} ]] && kill -TERM "$up" 2>/dev/null; then wait "$up" || true; fi
    if [[ -n ${checkout:-} ]]; then in_checkout down --clean >/dev/null 2>&1 || true; fi
    if [[ -s $instance/folder ]]; then rm -rf "$(<"$instance/folder")"; fi
    rm -rf "$instance"
}

# What a script starts in the background ignores Ctrl-C unless told otherwise.
become_dev() { exec env --default-signal=INT "${credentials[@]/#/--unset=}" PATH="$stub_path" NO_COLOR=1 "$checkout/dev" "$@"; }
in_checkout() { (become_dev "$@"); }
# The same with what it says in a log, which is shown once something is not as it should be.
quietly_in_checkout() { (become_dev "$@" 2>>"$instance/copy.log"); }

expect() { # WHAT CONDITION…
    local what=$1
    shift
    "$@" || fail "$what: not so"
    say "$what"
}
contains() { [[ $1 == *"$2"* ]]; }

# fail MESSAGE: with all that a reader of a log on another machine needs: what ./dev said in the copy, and what was found there.
fail() {
    local file
    for file in "$instance"/copy.log "$instance"/up.log; do
        [[ -s $file ]] || continue
        say "the last of ${file##*/}:"
        show_log "$file" 25
    done
    if [[ -n $what_is_left ]]; then
        say "what was left of the copy:"
        echo "$what_is_left" >&"$screen"
    fi
    die "$1"
}

# A line for each process that carries the mark of an instance of the copy, and for each of its ports that is in use.
left() {
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
what_is_left=''
nothing_is_left() {
    what_is_left=$(left)
    [[ -z $what_is_left ]]
}

is_listening() { # PORT ADDRESS: the address as /proc/net/tcp writes it; 0A is LISTEN
    local hex
    printf -v hex '%04X' "$1"
    grep -qsE "^ *[0-9]+: $2:$hex [0-9A-F]+:0000 0A " /proc/net/tcp /proc/net/tcp6
}

services_come_and_go() {
    local before after port
    before=$(quietly_in_checkout services) || fail './dev services failed in the copy'
    expect 'services start in a private folder with a space in its name' contains "$before" 'export DATABASE_URL='
    after=$(quietly_in_checkout services) || fail 'a second ./dev services failed in the copy'
    expect 'a second start finds them running' test "$before" = "$after"
    expect 'env tells the same' test "$before" = "$(in_checkout env)"
    while IFS='=' read -r _ port; do
        is_listening "$port" 0100007F || fail "port $port does not listen on loopback"
        if is_listening "$port" 00000000; then fail "port $port listens on every address"; fi
    done <"$checkout/target/dev/test/ports"
    say 'they listen on loopback alone'
    for login in DATABASE_OWNER_URL DATABASE_URL DATABASE_ADMIN_URL; do
        "$(postgres_bin)/psql" --no-psqlrc --quiet -c 'select' "$(sed -n "s/^export $login='\(.*\)'/\1/p" <<<"$before")" >/dev/null ||
            fail "$login does not open"
    done
    say 'each login opens'
    quietly_in_checkout test >/dev/null || fail './dev test failed in the copy'
    expect 'a run leaves kept services running' test "$before" = "$(in_checkout env)"
    quietly_in_checkout down || fail './dev down failed in the copy'
    expect 'down leaves nothing' nothing_is_left
}

a_stranger_with_a_recorded_pid_lives() {
    local stranger
    sleep 600 &
    stranger=$!
    mkdir -p "$checkout/target/dev/up/processes"
    echo "$stranger 1 $boot_id TERM" >"$checkout/target/dev/up/processes/001-Redis"
    quietly_in_checkout down || fail './dev down failed in the copy'
    expect 'a stranger who has a recorded pid is left alone' kill -0 "$stranger"
    kill "$stranger"
}

wrong_words_are_refused() {
    local said status=0
    said=$(in_checkout donw 2>&1) || status=$?
    expect "an unknown command ends with 64 (it was $status)" test "$status" = 64
    expect 'and names the nearest' contains "$said" './dev down'
    status=0
    said=$(REDIS_URL=redis://127.0.0.1:1 PATH="$stub_path" "$checkout/dev" services 2>&1) || status=$?
    expect 'a named service that is not there is named' contains "$said" 'REDIS_URL names 127.0.0.1:1'
    expect 'and nothing is left' nothing_is_left
}

ready='Ctrl-C stops everything'
up_is_ready_or_gone() { grep -qs "$ready" "$instance/up.log" || ! kill -0 "$up" 2>/dev/null; }

# Leaves the process id of the script in `up`, once it is ready. The limit is for a machine on which much else runs.
start_up() {
    local since=$SECONDS
    # Emptied here: the process in the background may get to it later than we look, and find what the last one said.
    : >"$instance/up.log"
    become_dev up >>"$instance/up.log" 2>&1 &
    up=$!
    wait_until './dev up in the copy' 240 up_is_ready_or_gone || true
    grep -qs "$ready" "$instance/up.log" || fail './dev up did not come up in the copy'
    say "./dev up is ready after $((SECONDS - since)) s"
}

up_ends_on() { # SIGNAL
    local status=0
    start_up
    # Twice, as an impatient hand does.
    kill -s "$1" "$up"
    kill -s "$1" "$up"
    wait "$up" || status=$?
    expect "SIG$1 ends it with 0 (it was $status)" test "$status" = 0
    expect 'and leaves nothing' nothing_is_left
}

a_killed_up_is_cleared_by_the_next() {
    start_up
    kill -KILL "$up"
    wait "$up" 2>/dev/null || true
    if nothing_is_left; then fail 'the test is broken: SIGKILL should have left something'; fi
    up_ends_on INT
    expect 'the next start has cleared what SIGKILL left' grep -q 'clearing what an earlier run left' "$instance/up.log"
}

two_at_once_are_refused_and_down_ends_the_first() {
    local said status=0
    start_up
    said=$(in_checkout up 2>&1) || status=$?
    expect 'a second up in one checkout is refused' contains "$said" 'is at work in this checkout'
    quietly_in_checkout down || fail './dev down failed in the copy'
    wait "$up" || true
    expect 'down ends the first and leaves nothing' nothing_is_left
}

a_dead_service_is_reported() {
    local status=0 pid
    start_up
    read -r pid _ <"$(echo "$checkout"/target/dev/up/processes/*-worker-1)"
    kill -KILL "$pid"
    wait_until 'the report' 60 grep -qs 'worker-1 died' "$instance/up.log" || fail 'a dead worker was not reported'
    kill -TERM "$up"
    wait "$up" || status=$?
    expect "a dead worker is reported, and the exit code tells with 1 (it was $status)" test "$status" = 1
    expect 'and nothing is left' nothing_is_left
}
