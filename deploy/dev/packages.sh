# shellcheck shell=bash
# Debian's packages: finds missing ones and installs them for root; other users get the command in one line.

# Missing packages of the services. Services that the environment names need none.
missing_packages() {
    command -v cc >/dev/null || echo gcc libc6-dev
    if ! $postgres_is_named && [[ -z $(postgres_bin) ]]; then echo postgresql; fi
    if ! $redis_is_named && ! command -v redis-server >/dev/null; then echo redis-server; fi
    if ! $rabbitmq_is_named && ! { [[ -n $(rabbitmq_bin) ]] && command -v epmd >/dev/null; }; then echo rabbitmq-server; fi
    case $instance_name in test | chaos) missing_npm ;; esac
    # Tests use the emulator's page in a real browser.
    if [[ $instance_name == test ]]; then
        command -v chromium >/dev/null || echo chromium
        command -v chromedriver >/dev/null || echo chromium-driver
        # Tests run bots of other client libraries against the emulator, moto and OpenBao.
        if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then echo python3-venv; fi
    fi
}

# npm installs anvil. Without it ./dev up and ./dev demo work with less.
missing_npm() {
    command -v node >/dev/null || echo nodejs
    command -v npm >/dev/null || echo npm
}

# Missing packages of the tools that loadtests/ and the tests of this instance start by name. To add one: a line here.
missing_tools() {
    command -v cc >/dev/null || echo gcc libc6-dev
    case $instance_name in
    chaos)
        # clocks-an-hour-off loads the library; minority-partition makes network namespaces; disk-full mounts a tmpfs.
        local faketime=(/usr/lib/*/faketime/libfaketimeMT.so.1)
        ((${#faketime[@]} > 0)) || echo libfaketime
        command -v ip >/dev/null || echo iproute2
        command -v mount >/dev/null || echo mount
        command -v setpriv >/dev/null || echo util-linux
        ;;
    esac
    case $instance_name in
    up) if $with_prometheus && ! command -v prometheus >/dev/null; then echo prometheus; fi ;;
    chaos | test)
        # promtool checks metrics and rules; scenarios of ./dev chaos evaluate the alerts.
        command -v promtool >/dev/null || echo prometheus
        if [[ -z $(postgres_bin) ]] && ! command -v psql >/dev/null; then echo postgresql-client; fi
        ;;
    esac
}

ensure_tools() {
    local missing
    ensure_cargo
    mapfile -t missing < <(missing_tools | tr ' ' '\n')
    ensure_packages "${missing[@]}"
}

# Rust is installed by its user with rustup: the hint has the command.
ensure_cargo() { # [COMPONENT…]: rustfmt, clippy
    local component missing=()
    command -v cargo >/dev/null ||
        die "cargo is not installed" "install Rust with rustup: https://rustup.rs; the version is rust-version in Cargo.toml" 69
    for component in "$@"; do
        case $component in
        rustfmt) cargo fmt --version >/dev/null 2>&1 || missing+=(rustfmt) ;;
        clippy) cargo clippy --version >/dev/null 2>&1 || missing+=(clippy) ;;
        esac
    done
    ((${#missing[@]} == 0)) || die "missing components: ${missing[*]}" "rustup component add ${missing[*]}" 69
}

ensure_packages() { # PACKAGE…
    (($# > 0)) || return 0
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        die "missing packages: $*" "sudo apt-get install --no-install-recommends $*" 69
    fi
    local log=$instance/logs/apt.log
    mkdir -p "$instance/logs"
    info "installing $* (log: ${log#"$root/"})"
    without_service_starts apt_install "$log" "$@" || {
        show_log "$log" 15
        die "apt-get could not install: $*" "the whole log is in ${log#"$root/"}" 69
    }
    success "installed $*"
}

apt_install() { # LOG PACKAGE…
    local log=$1 package
    shift
    for package in "$@"; do
        # Package lists are missing or outdated: fetch them once.
        if ! apt-cache show "$package" >/dev/null 2>&1; then
            run_quietly 'apt-get update' "$log" apt_get update || return 1
            break
        fi
    done
    run_quietly "apt-get install $*" "$log" apt_get install --yes --no-install-recommends "$@" && return
    # Outdated lists name files that the mirror no longer has.
    run_quietly 'apt-get update' "$log" apt_get update &&
        run_quietly "apt-get install $*" "$log" apt_get install --yes --no-install-recommends "$@"
}
apt_get() { env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@"; }

# Debian starts a service on its public port as soon as it is installed. /usr/sbin/policy-rc.d prevents that; an existing one stays
# unchanged.
without_service_starts() {
    local policy=/usr/sbin/policy-rc.d status=0 exit_before=("${exit_command[@]}")
    if [[ -e $policy ]]; then
        "$@"
        return
    fi
    at_exit remove_policy_and_run "$policy" "${exit_before[@]}"
    printf '#!/bin/sh\n# Written by ./dev during one apt-get install.\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    "$@" || status=$?
    rm -f "$policy"
    at_exit "${exit_before[@]}"
    return "$status"
}

# Runs on Ctrl-C only. apt-get may finish, since half-installed packages are worse than a short wait.
remove_policy_and_run() { # POLICY COMMAND…
    wait
    rm -f "$1"
    shift
    if (($# > 0)); then "$@"; fi
}
