# shellcheck shell=bash
# ./dev bench: release binaries on private services with production settings, measured against thresholds.

command_bench() {
    local status=0 commit
    case ${1:-} in
    -h | --help)
        bench_help
        return
        ;;
    esac
    services_for_run bench bench
    info "building (release; only the measured programs)"
    binaries=$root/target/release
    cargo_built build "${locked[@]}" --release --bins -p arrakis-ingestor -p arrakis-worker -p arrakis-discord-proxy \
        -p discord-emulator -p loadtests || die "the build failed" "see cargo's message above"
    services_for_run_are_up
    commit=$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)
    run_attached bench env --chdir="$root" ARRAKIS_DEV_INSTANCE="$instance run" BENCH_COMMIT="$commit" \
        "$binaries/loadtests" bench "$@" || status=$?
    exit "$status"
}

bench_help() {
    cat <<HELP
${bold}./dev bench${plain} [--profile PROFILE] [--seed N] [--keep]

  short     the ceiling, and two minutes of the mission's load (default)
  mission   ingestor, whole path, and thirteen minutes of the mission's load
  ingest    the ingestor alone, against the ceiling
  path      the whole path at fixed rates, and a rising rate until commands fail
  proxy     the discord-proxy: added latency, and a hundred tenants at the limit
  sync      role changes of 120 communities, and the latency of commands meanwhile

The result is a table, and target/bench/latest.json. After a missed threshold or a regression against loadtests/baselines the exit
code is 1, and the last line names it. --keep makes this result the baseline of its profile. See docs/performance-measuring.md.
HELP
}
