# shellcheck shell=bash
# moto, a local S3 and DynamoDB: tests of shared/vault and the profile vault of ./dev bench start their own. pip installs it once, below
# target/tools. MOTO in the environment names another one.

moto_version=5.2.5
moto_is_missing=''

# The real path, which its scripts contain: in a copy of ./dev selftest, target/tools is a link.
moto_folder() { echo "$(realpath -m "$root/target/tools")/moto-$moto_version"; }

moto_program() {
    local folder
    folder=$(moto_folder)
    if [[ -n ${MOTO:-} ]]; then
        echo "$MOTO"
    elif [[ -e $folder/complete ]]; then
        echo "$folder/bin/moto_server"
    fi
}

# moto_variable: prints MOTO=PATH for the environment of tests, if moto is there.
moto_variable() {
    local program
    program=$(moto_program)
    if [[ -n $program ]]; then echo "MOTO=$program"; fi
}

# Installs moto if it is not there. Sets `moto_is_missing` where that is not possible.
ensure_moto() {
    local log=$instance/logs/pip.log folder
    folder=$(moto_folder)
    moto_is_missing=''
    if [[ -n ${MOTO:-} ]]; then
        [[ -x $MOTO ]] || die "MOTO names $MOTO, which is no program" "unset MOTO to have ./dev install moto $moto_version" 69
        return
    fi
    if [[ -n $(moto_program) ]]; then return; fi
    info "installing moto $moto_version"
    # The scripts of a virtual environment have its path, so it is made in place and marked when it is complete.
    rm -rf "$folder"
    mkdir -p "$root/target/tools"
    if ! run_quietly 'python3 to make a virtual environment' "$log" python3 -m venv "$folder" ||
        ! run_quietly 'pip to install moto' "$log" "$folder/bin/python" -m pip install --disable-pip-version-check --no-input \
            "moto[server]==$moto_version"; then
        show_log "$log" 8
        moto_is_missing="pip could not install moto $moto_version (log: ${log#"$root/"}; MOTO=/path/to/moto_server names one installed otherwise)"
        return
    fi
    touch "$folder/complete"
}
