# shellcheck shell=bash
# Debian's packages: what is there, what is missing, and getting it. Root installs; anyone else is told in one line.

# The packages without which what is asked for cannot run. Services that the environment names need none.
missing_packages() {
    command -v cc >/dev/null || echo gcc libc6-dev
    if ! $postgres_is_named && [[ -z $(postgres_bin) ]]; then echo postgresql; fi
    if ! $redis_is_named && ! command -v redis-server >/dev/null; then echo redis-server; fi
    if ! $rabbitmq_is_named && ! { [[ -n $(rabbitmq_bin) ]] && command -v epmd >/dev/null; }; then echo rabbitmq-server; fi
    # Tests drive the emulator's page in a real browser.
    if [[ $instance_name == test ]]; then
        command -v chromium >/dev/null || echo chromium
        command -v chromedriver >/dev/null || echo chromium-driver
        # Bots of other client libraries are run against the emulator.
        command -v node >/dev/null || echo nodejs
        command -v npm >/dev/null || echo npm
        if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then echo python3-venv; fi
    fi
}

# The packages of the tools that a run of this instance calls beside the services: what the harness in loadtests/ and the tests
# start by name. To add one: a line here.
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
    chaos | test) if [[ -z $(postgres_bin) ]] && ! command -v psql >/dev/null; then echo postgresql-client; fi ;;
    esac
}

ensure_tools() {
    local missing
    ensure_cargo
    mapfile -t missing < <(missing_tools | tr ' ' '\n')
    ensure_packages "${missing[@]}"
}

# Rust comes from rustup, which is its user's to install: it is named with the line that does it.
ensure_cargo() { # [COMPONENT…]: rustfmt, clippy
    local component missing=()
    command -v cargo >/dev/null ||
        die "cargo is not installed" "install Rust with rustup: https://rustup.rs; rust-version in Cargo.toml says which" 69
    for component in "$@"; do
        case $component in
        rustfmt) cargo fmt --version >/dev/null 2>&1 || missing+=(rustfmt) ;;
        clippy) cargo clippy --version >/dev/null 2>&1 || missing+=(clippy) ;;
        esac
    done
    ((${#missing[@]} == 0)) || die "missing here: ${missing[*]}" "rustup component add ${missing[*]}" 69
}

ensure_packages() { # PACKAGE…
    (($# > 0)) || return 0
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        die "missing here: $*" "sudo apt-get install --no-install-recommends $*" 69
    fi
    local log=$instance/logs/apt.log
    mkdir -p "$instance/logs"
    say "installing $* (log: ${log#"$root/"})"
    with_services_kept_from_starting apt_install "$log" "$@" || {
        show_log "$log" 15
        die "apt-get could not install: $*" "the whole log is in ${log#"$root/"}" 69
    }
    good "installed $*"
}

apt_install() { # LOG PACKAGE…
    local log=$1 package
    shift
    for package in "$@"; do
        # Without lists, or with lists that do not know it: fetch them once.
        if ! apt-cache show "$package" >/dev/null 2>&1; then
            run_quietly 'apt-get update' "$log" apt_get update || return 1
            break
        fi
    done
    run_quietly "apt-get install $*" "$log" apt_get install --yes --no-install-recommends "$@" && return
    # Lists that are out of date name files that the mirror no longer has.
    run_quietly 'apt-get update' "$log" apt_get update &&
        run_quietly "apt-get install $*" "$log" apt_get install --yes --no-install-recommends "$@"
}
apt_get() { env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@"; }

# Debian starts a service as soon as it is installed, on its public port. /usr/sbin/policy-rc.d is Debian's own way to
# refuse that; one that the machine already has is left as it is.
with_services_kept_from_starting() {
    local policy=/usr/sbin/policy-rc.d status=0 exit_before=("${exit_command[@]}")
    if [[ -e $policy ]]; then
        "$@"
        return
    fi
    at_exit remove_policy_then "$policy" "${exit_before[@]}"
    printf '#!/bin/sh\n# Put here by ./dev for the time of one apt-get install.\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    "$@" || status=$?
    rm -f "$policy"
    at_exit "${exit_before[@]}"
    return "$status"
}

# Reached on Ctrl-C alone: apt-get is left to finish, since half-installed packages would be worse than a short wait.
remove_policy_then() { # POLICY COMMAND…
    wait
    rm -f "$1"
    shift
    if (($# > 0)); then "$@"; fi
}
