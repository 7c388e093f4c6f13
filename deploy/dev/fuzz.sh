# shellcheck shell=bash
# ./dev fuzz: the fuzz targets for longer than a test run has time for, optimised, with overflow checks. What is found lies in
# the target's corpus afterwards and stays there as a test.

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
        -h | --help)
            say "targets: $(fuzz_targets)"
            exit 0
            ;;
        -*) usage_error "there is no $1" "./dev fuzz --help lists the targets" ;;
        *)
            if [[ " $(fuzz_targets) " != *" $1 "* ]]; then usage_error "there is no target $1" "targets: $(fuzz_targets)"; fi
            target=$1
            ;;
        esac
        shift
    done
    if [[ -n $cases && -n $minutes ]]; then usage_error "--cases and --minutes exclude each other" "./dev fuzz --cases 1000000"; fi
    if [[ -n $cases ]]; then
        export ARRAKIS_FUZZ_CASES=$cases
        # A seed of its own for each run, as in a run by minutes; it is said at the end.
        export ARRAKIS_FUZZ_SEED=${ARRAKIS_FUZZ_SEED:-$(date +%s)}
    else
        export ARRAKIS_FUZZ_MINUTES=${minutes:-1}
    fi
    local packages
    mapfile -t packages < <(fuzz_packages "$target")
    use_instance fuzz
    ensure_tools
    say "building (optimised, with overflow checks)"
    cargo_built test "${locked[@]}" --profile fuzz "${packages[@]}" --lib --no-run ||
        die "the build failed" "cargo's message above says where"
    # One after the other: a case that hangs is told by its time.
    cargo_attached test "${locked[@]}" --profile fuzz "${packages[@]}" --lib "fuzz::$target" -- \
        --nocapture --test-threads=1 || status=$?
    exit "$status"
}

# Names of the targets: a folder each, beside the sources of the crate that owns the reader.
fuzz_targets() {
    local folder names=()
    for folder in "$root"/{services,shared}/*/fuzz/*/; do names+=("$(basename "$folder")"); done
    printf '%s\n' "${names[@]}" | sort -u | paste -sd ' '
}

# `-p` and the name of each package that has the target, or any when none is named.
fuzz_packages() {
    local folder
    for folder in "$root"/{services,shared}/*/fuzz/; do
        if [[ -d $folder/$1 ]]; then
            printf -- '-p\n%s\n' "$(sed -n 's/^name = "\(.*\)"/\1/p' "$folder/../Cargo.toml" | head -n 1)"
        fi
    done
}
