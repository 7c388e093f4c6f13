# shellcheck shell=bash
# PostgreSQL, Redis and RabbitMQ of one instance: started in parallel, exported as URLs, stopped in order.
#
# An instance is a folder below target/dev: `up` keeps its data; `test`, `demo` and `chaos` are throwaway and start empty.
# A service that the environment names (DATABASE_URL, REDIS_URL, AMQP_URL) is used as it is and never started or stopped.
# To add a service: a file with start_X, X_responds and X_urls beside this one, and its lines in the functions below.

use_instance() { # NAME
    instance_name=$1
    instance=$root/target/dev/$1
    throwaway=true
    if [[ $1 == up ]]; then throwaway=false; fi
    if ! mkdir -p "$instance/logs" 2>/dev/null || [[ ! -w $instance ]] ||
        [[ -e $instance/secrets && ! -r $instance/secrets ]]; then
        local owner
        owner=$(find "$instance/secrets" "$instance" "$root/target/dev" "$root/target" "$root" -maxdepth 0 -printf '%u\n' 2>/dev/null | head -n 1)
        die "${instance#"$root/"} belongs to ${owner:-another user}, and you are $(id -un)" \
            "work as ${owner:-that user}, or run ./dev down --clean as ${owner:-that user}" 77
    fi
    if [[ -n ${DATABASE_URL:-}${DATABASE_OWNER_URL:-} ]]; then postgres_is_named=true; else postgres_is_named=false; fi
    if [[ -n ${REDIS_URL:-} ]]; then redis_is_named=true; else redis_is_named=false; fi
    if [[ -n ${AMQP_URL:-} ]]; then rabbitmq_is_named=true; else rabbitmq_is_named=false; fi
}

# ---- secrets: created once per instance, readable by its owner only -----------------------------------------------------------

secret_for() { # NAME…
    local name
    for name in "$@"; do
        if [[ -z $(secret "$name") ]]; then
            (umask 077 && echo "$name=$(tr -d - </proc/sys/kernel/random/uuid)" >>"$instance/secrets")
        fi
    done
}
secret() { sed -n "s/^$1=//p" "$instance/secrets" 2>/dev/null; }

# ---- up ---------------------------------------------------------------------------------------------------------------------

