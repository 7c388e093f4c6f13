# shellcheck shell=bash
# ./dev coverage: the test suite with instrumented programs, and the share of lines that ran against deploy/coverage/thresholds. The services
# that tests start as processes count too. Its build is apart from that of ./dev test, in target/coverage.

command_coverage() {
    local report='' status=0
    while (($# > 0)); do
        case $1 in
        --report)
            report=${2:-}
            [[ -s $report ]] || usage_error "--report needs a report of cargo llvm-cov${report:+, not \"$report\"}" './dev coverage --report target/coverage/report.json'
            shift
            ;;
        *) usage_error "unknown option $1" './dev coverage [--report FILE]' ;;
        esac
        shift
    done
    if [[ -z $report ]]; then
        services_for_run test coverage
        ensure_coverage_tools
        report=$root/target/coverage/report.json
        run_instrumented || status=$?
        ((status == 0)) || die "the tests failed, so there is no report" "./dev test runs them without instrumentation" "$status"
    fi
    python3 "$root/deploy/coverage/compare.py" "$report" "$root/deploy/coverage/thresholds" "$root" || status=$?
    ((status == 0)) || die "the coverage is below its thresholds" "a report in HTML: cargo llvm-cov report --html, with the variables of cargo llvm-cov show-env"
    success "the coverage reaches every threshold"
    exit "$status"
}

# Builds and runs the suite, and writes the report.
run_instrumented() {
    local variables
    export CARGO_TARGET_DIR=$root/target/coverage PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-20261121}
    variables=$(cd "$root" && cargo llvm-cov show-env --sh) || return
    eval "$variables"
    # A file for each process would take a hundred gigabytes: processes of one program share eight, into which the runtime merges.
    LLVM_PROFILE_FILE=$(sed -E 's/%p-//; s/%[0-9]*m/%8m/' <<<"$LLVM_PROFILE_FILE")
    export LLVM_PROFILE_FILE
    (cd "$root" && cargo llvm-cov clean --workspace) || return
    info "building the instrumented programs and their tests"
    cargo_instrumented build build --workspace --all-features --bins --tests || return
    services_for_run_are_up
    info "running the tests"
    cargo_instrumented tests nextest run --workspace --all-features || return
    info "writing the report"
    run_attached report env --chdir="$root" cargo llvm-cov report --json --skip-functions --output-path "$report"
}

cargo_instrumented() { # NAME ARGUMENT…
    local name=$1
    shift
    # With a DATABASE_URL of the environment, sqlx would check queries there instead of the committed data, unless it is offline.
    run_attached "$name" env --chdir="$root" ARRAKIS_DEV_INSTANCE="$instance run" SQLX_OFFLINE=true cargo "$@" "${locked[@]}"
}

# cargo-llvm-cov, and llvm-cov and llvm-profdata of rustc's version: rustup's component, or Debian's package.
ensure_coverage_tools() {
    local version
    command -v python3 >/dev/null || ensure_packages python3
    cargo nextest --version >/dev/null 2>&1 || die "cargo-nextest is not installed" "cargo install cargo-nextest --locked" 69
    cargo llvm-cov --version >/dev/null 2>&1 || die "cargo-llvm-cov is not installed" "cargo install cargo-llvm-cov --locked" 69
    if [[ -n ${LLVM_COV:-} ]] || compgen -G "$(rustc --print sysroot)/lib/rustlib/*/bin/llvm-cov" >/dev/null; then return; fi
    version=$(rustc --version --verbose | sed -nE 's/^LLVM version: ([0-9]+).*/\1/p')
    if [[ ! -x /usr/lib/llvm-$version/bin/llvm-cov ]]; then ensure_packages "llvm-$version"; fi
    export LLVM_COV=/usr/lib/llvm-$version/bin/llvm-cov LLVM_PROFDATA=/usr/lib/llvm-$version/bin/llvm-profdata CARGO_LLVM_COV_SETUP=no
}
