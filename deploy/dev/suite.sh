# shellcheck shell=bash
# ./dev test, ./dev demo, ./dev chaos and ./dev sqlx-prepare: real services of their own, a run, and nothing left afterwards, however it went.

# Continuous integration tries what is committed; a developer may just have added a dependency.
locked=()
if [[ -n ${CI:-} ]]; then locked=(--locked); fi

# Services for a run: the ones that `./dev services` has left running are used and stay; others start and end with the run.
services_for_run() { # INSTANCE COMMAND
    use_instance "$1"
    take_lock "$2"
    ensure_tools
    if [[ -e $instance/kept ]] && services_are_running; then
        say "using the services that ./dev services started"
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

# The last word belongs to whoever ran, so these say nothing.
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
        say "cargo-nextest is not installed: using cargo test"
        run_cargo_test "$@" || status=$?
    fi
    exit "$status"
}

run_nextest() {
    # The same cases each time, so that a red run is about the change; another number, or ./dev fuzz, looks further.
    export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-20261121}
    local doc_status=0 status=0
    say "building the programs and their tests"
    build_suite || return
    cargo_built nextest run "${locked[@]}" --workspace --all-features --no-run || return
    services_for_run_are_up
    if (($# == 0)); then
        say "running the documentation's examples"
        cargo_tested test "${locked[@]}" --quiet --workspace --all-features --doc || doc_status=$?
        if ((doc_status != 0)); then warn "examples in the documentation failed (above)"; fi
    fi
    say "running the tests"
    cargo_tested nextest run "${locked[@]}" --workspace --all-features "$@" || status=$?
    return $((status != 0 ? status : doc_status))
}

# Programs and tests in one go: cargo chooses the features of dependencies for both at once. One after the other would
# build a part of the dependencies twice.
build_suite() { cargo_built build "${locked[@]}" --workspace --all-features --bins --tests; }

run_cargo_test() {
    build_suite || return
    cargo_built test "${locked[@]}" --workspace --all-features --no-run || return
    services_for_run_are_up
    cargo_tested test "${locked[@]}" --workspace --all-features --no-fail-fast "$@"
}

# cargo that runs tests: with the services' addresses, and marked, so that what a killed test leaves behind is found.
cargo_tested() {
    run_attached tests env --chdir="$root" ARRAKIS_DEV_INSTANCE="$instance run" SQLX_OFFLINE=true CARGO_TARGET_DIR="$root/target" cargo "$@"
}

# Its data are made on the services of tests, as a test says when they are stale.
command_sqlx_prepare() {
    local status=0
    services_for_run test sqlx-prepare
    services_for_run_are_up
    run_attached sqlx-prepare "$root/deploy/dev/sqlx-prepare.sh" "$@" || status=$?
    exit "$status"
}

command_demo() {
    services_for_run demo demo
    build_binaries false
    services_for_run_are_up
    local status=0
    run_attached demo env --chdir="$root" ARRAKIS_DEV_INSTANCE="$instance run" "$binaries/loadtests" demo "$@" || status=$?
    exit "$status"
}

# ./dev chaos: debug builds, since only those have fail points. The report is target/chaos/latest.json.
command_chaos() {
    local status=0 argument
    if (($# == 0)); then usage_error "chaos needs names or numbers of scenarios, or --all" "./dev chaos --list"; fi
    for argument in "$@"; do
        case $argument in
        -h | --help)
            chaos_help
            return
            ;;
        --list)
            use_instance chaos
            chaos_list_is_current || build_binaries false
            run_attached chaos env --chdir="$root" "$root/target/debug/loadtests" chaos --list || status=$?
            exit "$status"
            ;;
        esac
    done
    ((EUID == 0)) || warn "not root: disk-full mounts a file system and minority-partition makes network namespaces; both will fail"
    services_for_run chaos chaos
    build_binaries false
    services_for_run_are_up
    run_attached chaos env --chdir="$root" ARRAKIS_DEV_INSTANCE="$instance run" "$binaries/loadtests" chaos "$@" || status=$?
    exit "$status"
}

chaos_help() {
    cat <<HELP
${bold}./dev chaos${plain} NAME…|--all [--without-guard] [--seed N]   faults thrown at everything under load, judged by a ledger
${bold}./dev chaos${plain} kill-anything --minutes N                 a soak: random processes are killed for so long, then the ledger judges
${bold}./dev chaos${plain} --list                                    the scenarios, by row of the catalogue

  NAME             a scenario by name, or a row of the catalogue by number; several may be given
  --all            every scenario; a row without one counts as failed
  --without-guard  takes away what protects against each fault, and wants the scenario red
  --seed N         draws the schedule of the load; the same seed gives the same (default 1)
  --minutes N      how long kill-anything goes on (default: nine seconds); it reports once a minute and ends by itself

The result is a table, and target/chaos/latest.json; logs of what failed are in target/chaos/logs. It ends with 1 when a scenario
did not come out as wanted, and the last line names it. docs/faults.md explains.
HELP
}

# Whether the program that lists them was built from the scenarios that there are.
chaos_list_is_current() {
    local built=$root/target/debug/loadtests
    [[ -x $built && -z $(find "$root/loadtests/src/chaos" -name '*.rs' -newer "$built" -print -quit) ]]
}
