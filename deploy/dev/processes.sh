# shellcheck shell=bash
# Processes that ./dev starts: each is recorded before it runs, so that whatever happens to the script, the next one finds it.
#
# A record holds pid, start time and boot id: the three together name one process for ever, so a recycled pid is never
# mistaken for ours. Children of recorded processes carry ARRAKIS_DEV_INSTANCE in their environment; that finds orphans too.
# Every process leads a session of its own: Ctrl-C reaches ./dev alone, which then stops them in order.

boot_id=$(</proc/sys/kernel/random/boot_id)

# Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); empty when it is gone or a zombie.
start_time_of() { # PID
    local stat fields
    { stat=$(</proc/"$1"/stat); } 2>/dev/null || return 0
    read -ra fields <<<"${stat##*) }"
    if [[ ${fields[0]} != [ZX] ]]; then echo "${fields[19]}"; fi
}

is_process() { # PID START BOOT
    [[ $3 == "$boot_id" && -n $1 && "$(start_time_of "$1")" == "$2" ]]
}

# The shell writes the record of itself and becomes the command: at no instant does that run unrecorded.
# shellcheck disable=SC2016
record_and_become='
    record=$1 signal=$2 boot_id=$3
    shift 3
    stat=$(</proc/$$/stat)
    read -ra fields <<<"${stat##*) }"
    printf "%s %s %s %s\n" $$ "${fields[19]}" "$boot_id" "$signal" >"$record"
    exec "$@"'

