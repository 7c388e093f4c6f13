# shellcheck shell=bash
# Checks of command lines, before any build and before any service starts: here are those of arguments that a command passes on to
# another program.

usage_error() { # MESSAGE HINT
    die "$1" "$2" 64
}

# has_help_option ARGUMENT…: whether -h or --help is among them. Arguments after -- are those of another program.
has_help_option() {
    local argument
    for argument in "$@"; do
        case $argument in
        -h | --help) return 0 ;;
        --) return 1 ;;
        esac
    done
    return 1
}

# split_options ARGUMENT…: sets `arguments` to them, with --OPTION=VALUE as two elements.
split_options() {
    local argument
    arguments=()
    for argument in "$@"; do
        if [[ $argument == --*=* ]]; then arguments+=("${argument%%=*}" "${argument#*=}"); else arguments+=("$argument"); fi
    done
}

# check_value OPTION VALUE PATTERN WHAT EXAMPLE: refuses a value that does not match the extended regular expression.
check_value() {
    if [[ ! $2 =~ ^($3)$ ]]; then usage_error "$1 needs $4${2:+, not \"$2\"}" "$5"; fi
}
a_number='0|[1-9][0-9]{0,18}'

check_demo_arguments() {
    split_options "$@"
    set -- "${arguments[@]}"
    while (($# > 0)); do
        case $1 in
        --seed) check_value --seed "${2:-}" "$a_number" 'a number' './dev demo --seed 2' && shift ;;
        --from-images) ;;
        *) usage_error "unknown argument $1" './dev demo [--seed N] [--from-images]' ;;
        esac
        shift
    done
}

check_bench_arguments() {
    local profiles
    profiles=$(bench_profiles)
    split_options "$@"
    set -- "${arguments[@]}"
    while (($# > 0)); do
        case $1 in
        --profile) check_value --profile "${2:-}" "${profiles:-.+}" "a profile" "profiles: ${profiles//|/ }" && shift ;;
        --seed) check_value --seed "${2:-}" "$a_number" 'a number' './dev bench --seed 2' && shift ;;
        --result | --baselines) check_value "$1" "${2:-}" '[^-].*' 'a path' "./dev bench $1 PATH" && shift ;;
        --keep) ;;
        *) usage_error "unknown argument $1" './dev bench --help lists the options and profiles' ;;
        esac
        shift
    done
}

# Names of the profiles in the source of loadtests, separated by |; nothing when they are not found there.
bench_profiles() { sed -nE 's/^ *Self::[A-Za-z]+ => "([a-z-]+)",$/\1/p' "$root/loadtests/src/bench/profiles/mod.rs" | paste -sd '|'; }

check_chaos_arguments() {
    local scenarios all=false minutes=false name names=()
    scenarios=$(chaos_scenarios)
    split_options "$@"
    set -- "${arguments[@]}"
    while (($# > 0)); do
        case $1 in
        --all) all=true ;;
        --list | --without-guard) ;;
        --seed) check_value --seed "${2:-}" "$a_number" 'a number' './dev chaos --all --seed 2' && shift ;;
        --minutes) check_value --minutes "${2:-}" '[1-9][0-9]{0,3}|10080' 'a number of minutes' './dev chaos kill-anything --minutes 10' && shift && minutes=true ;;
        -*) usage_error "unknown option $1" './dev chaos --help' ;;
        *)
            if [[ -n $scenarios && ! $1 =~ ^($scenarios)$ ]]; then
                usage_error "there is no scenario $1" './dev chaos --list lists their names and fault numbers'
            fi
            names+=("$1")
            ;;
        esac
        shift
    done
    for name in "${names[@]}"; do
        if $minutes && [[ $name == *[a-z]* && $name != kill-anything ]]; then
            usage_error '--minutes is for kill-anything only' './dev chaos kill-anything --minutes 10'
        fi
    done
    if $all && ((${#names[@]} > 0)); then usage_error "--all and names of scenarios exclude each other" './dev chaos --all'; fi
    if ! $all && ((${#names[@]} == 0)) && [[ " ${arguments[*]} " != *' --list '* ]]; then
        usage_error 'chaos needs names or fault numbers of scenarios, or --all' './dev chaos --list'
    fi
}

# Names and fault numbers of the scenarios in the source of loadtests, separated by |; nothing when they are not found there.
chaos_scenarios() {
    sed -nE 's/^ *(name: "([a-z0-9-]+)"|fault: ([0-9]+)),$/\2\3/p' "$root"/loadtests/src/chaos/faults/*.rs | sort -u | paste -sd '|'
}

check_sqlx_prepare_arguments() {
    if (($# > 1)) || [[ ${1:---check} != --check ]]; then usage_error "unknown argument $*" './dev sqlx-prepare [--check]'; fi
}
