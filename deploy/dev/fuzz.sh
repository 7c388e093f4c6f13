# shellcheck shell=bash
# ./dev fuzz: the fuzz targets for longer than a test run has time for, optimised, with overflow checks. What is found lies in
# the target's corpus afterwards and stays there as a test.

command_fuzz() {
    local minutes=1 target='' manifest status=0
    local packages=()
    while (($# > 0)); do
        case $1 in
        --minutes)
            if [[ ! ${2:-} =~ ^[0-9]+(\.[0-9]+)?$ ]]; then usage_error "--minutes needs a number" "./dev fuzz --minutes 10"; fi
            minutes=$2
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
    for manifest in "$root"/{services,shared}/*/Cargo.toml; do
        if grep -q '^arrakis-fuzz.workspace' "$manifest"; then packages+=(-p "$(sed -n 's/^name = "\(.*\)"/\1/p' "$manifest" | head -n 1)"); fi
    done
    use_instance fuzz
    # One after the other: a case that hangs is told by its time.
    ARRAKIS_FUZZ_MINUTES=$minutes cargo_attached test "${locked[@]}" --profile fuzz "${packages[@]}" --tests "fuzz::$target" -- \
        --nocapture --test-threads=1 || status=$?
    exit "$status"
}

# Names of the targets: a folder each, beside the sources of the crate that owns the reader.
fuzz_targets() {
    local folder names=()
    for folder in "$root"/{services,shared}/*/fuzz/*/; do names+=("$(basename "$folder")"); done
    printf '%s\n' "${names[@]}" | sort -u | paste -sd ' '
}