# Path for the next record; numbered, so that stopping can go backwards.
next_record() { # NAME
    local existing number=000
    mkdir -p "$instance/processes"
    for existing in "$instance"/processes/[0-9][0-9][0-9]-*; do
        existing=${existing##*/}
        number=${existing%%-*}
    done
    printf '%s/processes/%03d-%s' "$instance" $((10#$number + 1)) "$1"
}

# spawn NAME STOP_SIGNAL LOG COMMAND…: starts a service in the background. A signal written as group:TERM goes to its children too.
spawn() {
    local record child signal=$2 log=$3
    record=$(next_record "$1")
    shift 3
    ARRAKIS_DEV_INSTANCE=$instance setsid bash -c "$record_and_become" spawn "$record" "$signal" "$boot_id" "$@" \
        >>"$log" 2>&1 </dev/null {lock_fd}>&- {screen}>&- &
    # Kept, since a pause has a child of its own, which `$!` is from then on.
    child=$!
    # The record is there in milliseconds; who asks for it next must not find nothing and believe that it died.
    until [[ -s $record ]] || ! kill -0 "$child" 2>/dev/null; do pause 0.01; done
    # Else bash itself prints a line when it is killed.
    disown "$child" 2>/dev/null || true
}

# run_attached NAME COMMAND…: runs it to its end, on this terminal, and gives its exit code. In the background of the
# script, since bash sees a signal only between two foreground commands, and then it is late.
run_attached() {
    local name=$1 record status=0
    shift
    record=$(next_record "$name")
    setsid bash -c "$record_and_become" run "$record" group:TERM "$boot_id" "$@" </dev/null {lock_fd}>&- {screen}>&- &
    wait $! || status=$?
    rm -f "$record"
    return "$status"
}

# run_quietly WHAT LOG COMMAND…: the same with the output in a log and a line that says what is being waited for.
run_quietly() {
    local what=$1 log=$2 status=0 child since_us=${EPOCHREALTIME/[.,]/}
    shift 2
    "$@" >>"$log" 2>&1 </dev/null {lock_fd}>&- {screen}>&- &
    child=$!
    wait_said_at=0
    while kill -0 "$child" 2>/dev/null; do
        say_waiting "$what" $(((${EPOCHREALTIME/[.,]/} - since_us) / 1000000))
        pause 0.2
    done
    erase_wait
    wait "$child" || status=$?
    return "$status"
}

# run_with_progress NAME LOG COMMAND…: run_attached with the output in a log, and a line of how far cargo is.
run_with_progress() {
    local log=$2 record child status=0 since_us=${EPOCHREALTIME/[.,]/}
    record=$(next_record "$1")
    shift 2
    setsid bash -c "$record_and_become" run "$record" group:TERM "$boot_id" "$@" >"$log" 2>&1 </dev/null {lock_fd}>&- {screen}>&- &
    child=$!
    progress_said_at=0
    while kill -0 "$child" 2>/dev/null; do
        say_progress "$log" $(((${EPOCHREALTIME/[.,]/} - since_us) / 1000000))
        pause 0.5
    done
    erase_wait
    wait "$child" || status=$?
    rm -f "$record"
    return "$status"
}

# send_signal PID SIGNAL, as a record has it.
send_signal() {
    local target=$1
    if [[ $2 == group:* ]]; then target=-$1; fi
    kill -s "${2#group:}" -- "$target" 2>/dev/null || true
}

record_of() { # NAME: path of the newest record of that name; empty when there is none
    local found=("$instance/processes/"[0-9][0-9][0-9]-"$1")
    if ((${#found[@]} > 0)); then echo "${found[-1]}"; fi
}

is_running() { # NAME
    local record pid start boot signal
    record=$(record_of "$1")
    [[ -n $record ]] || return 1
    read -r pid start boot signal <"$record" || return 1
    : "$signal"
    is_process "$pid" "$start" "$boot"
}

# stop_processes GRACE_SECONDS NAME…: signals them all, then waits for them all; the ones that outstay the grace are killed.
stop_processes() {
    local grace=$1 name record pid start boot signal waiting=()
    shift
    for name in "$@"; do
        record=$(record_of "$name")
        [[ -n $record ]] || continue
        if read -r pid start boot signal <"$record" && is_process "$pid" "$start" "$boot"; then
            send_signal "$pid" "$signal"
            waiting+=("$name")
        else
            rm -f "$record"
        fi
    done
    for name in "${waiting[@]}"; do
        record=$(record_of "$name")
        read -r pid start boot signal <"$record"
        if ! wait_until "$name to stop" "$grace" process_is_gone "$pid" "$start" "$boot"; then
            warn "$name did not stop within $grace s of SIG${signal#group:} and is killed"
            send_signal "$pid" group:KILL
            wait_until "$name to die" 10 process_is_gone "$pid" "$start" "$boot" || true
        fi
        rm -f "$record"
    done
}
process_is_gone() { ! is_process "$@"; }

recorded_names() { # of everything recorded, the newest first
    local record name
    for record in "$instance"/processes/[0-9][0-9][0-9]-*; do
        [[ -e $record ]] || continue
        name=${record##*/}
        echo "${name#*-}"
    done | tac
}

# Processes that carry a mark of this instance, the callers of this script excepted. Services carry its path; what a run
# of tests or of the demo starts carries "PATH run", so that it can be cleared while kept services stay.
marked_pids() { # [run]: those of a run alone
    local callers=' ' pid=$$ stat fields file
    while ((pid > 1)); do
        callers+="$pid "
        { stat=$(</proc/"$pid"/stat); } 2>/dev/null || break
        read -ra fields <<<"${stat##*) }"
        pid=${fields[1]}
    done
    local marks=(-e "ARRAKIS_DEV_INSTANCE=$instance run")
    if [[ ${1:-} != run ]]; then marks+=(-e "ARRAKIS_DEV_INSTANCE=$instance"); fi
    grep -lsazxF "${marks[@]}" /proc/[0-9]*/environ 2>/dev/null | while read -r file; do
        pid=${file#/proc/}
        pid=${pid%/environ}
        [[ $callers == *" $pid "* ]] || echo "$pid"
    done
}

# Everything that an earlier run has left of this instance. Says so when there is something.
clear_leftovers() { # [WHAT_IT_SAYS]
    local names pids
    mapfile -t names < <(recorded_names)
    local alive=()
    local name
    for name in "${names[@]}"; do
        if is_running "$name"; then alive+=("$name"); fi
    done
    if ((${#alive[@]} > 0)); then say "${1:-clearing what an earlier run left}: ${alive[*]}"; fi
    # One after the other: in the order in which a proper end would have stopped them.
    for name in "${names[@]}"; do stop_processes 15 "$name"; done
    sweep_marked
}

sweep_marked() { # [run]
    local pids
    mapfile -t pids < <(marked_pids "$@")
    if ((${#pids[@]} > 0)); then
        kill -KILL "${pids[@]}" 2>/dev/null || true
        wait_until 'orphans to die' 10 no_marked_left "$@" || warn "still there: $(marked_pids "$@" | tr '\n' ' ')"
    fi
}
no_marked_left() { [[ -z $(marked_pids "$@") ]]; }

# ---- one ./dev at a time in an instance ------------------------------------------------------------------------------------

# The lock's file descriptor, which no child may inherit. Until the lock is taken, one that nobody has open.
lock_fd=999

# take_lock COMMAND: the lock is the kernel's and ends with this process, however that ends. The file says who holds it.
take_lock() {
    mkdir -p "$instance"
    exec {lock_fd}>>"$instance/lock"
    if ! flock -n "$lock_fd"; then
        local pid start boot what
        read -r pid start boot what <"$instance/holder" 2>/dev/null || true
        : "$start" "$boot"
        die "another ./dev ${what:-command} (process ${pid:-unknown}) is at work in this checkout" \
            "wait for it, or stop it with ./dev down"
    fi
    echo "$$ $(start_time_of $$) $boot_id $1" >"$instance/holder"
}

release_lock() {
    rm -f "$instance/holder"
    exec {lock_fd}>&-
    lock_fd=999
}

# Asks the ./dev that holds the lock to end, and waits for it.
end_lock_holder() {
    [[ -e $instance/lock ]] || return 0
    exec {lock_fd}>>"$instance/lock"
    if ! flock -n "$lock_fd"; then
        local pid start boot what
        if read -r pid start boot what <"$instance/holder" && is_process "$pid" "$start" "$boot"; then
            say "stopping ./dev $what (process $pid)"
            kill -TERM "$pid" 2>/dev/null || true
        fi
        wait_until "./dev ${what:-} to end" 60 flock -n "$lock_fd" ||
            die "./dev ${what:-} (process ${pid:-unknown}) does not end" "kill -KILL ${pid:-it}, then ./dev down again"
    fi
}