# Starts the needed services and returns at once, so that a build can run meanwhile; `wait_for_services` waits.
start_services() {
    local missing
    mapfile -t missing < <(missing_packages | tr ' ' '\n')
    use_docker=false
    if ((${#missing[@]} > 0)); then
        if ((EUID != 0)) && docker_responds; then use_docker=true; else ensure_packages "${missing[@]}"; fi
    fi
    check_named_services
    rm -f "$instance"/logs/{postgres,redis,rabbitmq}.log "$instance/env"
    if $throwaway; then remove_data; fi
    # The soft limit of open files of a login shell (1,024) is too low for the connections of a broker and a test suite.
    ulimit -S -n "$(ulimit -H -n)" 2>/dev/null || true
    if $use_docker; then
        start_docker_services
        return
    fi
    $rabbitmq_is_named || start_rabbitmq
    $redis_is_named || start_redis
    $postgres_is_named || start_postgres
}

wait_for_services() {
    case $instance_name in
    up) ;;
    *)
        ensure_anvil
        if [[ -n $anvil_is_missing ]]; then warn "$anvil_is_missing"; fi
        ;;
    esac
    if [[ $instance_name == test ]]; then
        ensure_moto
        if [[ -n $moto_is_missing ]]; then warn "$moto_is_missing"; fi
        ensure_openbao
        if [[ -n $openbao_is_missing ]]; then warn "$openbao_is_missing"; fi
    fi
    if ! $redis_is_named; then wait_for_service Redis redis_responds redis 60; fi
    if ! $postgres_is_named; then
        wait_for_service PostgreSQL postgres_responds postgres 120
        prepare_postgres
    fi
    if ! $rabbitmq_is_named; then wait_for_service RabbitMQ rabbitmq_responds rabbitmq 180; fi
    (umask 077 && service_urls >"$instance/env")
    export_environment
}

export_environment() {
    local line
    while IFS= read -r line; do export "${line?}"; done <"$instance/env"
}

wait_for_service() { # NAME CONDITION LOG LIMIT_SECONDS
    local name=$1 condition=$2 log=$instance/logs/$3.log process=''
    if ! $use_docker; then process=$name; fi
    wait_while_running "$process" '' "$name to accept connections" "$4" "$condition" || {
        show_log "$log" 15
        die "$name did not start" "its log is ${log#"$root/"}"
    }
    info "$name is ready"
}

service_urls() {
    if $postgres_is_named; then named DATABASE_OWNER_URL DATABASE_URL DATABASE_ADMIN_URL; else postgres_urls; fi
    if $redis_is_named; then named REDIS_URL; else redis_urls; fi
    if $rabbitmq_is_named; then named AMQP_URL RABBITMQ_MANAGEMENT_URL; else rabbitmq_urls; fi
    if [[ $instance_name != up ]]; then anvil_variable; fi
    if [[ $instance_name == test ]]; then
        moto_variable
        openbao_variable
    fi
}
named() { # VARIABLE…: the ones that are set
    local name
    for name in "$@"; do if [[ -n ${!name:-} ]]; then echo "$name=${!name}"; fi; done
}

check_named_services() {
    local name default
    for name in DATABASE_OWNER_URL:5432 DATABASE_URL:5432 REDIS_URL:6379 AMQP_URL:5672; do
        default=${name#*:} name=${name%:*}
        [[ -n ${!name:-} ]] || continue
        split_url "${!name}" "$default"
        accepts "$url_host" "$url_port" ||
            die "$name names $url_host:$url_port, where nothing accepts connections" \
                "start that service, or unset $name to have ./dev start one of its own" 69
        info "using $name from the environment ($url_host:$url_port)"
    done
    if $postgres_is_named && [[ -z ${DATABASE_OWNER_URL:-} ]]; then
        die "DATABASE_URL is set but DATABASE_OWNER_URL is not: migrations need the owner's login" \
            "set both, or neither to have ./dev start a PostgreSQL of its own" 78
    fi
    if $rabbitmq_is_named && $throwaway && [[ -z ${RABBITMQ_MANAGEMENT_URL:-} ]]; then
        die "AMQP_URL is set but RABBITMQ_MANAGEMENT_URL is not: tests create virtual hosts through the management API" \
            "set both, or neither to have ./dev start a RabbitMQ of its own" 78
    fi
}

services_are_running() {
    [[ -s $instance/env ]] &&
        { $postgres_is_named || is_running PostgreSQL || docker_runs postgres; } &&
        { $redis_is_named || is_running Redis || docker_runs redis; } &&
        { $rabbitmq_is_named || is_running RabbitMQ || docker_runs rabbitmq; }
}

# ---- down -------------------------------------------------------------------------------------------------------------------

stop_services() {
    local broker
    broker=$(record_of RabbitMQ)
    # A broker that is still starting may ignore TERM. It has no data of this run yet, and data on disk are safe.
    if [[ -n $broker && ! -s $instance/env ]]; then sed -i 's/ TERM$/ KILL/' "$broker"; fi
    stop_processes 15 RabbitMQ Redis PostgreSQL
    stop_processes 5 epmd
    stop_docker_services
    sweep_marked
    rm -f "$instance/env" "$instance/kept" "$instance/faucet" "$instance/platform"
    if $throwaway; then remove_data; fi
}

remove_data() {
    rm -rf "$instance/postgres" "$instance/redis" "$instance/rabbitmq" "$instance/chain"
    if [[ -s $instance/postgres-elsewhere ]]; then
        rm -rf "$(<"$instance/postgres-elsewhere")"
        rm -f "$instance/postgres-elsewhere"
    fi
}

# ---- the commands -----------------------------------------------------------------------------------------------------------

# ./dev services: starts the throwaway services and leaves them running, for `cargo test` by hand.
command_services() {
    (($# == 0)) || usage_error "services takes no arguments, not \"$*\"" "./dev services"
    use_instance test
    # Checked before the lock is taken: a run of tests on these services may hold it for minutes.
    if [[ -e $instance/kept ]] && services_are_running; then
        info "the services are running already"
        print_env
        return
    fi
    take_lock services
    clear_leftovers
    at_exit stop_services
    start_services
    wait_for_services
    at_exit
    touch "$instance/kept"
    success "the services are running; ./dev down stops them"
    release_lock
    print_env
}

command_env() {
    if [[ $* == up ]]; then
        print_env_of_up
        return
    fi
    (($# == 0)) || usage_error "env takes up or no argument, not \"$*\"" "./dev env [up]"
    use_instance test
    services_are_running || die "no services of \"$instance_name\" are running" "./dev services starts them"
    print_env
}

print_env() { exports <"$instance/env"; }
exports() {
    local line
    while IFS= read -r line; do printf "export %s='%s'\n" "${line%%=*}" "${line#*=}"; done
}

# ./dev env up: what an operator's commands of arrakis-worker need. It has no bot token, with which ./dev up would connect to Discord.
print_env_of_up() {
    use_instance up
    services_are_running || die "./dev up is not running" "./dev up starts it"
    [[ -s $instance/platform && -s $instance/faucet ]] || die "./dev up is still starting" "wait until it prints its addresses"
    local binaries
    read -r binaries <"$instance/faucet"
    print_env
    exports <"$instance/platform"
    printf 'export PATH=%q:"%s"\n' "$binaries" "\$PATH"
}

command_down() {
    local clean=false folder argument
    for argument in "$@"; do
        case $argument in
        --clean) clean=true ;;
        *) usage_error "unknown option $argument" "./dev down [--clean]" ;;
        esac
    done
    # Every folder, so that an instance of an earlier version is stopped too.
    for folder in "$root"/target/dev/*/; do
        use_instance "$(basename "$folder")"
        end_lock_holder
        clear_leftovers stopping
        stop_services
        release_lock
        if $clean; then
            remove_data
            rm -rf "$instance"
        fi
    done
    if $clean; then success 'no process of this checkout is running; its data are removed'; else success 'no process of this checkout is running'; fi
}
