# shellcheck shell=bash
# Processes that ./dev starts. Each is recorded before it runs, so that the next ./dev finds it, whatever happens to this one.
#
# A record has pid, start time and boot id, which together identify a process even when its pid is reused. Children of recorded
# processes have ARRAKIS_DEV_INSTANCE in their environment, by which orphans are found. Every process leads its own session: Ctrl-C
# reaches only ./dev, which then stops them in order.

boot_id=$(</proc/sys/kernel/random/boot_id)

# Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); empty when it has ended or is a zombie.
start_time_of() { # PID
    local stat fields
    { stat=$(</proc/"$1"/stat); } 2>/dev/null || return 0
    read -ra fields <<<"${stat##*) }"
    if [[ ${fields[0]} != [ZX] ]]; then echo "${fields[19]}"; fi
}

is_process() { # PID START BOOT
    [[ $3 == "$boot_id" && -n $1 && "$(start_time_of "$1")" == "$2" ]]
}

# The shell records itself and then execs the command, so that the command never runs without a record.
# shellcheck disable=SC2016
record_and_become='
    record=$1 signal=$2 boot_id=$3
    shift 3
    stat=$(</proc/$$/stat)
    read -ra fields <<<"${stat##*) }"
    printf "%s %s %s %s\n" $$ "${fields[19]}" "$boot_id" "$signal" >"$record"
    exec "$@"'

# Path of the next record; numbered, so that processes can be stopped in reverse order.
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
# A subshell waits for the service and writes its exit status to a file, for `end_of`.
spawn() {
    local record child signal=$2 log=$3 status_file=$instance/processes/$1.status
    record=$(next_record "$1")
    : >"$status_file"
    shift 3
    # The subshell has no output of its own: bash would write a line when the service is killed.
    {
        status=0
        ARRAKIS_DEV_INSTANCE=$instance setsid bash -c "$record_and_become" spawn "$record" "$signal" "$boot_id" "$@" \
            >>"$log" 2>&1 || status=$?
        # stop_processes removes the file of a service that it has stopped.
        if [[ -e $status_file ]]; then echo "$status" >"$status_file"; fi
    } >/dev/null 2>&1 </dev/null {lock_fd}>&- {screen}>&- &
    # Saved, since `pause` starts a child of its own and changes `$!`.
    child=$!
    # Wait for the record, so that the next check does not take the process for ended.
    until [[ -s $record ]] || ! kill -0 "$child" 2>/dev/null; do pause 0.01; done
    # Otherwise bash prints a line when the process is killed.
    disown "$child" 2>/dev/null || true
}

# run_attached NAME COMMAND…: runs the command on this terminal and returns its exit code. It runs in the background of the script,
# since bash handles signals only between two foreground commands.
run_attached() {
    local name=$1 record status=0
    shift
    record=$(next_record "$name")
    setsid bash -c "$record_and_become" run "$record" group:TERM "$boot_id" "$@" </dev/null {lock_fd}>&- {screen}>&- &
    wait $! || status=$?
    rm -f "$record"
    return "$status"
}

# run_quietly WHAT LOG COMMAND…: runs the command with its output in a log, and shows a waiting line.
run_quietly() {
    local what=$1 log=$2 status=0 child since_us=${EPOCHREALTIME/[.,]/}
    shift 2
    "$@" >>"$log" 2>&1 </dev/null {lock_fd}>&- {screen}>&- &
    child=$!
    waiting_shown_at=0
    while kill -0 "$child" 2>/dev/null; do
        show_waiting "$what" $(((${EPOCHREALTIME/[.,]/} - since_us) / 1000000))
        pause 0.2
    done
    erase_wait
    wait "$child" || status=$?
    return "$status"
}

# run_with_progress NAME LOG COMMAND…: run_attached with the output in a log, and a line with cargo's progress.
run_with_progress() {
    local log=$2 record child status=0 since_us=${EPOCHREALTIME/[.,]/}
    record=$(next_record "$1")
    shift 2
    setsid bash -c "$record_and_become" run "$record" group:TERM "$boot_id" "$@" >"$log" 2>&1 </dev/null {lock_fd}>&- {screen}>&- &
    child=$!
    progress_shown_at=0
    while kill -0 "$child" 2>/dev/null; do
        show_progress "$log" $(((${EPOCHREALTIME/[.,]/} - since_us) / 1000000))
        pause 0.5
    done
    erase_wait
    wait "$child" || status=$?
    rm -f "$record"
    return "$status"
}

