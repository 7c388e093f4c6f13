# shellcheck shell=bash
# ./dev bench: release binaries on services of their own, set up as production has them, measured against thresholds.

command_bench() {
    local status=0 commit
    case ${1:-} in
    -h | --help)
        bench_help
        return
        ;;
    esac
    services_for_run bench bench
    say "building (release; only what is measured)"
    binaries=$root/target/release
    cargo_built build "${locked[@]}" --release --bins -p arrakis-ingestor -p arrakis-worker -p arrakis-discord-proxy \
        -p discord-emulator -p loadtests || die "the build failed" "cargo's message above says where"
    services_for_run_are_up
    commit=$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)
    run_attached bench env --chdir="$root" ARRAKIS_DEV_INSTANCE="$instance run" BENCH_COMMIT="$commit" \
        "$binaries/loadtests" bench "$@" || status=$?
    exit "$status"
}

bench_help() {
    cat <<HELP
${bold}./dev bench${plain} [--profile PROFILE] [--seed N] [--keep]

  short     the ceiling, and two minutes of the mission's shape (default)
  mission   everything: ingestor, whole path, and thirteen minutes of the mission's shape
  ingest    the ingestor alone, against the ceiling
  path      the whole path at fixed rates, and a rise to where it gives
  proxy     the proxy: added latency
  sync      a mass sync of roles beside members who wait

The result is a table, and target/bench/latest.json. A missed threshold, or a regression against loadtests/baselines, ends it
with 1 and is named in the last line. --keep makes this result the baseline of its profile. docs/performance.md explains.
HELP
}
