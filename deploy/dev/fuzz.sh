# shellcheck shell=bash
# ./dev fuzz: runs the fuzz targets longer than the test suite does, optimised, with overflow checks. A failing input is written to
# the target's corpus, where it is a test from then on.

command_fuzz() {
    local minutes='' cases='' target='' status=0
    while (($# > 0)); do
        case $1 in
        --minutes)
            if [[ ! ${2:-} =~ ^[0-9]+(\.[0-9]+)?$ ]]; then usage_error "--minutes needs a number" "./dev fuzz --minutes 10"; fi
            minutes=$2
            shift
            ;;
        --cases)
            if [[ ! ${2:-} =~ ^[0-9]+$ ]]; then usage_error "--cases needs a number" "./dev fuzz --cases 1000000"; fi
            cases=$2
            shift
            ;;
        -*) usage_error "unknown option $1" "./dev fuzz --help lists the targets" ;;
        *)
            if [[ " $(fuzz_targets) " != *" $1 "* ]]; then usage_error "unknown target $1" "targets: $(fuzz_targets)"; fi
            target=$1
            ;;
        esac
        shift
    done
    if [[ -n $cases && -n $minutes ]]; then usage_error "--cases and --minutes exclude each other" "./dev fuzz --cases 1000000"; fi
    if [[ -n $cases ]]; then
        export ARRAKIS_FUZZ_CASES=$cases
        # Each run has its own seed, as in a run by minutes; it is printed at the end.
        export ARRAKIS_FUZZ_SEED=${ARRAKIS_FUZZ_SEED:-$(date +%s)}
    else
        export ARRAKIS_FUZZ_MINUTES=${minutes:-1}
    fi
    local packages
    mapfile -t packages < <(fuzz_packages "$target")
    use_instance fuzz
    ensure_tools
    info "building (optimised, with overflow checks)"
    cargo_built test "${locked[@]}" --profile fuzz "${packages[@]}" --lib --no-run ||
        die "the build failed" "see cargo's message above"
    # One thread: a hanging case is detected by its run time.
    cargo_attached test "${locked[@]}" --profile fuzz "${packages[@]}" --lib "fuzz::$target" -- \
        --nocapture --test-threads=1 || status=$?
    exit "$status"
}

# Names of the targets: one folder each, beside the sources of the crate with the parser.
fuzz_targets() {
    local folder names=()
    for folder in "$root"/{services,shared}/*/fuzz/*/; do names+=("$(basename "$folder")"); done
    printf '%s\n' "${names[@]}" | sort -u | paste -sd ' '
}

# `-p` and the name of each package that has the target; of every package with targets when none is given.
fuzz_packages() {
    local folder
    for folder in "$root"/{services,shared}/*/fuzz/; do
        if [[ -d $folder/$1 ]]; then
            printf -- '-p\n%s\n' "$(sed -n 's/^name = "\(.*\)"/\1/p' "$folder/../Cargo.toml" | head -n 1)"
        fi
    done
}
