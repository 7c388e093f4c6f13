# shellcheck shell=bash
# anvil, a local EVM chain: tests start it themselves. npm installs it once, below target/tools. ANVIL in the environment names another
# one; without any, tests of chains fail with a message.

anvil_version=1.7.1

anvil_program() {
    local programs=("$root/target/tools/anvil-$anvil_version"/node_modules/@foundry-rs/anvil-linux-*/bin/anvil)
    if ((${#programs[@]} > 0)); then echo "${programs[0]}"; fi
}

# anvil_variable: prints ANVIL=PATH for the environment of tests, if anvil is there.
anvil_variable() {
    local program=${ANVIL:-$(anvil_program)}
    if [[ -n $program ]]; then echo "ANVIL=$program"; fi
}

ensure_anvil() {
    local log=$instance/logs/npm.log folder=$root/target/tools/anvil-$anvil_version
    [[ $instance_name == test ]] || return 0
    if [[ -n ${ANVIL:-} ]]; then
        [[ -x $ANVIL ]] || die "ANVIL names $ANVIL, which is no program" "unset ANVIL to have ./dev install anvil $anvil_version" 69
        return
    fi
    if [[ -n $(anvil_program) ]]; then return; fi
    info "installing anvil $anvil_version"
    rm -rf "$folder.new"
    mkdir -p "$folder.new"
    # Without install scripts: the program is in the package of the platform.
    if ! run_quietly 'npm to install anvil' "$log" npm install --no-audit --no-fund --no-save --ignore-scripts \
        --prefix "$folder.new" "@foundry-rs/anvil@$anvil_version"; then
        show_log "$log" 8
        warn "npm could not install anvil $anvil_version: tests of chains will fail; ANVIL=/path/to/anvil names one installed otherwise"
        return
    fi
    rm -rf "$folder"
    mv "$folder.new" "$folder"
    [[ -n $(anvil_program) ]] || warn "anvil $anvil_version has no program for $(uname -m): tests of chains will fail"
}