# send_signal PID SIGNAL, with the signal in the form of a record.
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

# The way in which a process has ended, for a message. Its status is written directly after its end.
end_of() { # NAME
    local status='' signal file=$instance/processes/$1.status
    wait_until "the exit status of $1" 2 test -s "$file" || true
    read -r status 2>/dev/null <"$file" || true
    if [[ -z $status ]]; then
        echo 'its exit status is unknown'
    elif ((status > 128)) && signal=$(kill -l "$status" 2>/dev/null); then
        echo "killed by SIG$signal"
    else
        echo "exit status $status"
    fi
}

# stop_processes GRACE_SECONDS NAME…: signals all, then waits for all; those that exceed the grace period are killed.
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
            rm -f "$record" "$instance/processes/$name.status"
        fi
    done
    for name in "${waiting[@]}"; do
        record=$(record_of "$name")
        read -r pid start boot signal <"$record"
        if ! wait_until "$name to stop" "$grace" process_is_gone "$pid" "$start" "$boot"; then
            warn "$name did not stop within $grace s of SIG${signal#group:} and is killed"
            send_signal "$pid" group:KILL
            wait_until "$name to end" 10 process_is_gone "$pid" "$start" "$boot" || true
        fi
        rm -f "$record" "$instance/processes/$name.status"
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

# Processes with this instance's mark in their environment, except the callers of this script. Services have its path; processes of a
# run of tests or of the demo have "PATH run", so that they can be stopped while kept services stay.
marked_pids() { # [run]: only those of a run
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

# Stops every process that an earlier run left in this instance, and prints their names.
clear_leftovers() { # [MESSAGE]
    local names pids
    mapfile -t names < <(recorded_names)
    local alive=()
    local name
    for name in "${names[@]}"; do
        if is_running "$name"; then alive+=("$name"); fi
    done
    if ((${#alive[@]} > 0)); then info "${1:-stopping processes of an earlier run}: ${alive[*]}"; fi
    # One after the other, in the normal order of stopping.
    for name in "${names[@]}"; do stop_processes 15 "$name"; done
    sweep_marked
}

sweep_marked() { # [run]
    local pids
    mapfile -t pids < <(marked_pids "$@")
    if ((${#pids[@]} > 0)); then
        kill -KILL "${pids[@]}" 2>/dev/null || true
        wait_until 'orphaned processes to end' 10 no_marked_left "$@" || warn "still running: $(marked_pids "$@" | tr '\n' ' ')"
    fi
}
no_marked_left() { [[ -z $(marked_pids "$@") ]]; }

# ---- one ./dev at a time in an instance ------------------------------------------------------------------------------------

# The lock's file descriptor, which no child may inherit. Until the lock is taken, an unused number.
lock_fd=999

# take_lock COMMAND: a kernel lock, which ends with this process. The file "holder" names the process.
take_lock() {
    mkdir -p "$instance"
    exec {lock_fd}>>"$instance/lock"
    if ! flock -n "$lock_fd"; then
        local pid start boot what
        read -r pid start boot what <"$instance/holder" 2>/dev/null || true
        : "$start" "$boot"
        die "another ./dev ${what:-command} (process ${pid:-unknown}) is running in this checkout" \
            "wait for it, or stop it with ./dev down"
    fi
    echo "$$ $(start_time_of $$) $boot_id $1" >"$instance/holder"
}

release_lock() {
    rm -f "$instance/holder"
    exec {lock_fd}>&-
    lock_fd=999
}

# Stops the ./dev that holds the lock, and waits for its end.
end_lock_holder() {
    [[ -e $instance/lock ]] || return 0
    exec {lock_fd}>>"$instance/lock"
    if ! flock -n "$lock_fd"; then
        local pid start boot what
        if read -r pid start boot what <"$instance/holder" && is_process "$pid" "$start" "$boot"; then
            info "stopping ./dev $what (process $pid)"
            kill -TERM "$pid" 2>/dev/null || true
        fi
        wait_until "./dev ${what:-} to end" 60 flock -n "$lock_fd" ||
            die "./dev ${what:-} (process ${pid:-unknown}) did not end within 60 s" "kill -KILL ${pid:-it}, then ./dev down again"
    fi
}
