# shellcheck shell=bash
# anvil, a local EVM chain: ./dev up runs one, tests and the demo start their own. npm installs it once, below target/tools. ANVIL in the
# environment names another one.
#
# Tests need it; up and demo work without it, and the reason is in `anvil_is_missing`.

anvil_version=1.7.1
anvil_is_missing=''

anvil_program() {
    local programs=("$root/target/tools/anvil-$anvil_version"/node_modules/@foundry-rs/anvil-linux-*/bin/anvil)
    if [[ -n ${ANVIL:-} ]]; then
        echo "$ANVIL"
    elif ((${#programs[@]} > 0)); then
        echo "${programs[0]}"
    fi
}

# anvil_variable: prints ANVIL=PATH for the environment of tests and the demo, if anvil is there.
anvil_variable() {
    local program
    program=$(anvil_program)
    if [[ -n $program ]]; then echo "ANVIL=$program"; fi
}

# Installs anvil if it is not there. Sets `anvil_is_missing` where that is not possible.
ensure_anvil() {
    local log=$instance/logs/npm.log folder=$root/target/tools/anvil-$anvil_version
    anvil_is_missing=''
    if [[ -n ${ANVIL:-} ]]; then
        [[ -x $ANVIL ]] || die "ANVIL names $ANVIL, which is no program" "unset ANVIL to have ./dev install anvil $anvil_version" 69
        return
    fi
    if [[ -n $(anvil_program) ]]; then return; fi
    if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
        anvil_is_missing="npm is not installed, which installs anvil, a local chain (apt-get install --no-install-recommends nodejs npm)"
        return
    fi
    info "installing anvil $anvil_version"
    rm -rf "$folder.new"
    mkdir -p "$folder.new"
    # Without install scripts: the program is in the package of the platform.
    if ! run_quietly 'npm to install anvil' "$log" npm install --no-audit --no-fund --no-save --ignore-scripts \
        --prefix "$folder.new" "@foundry-rs/anvil@$anvil_version"; then
        show_log "$log" 8
        anvil_is_missing="npm could not install anvil $anvil_version (log: ${log#"$root/"}; ANVIL=/path/to/anvil names one installed otherwise)"
        return
    fi
    rm -rf "$folder"
    mv "$folder.new" "$folder"
    if [[ -z $(anvil_program) ]]; then anvil_is_missing="anvil $anvil_version has no program for $(uname -m)"; fi
}
