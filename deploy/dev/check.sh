# shellcheck shell=bash
# ./dev check: every check that needs no running service. All steps run, so that one run shows every failure. To add a step: one
# `step` line.

command_check() {
    (($# == 0)) || usage_error "check takes no arguments" "./dev check"
    use_instance check
    take_lock check
    local failed=()
    ensure_cargo rustfmt clippy
    if ! command -v shellcheck >/dev/null; then ensure_packages shellcheck; fi

    step 'formatting (cargo fmt --all formats)' cargo_attached fmt --all --check
    step 'scripts' run_attached shellcheck env --chdir="$root" shellcheck --external-sources --check-sourced \
        dev .ci/run deploy/canary.sh deploy/dev/sqlx-prepare.sh deploy/images/{tree,sbom,run}.sh deploy/release/{archive,changelog-section,check-version} \
        deploy/smoke.sh deploy/operator.sh deploy/images.sh deploy/release.sh deploy/kubernetes/deploy.sh deploy/aws/{canary,deploy,sign-in,task}.sh deploy/compose/postgres-logins.sh deploy/cut-over.sh deploy/dev/cut_over_test.sh deploy/dev/{upgrade,release}_test.sh
    step 'dependencies between crates' check_dependencies
    step 'cycles between modules' check_module_cycles
    step 'words in texts for operators' check_words
    step 'actions pinned to commits' check_actions
    ensure_terraform_tools
    if [[ -z $terraform_tools_are_missing ]]; then
        step 'terraform (./dev terraform-check also runs checkov)' check_terraform
    else
        info "terraform: skipped, $terraform_tools_are_missing; continuous integration runs it"
    fi
    if cargo deny --version >/dev/null 2>&1; then
        step 'dependency audit' cargo_attached deny --log-level error check bans licenses sources
    else
        info "dependency audit: skipped, cargo-deny is not installed; continuous integration runs it"
    fi
    step 'lints' cargo_built clippy "${locked[@]}" --workspace --all-targets --all-features -- --deny warnings
    RUSTDOCFLAGS='--deny warnings' step 'documentation' \
        cargo_built doc "${locked[@]}" --workspace --all-features --no-deps

    if ((${#failed[@]} > 0)); then die "failed: $(printf '%s; ' "${failed[@]}" | sed 's/; $//')"; fi
    success "all checks passed"
}

# The tag of an action can be moved to other code; a commit cannot.
check_actions() {
    local unpinned
    unpinned=$(grep -rnE '^[^#]*uses:' "$root/.github/workflows" | grep -vE 'uses: (\./|[^@ ]+@[0-9a-f]{40}( |$))') || return 0
    info "actions without a commit of 40 hexadecimal digits:"
    info "$unpinned"
    return 1
}

step() { # WHAT COMMAND…
    local what=$1 since_us=${EPOCHREALTIME/[.,]/}
    shift
    info "checking $what"
    if "$@"; then
        info "$green$what: passed$plain ($(((${EPOCHREALTIME/[.,]/} - since_us) / 1000000)) s)"
    else
        info "$red$what: failed$plain"
        failed+=("$what")
    fi
}
