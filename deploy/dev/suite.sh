# shellcheck shell=bash
# ./dev test, ./dev demo, ./dev chaos and ./dev sqlx-prepare: start private services, run, and stop everything afterwards.

# Continuous integration builds with the committed lock file; a developer may just have added a dependency.
locked=()
if [[ -n ${CI:-} ]]; then locked=(--locked); fi

# Services for a run: those of `./dev services` are used and stay; others start and stop with the run.
services_for_run() { # INSTANCE COMMAND
    use_instance "$1"
    take_lock "$2"
    ensure_tools
    if [[ -e $instance/kept ]] && services_are_running; then
        info "using the services of ./dev services"
        services_were_kept=true
        at_exit end_kept_run
    else
        services_were_kept=false
        clear_leftovers
        at_exit end_run
        start_services
    fi
}

services_for_run_are_up() {
    if $services_were_kept; then export_environment; else wait_for_services; fi
}

# The output ends with that of the run, so these print nothing.
end_kept_run() {
    local names name
    quiet=true
    mapfile -t names < <(recorded_names)
    for name in "${names[@]}"; do
        case $name in PostgreSQL | Redis | RabbitMQ | epmd) ;; *) stop_processes 15 "$name" ;; esac
    done
    sweep_marked run
}

end_run() {
    end_kept_run
    stop_services
}

command_test() {
    local status=0
    services_for_run test test
    if cargo nextest --version >/dev/null 2>&1; then
        run_nextest "$@" || status=$?
    else
        info "cargo-nextest is not installed: using cargo test"
        run_cargo_test "$@" || status=$?
    fi
    exit "$status"
}

run_nextest() {
    # The same cases in each run, so that a failure is caused by the change; another seed, or ./dev fuzz, tests other cases.
    export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-20261121}
    local doc_status=0 status=0
    info "building the programs and their tests"
    build_suite || return
    cargo_built nextest run "${locked[@]}" --workspace --all-features --no-run || return
    services_for_run_are_up
    if (($# == 0)); then
        info "running the examples of the documentation"
        cargo_tested test "${locked[@]}" --quiet --workspace --all-features --doc || doc_status=$?
        if ((doc_status != 0)); then warn "examples of the documentation failed, see above"; fi
    fi
    info "running the tests"
    cargo_tested nextest run "${locked[@]}" --workspace --all-features "$@" || status=$?
    return $((status != 0 ? status : doc_status))
}

# Programs and tests in one build: cargo then selects the features of dependencies once. Two builds would build some of them
# twice.
build_suite() { cargo_built build "${locked[@]}" --workspace --all-features --bins --tests; }

run_cargo_test() {
    build_suite || return
    cargo_built test "${locked[@]}" --workspace --all-features --no-run || return
    services_for_run_are_up
    cargo_tested test "${locked[@]}" --workspace --all-features --no-fail-fast "$@"
}

# cargo that runs tests, with the services' addresses and the instance's mark, by which processes of a killed test are found.
cargo_tested() {
    run_attached tests env --chdir="$root" ARRAKIS_DEV_INSTANCE="$instance run" SQLX_OFFLINE=true CARGO_TARGET_DIR="$root/target" cargo "$@"
}

# Uses the services of tests.
command_sqlx_prepare() {
    local status=0
    check_sqlx_prepare_arguments "$@"
    services_for_run test sqlx-prepare
    services_for_run_are_up
    run_attached sqlx-prepare "$root/deploy/dev/sqlx-prepare.sh" "$@" || status=$?
    exit "$status"
}

command_demo() {
    check_demo_arguments "$@"
    local status=0 argument passed=() from_images=false
    for argument in "$@"; do
        if [[ $argument == --from-images ]]; then from_images=true; else passed+=("$argument"); fi
    done
    services_for_run demo demo
    build_binaries false
    if $from_images; then make_images debug "$binaries"; fi
    services_for_run_are_up
    run_attached demo env --chdir="$root" ARRAKIS_DEV_INSTANCE="$instance run" "$binaries/loadtests" demo "${passed[@]}" || status=$?
    exit "$status"
}

# ./dev chaos: debug builds, since only those have fail points. The report is target/chaos/latest.json.
command_chaos() {
    local status=0
    check_chaos_arguments "$@"
    if [[ " $* " == *' --list '* ]]; then
        use_instance chaos
        chaos_list_is_current || build_binaries false
        run_attached chaos env --chdir="$root" "$root/target/debug/loadtests" chaos --list || status=$?
        exit "$status"
    fi
    ((EUID == 0)) || warn "not root: disk-full mounts a file system and minority-partition creates network namespaces; both will fail"
    services_for_run chaos chaos
    build_binaries false
    services_for_run_are_up
    run_attached chaos env --chdir="$root" ARRAKIS_DEV_INSTANCE="$instance run" "$binaries/loadtests" chaos "$@" || status=$?
    exit "$status"
}

# Whether the built program has the present scenarios.
chaos_list_is_current() {
    local built=$root/target/debug/loadtests
    [[ -x $built && -z $(find "$root/loadtests/src/chaos" -name '*.rs' -newer "$built" -print -quit) ]]
}
