# shellcheck shell=bash
# ./dev check: everything that can be judged without running the product. All steps run, so that one run tells all.
# To add a step: one `step` line.

command_check() {
    (($# == 0)) || usage_error "check takes no arguments" "./dev check"
    use_instance check
    take_lock check
    local failed=()
    ensure_cargo rustfmt clippy
    if ! command -v shellcheck >/dev/null; then ensure_packages shellcheck; fi

    step 'formatting (cargo fmt --all repairs it)' cargo_attached fmt --all --check
    step 'scripts' run_attached shellcheck env --chdir="$root" shellcheck --external-sources --check-sourced \
        dev .ci/run deploy/dev/sqlx-prepare.sh
    step 'arrows between crates' check_arrows
    step 'circles between modules' check_module_cycles
    step 'actions pinned to commits' check_actions
    if cargo deny --version >/dev/null 2>&1; then
        step 'dependencies' cargo_attached deny --log-level error check bans licenses sources
    else
        say "dependencies: left to continuous integration, cargo-deny is not installed here"
    fi
    step 'lints' cargo_built clippy "${locked[@]}" --workspace --all-targets --all-features -- --deny warnings
    RUSTDOCFLAGS='--deny warnings' step 'documentation' \
        cargo_built doc "${locked[@]}" --workspace --all-features --no-deps

    if ((${#failed[@]} > 0)); then die "failed: $(printf '%s; ' "${failed[@]}" | sed 's/; $//')"; fi
    good "all checks passed"
}

# A tag of an action can be moved to other code; a commit cannot.
check_actions() {
    local unpinned
    unpinned=$(grep -rnE '^[^#]*uses:' "$root/.github/workflows" | grep -vE 'uses: (\./|[^@ ]+@[0-9a-f]{40}( |$))') || return 0
    say "not pinned to a commit of 40 hexadecimal digits:"
    say "$unpinned"
    return 1
}

step() { # WHAT COMMAND…
    local what=$1 since_us=${EPOCHREALTIME/[.,]/}
    shift
    say "checking $what"
    if "$@"; then
        say "$green$what: fine$plain ($(((${EPOCHREALTIME/[.,]/} - since_us) / 1000000)) s)"
    else
        say "$red$what: failed$plain"
        failed+=("$what")
    fi
}
