# shellcheck shell=bash
# ./dev bench: release binaries on private services with production settings, measured against thresholds.

command_bench() {
    local status=0 commit packages=(-p arrakis-ingestor -p arrakis-worker -p arrakis-discord-proxy -p discord-emulator -p loadtests)
    check_bench_arguments "$@"
    services_for_run bench bench
    if [[ " ${arguments[*]} " == *' --profile vault '* ]]; then
        packages+=(-p arrakis-api -p gaib)
        ensure_moto
        [[ -z $moto_is_missing ]] || die "$moto_is_missing" 'the profile vault stores backups there' 69
        MOTO=$(moto_program)
        export MOTO
    fi
    info "building (release; only the measured programs)"
    binaries=$root/target/release
    cargo_built build "${locked[@]}" --release --bins "${packages[@]}" || die "the build failed" "see cargo's message above"
    services_for_run_are_up
    commit=$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)
    run_attached bench env --chdir="$root" ARRAKIS_DEV_INSTANCE="$instance run" BENCH_COMMIT="$commit" \
        "$binaries/loadtests" bench "$@" || status=$?
    exit "$status"
}
