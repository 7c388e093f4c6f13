# shellcheck shell=bash
# Output of ./dev: progress on stderr with the time since the start, results on stdout, so that a result can be piped. Colour and
# lines that rewrite themselves only where stderr is a terminal; NO_COLOR turns colour off (https://no-color.org).

bold='' dim='' red='' green='' yellow='' plain=''
is_terminal=false
# stderr at the start of the script: a signal may arrive during a command whose stderr goes to a log.
exec {screen}>&2
if [[ -t 2 && ${TERM:-dumb} != dumb ]]; then
    is_terminal=true
    if [[ -z ${NO_COLOR:-} ]]; then
        bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' plain=$'\e[0m'
    fi
fi

started_us=${EPOCHREALTIME/[.,]/}

# Whole seconds since ./dev started.
elapsed_s() { echo $(((${EPOCHREALTIME/[.,]/} - started_us) / 1000000)); }

# Seconds since ./dev started, with one decimal, for the prefix of each line.
elapsed() {
    local tenths=$(((${EPOCHREALTIME/[.,]/} - started_us) / 100000))
    printf '%3d.%d s' $((tenths / 10)) $((tenths % 10))
}

erase_wait() { if $is_terminal; then printf '\r\e[K' >&"$screen"; fi; }

# Set once the output has to end with another program's summary.
quiet=false

info() {
    if $quiet; then return; fi
    erase_wait
    printf '%s[%s]%s %s\n' "$dim" "$(elapsed)" "$plain" "$*" >&"$screen"
}
success() { info "$green$*$plain"; }
warn() { info "${yellow}warning:$plain $*"; }

# die MESSAGE [HINT] [STATUS]: the message states what happened; the hint, what to do.
die() {
    erase_wait
    printf '%serror:%s %s\n' "$red" "$plain" "$1" >&"$screen"
    if [[ -n ${2:-} ]]; then printf '  %shint:%s %s\n' "$bold" "$plain" "$2" >&"$screen"; fi
    exit "${3:-1}"
}

# The line with the condition that is waited for. On a terminal it rewrites itself; elsewhere it appears after 3, 6, 12, … seconds.
waiting_shown_at=0
show_waiting() { # WHAT SECONDS
    if $quiet; then return; fi
    if $is_terminal; then
        printf '\r\e[K%s[%s]%s waiting for %s (%d s)' "$dim" "$(elapsed)" "$plain" "$1" "$2" >&"$screen"
    elif (($2 >= 3 && $2 >= 2 * waiting_shown_at)); then
        info "waiting for $1 ($2 s)"
        waiting_shown_at=$2
    fi
}

# Progress of a build, from the end of its log: cargo's count of crates, or its other activity. On a terminal the line rewrites
# itself twice a second; elsewhere there is one every 30 s.
progress_shown_at=0
show_progress() { # LOG SECONDS
    if $quiet; then return; fi
    local end count what
    if ! $is_terminal && (($2 < progress_shown_at + 30)); then return; fi
    end=$(tail -c 2000 "$1" 2>/dev/null | tr '\r' '\n' | grep -v '^ *$' | tail -n 8 || true)
    count=$(grep -oE '[0-9]+/[0-9]+' <<<"$end" | tail -n 1 || true)
    what=$(tail -n 1 <<<"$end")
    case $what in
    *Blocking*) what='waiting for another cargo process' ;;
    *Download*) what='downloading crates' ;;
    *Updating* | *Locking*) what='resolving versions' ;;
    *) what=${count:+"$count crates"} ;;
    esac
    what="building: ${what:-starting} ($2 s; log: ${1#"$root/"})"
    if $is_terminal; then
        printf '\r\e[K%s[%s]%s %s' "$dim" "$(elapsed)" "$plain" "$what" >&"$screen"
    elif (($2 > 0)); then
        info "$what"
        progress_shown_at=$2
    fi
}

# wait_until WHAT LIMIT_SECONDS CONDITION…: checks ten times a second. False when the limit has passed.
wait_until() { wait_while_running '' '' "$@"; }

# wait_while_running NAME LOG WHAT LIMIT_SECONDS CONDITION…: as `wait_until`; also false when the process has ended, so that the
# condition cannot become true. After 3, 6, 12, … seconds it shows the last warning or error of the log, if a log is given. The name
# is local: a signal during this wait starts the clean-up, whose waits have other conditions.
wait_while_running() {
    local process=$1 log=$2 what=$3 limit=$4 since_us=${EPOCHREALTIME/[.,]/} seconds warning shown='' next=3
    shift 4
    waiting_shown_at=0
    until "$@"; do
        seconds=$(((${EPOCHREALTIME/[.,]/} - since_us) / 1000000))
        if ((seconds >= limit)) || { [[ -n $process ]] && ! is_running "$process"; }; then
            erase_wait
            return 1
        fi
        if [[ -n $log ]] && ((seconds >= next)); then
            next=$((2 * seconds))
            warning=$(last_warning "$log")
            if [[ -n $warning && $warning != "$shown" ]]; then info "$process: $yellow$warning$plain"; fi
            shown=$warning
        fi
        show_waiting "$what" "$seconds"
        pause 0.1
    done
    erase_wait
}

# The last warning or error in the log of a program of Arrakis, as text or as JSON; nothing when there is none.
last_warning() { # LOG
    tail -c 100000 "$1" 2>/dev/null | sed 's/\x1b\[[0-9;]*m//g' | grep -aE '^[^ ]+ +(WARN|ERROR) |"level":"(WARN|ERROR)"' | tail -n 1 | cut -c 1-300 || true
}

# A sleep that a signal interrupts at once. Not `read -t`: a signal at its timeout sometimes crashes bash 5.2.
pause() { # SECONDS
    sleep "$1" >/dev/null 2>&1 {lock_fd}>&- {screen}>&- &
    wait $! || true
}

# An excerpt of a log, indented: its first errors and its last lines.
show_log() { # FILE LINES
    [[ -s $1 ]] || return 0
    {
        head -n -"$2" "$1" | grep -iE -m 5 '\b(error|fatal|panicked)\b' || true
        tail -n "$2" "$1"
    } | cut -c 1-300 | sed 's/^/    | /' >&"$screen"
}
