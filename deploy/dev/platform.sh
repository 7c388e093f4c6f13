# shellcheck shell=bash
# ./dev up: starts the services and Arrakis, and watches them until Ctrl-C.
#
# Start order: chain, emulator, proxy, workers, api, Telegram bot, ingestor, interactions by HTTP; stop order is the reverse, so that every message has a receiver. Each process
# gets only the credentials it needs: a worker has no bot token.
# To add a service: one `start_service` line, one `wait_ready` line.

credentials=(DISCORD_TOKEN DISCORD_BOT_TOKEN DISCORD_PROXY_CREDENTIAL PROXY_CREDENTIALS KILL_SWITCH_CREDENTIAL KILL_SWITCH_CREDENTIAL_PREVIOUS AMQP_URL DATABASE_URL DATABASE_ADMIN_URL
    DATABASE_OWNER_URL REDIS_URL RABBITMQ_MANAGEMENT_URL TELEGRAM_BOT_TOKEN API_CREDENTIAL MFA_ENCRYPTION_KEY)

http_interactions=false

command_up() {
    local release=false workers=1
    while (($# > 0)); do
        case $1 in
        --release) release=true ;;
        --prometheus) with_prometheus=true ;;
        --http-interactions) http_interactions=true ;;
        --workers | --workers=*)
            if [[ $1 == *=* ]]; then workers=${1#*=}; else workers=${2:-} && shift; fi
            [[ $workers =~ ^[1-9][0-9]?$ ]] || usage_error "--workers takes a number from 1 to 99, not \"$workers\"" "./dev up --workers 2"
            ;;
        *) usage_error "unknown option $1" "./dev up [--release] [--workers N] [--prometheus] [--http-interactions]" ;;
        esac
        shift
    done

    choose_discord
    if $http_interactions && ! $discord_is_emulated; then
        usage_error "--http-interactions needs the emulator, which delivers to this machine" "run ./dev up without DISCORD_TOKEN"
    fi
    choose_chain
    use_instance up
    take_lock up
    clear_leftovers
    ensure_tools
    at_exit stop_everything
    rm -f "$instance"/logs/*.log
    start_services
    start_chain
    build_binaries "$release"
    start_discord
    wait_for_services
    wait_for_chain
    prepare_data
    start_platform "$workers"
    sync_chain
    (umask 077 && named CHAIN_RPC_URLS DISCORD_APPLICATION_ID DISCORD_PROXY_URL DISCORD_PROXY_CREDENTIAL VERIFY_BASE_URL >"$instance/platform")
    printf '%s\n' "$binaries" "${emulator_control:-}" >"$instance/faucet"
    stopped_status=0
    print_addresses "$workers"
    watch_until_stopped
}

build_binaries() { # RELEASE
    local profile=()
    binaries=$root/target/debug
    if $1; then profile=(--release) binaries=$root/target/release; fi
    info "building (cargo build${profile[*]:+ ${profile[*]}})"
    cargo_built build --locked --workspace --bins "${profile[@]}" ||
        die "the build failed" "see cargo's message above"
}

# cargo without the addresses of running services: with a DATABASE_URL, sqlx would check queries there instead of the committed data.
cargo_attached() {
    only_with SQLX_OFFLINE=true CARGO_TARGET_DIR="$root/target"
    run_attached cargo env --chdir="$root" "${only_with[@]}" cargo "$@"
}

# The same for a build: its output goes to a log, with one line of progress on the screen. A failed build shows cargo's messages.
cargo_built() {
    local log=$instance/logs/build.log status=0
    mkdir -p "$instance/logs"
    only_with SQLX_OFFLINE=true CARGO_TARGET_DIR="$root/target" CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=always \
        CARGO_TERM_PROGRESS_WIDTH=100
    run_with_progress build "$log" env --chdir="$root" "${only_with[@]}" cargo "$@" || status=$?
    strip_progress "$log" >"$log.stripped"
    mv "$log.stripped" "$log"
    if ((status != 0)); then grep -vE '^ +(Compiling|Checking|Documenting|Download|Updating|Locking|Adding|Blocking|Fresh|Dirty) ?' "$log" >&"$screen" || true; fi
    return "$status"
}

# A log without the lines of cargo's progress bar, which end in a carriage return.
strip_progress() { tr '\r' '\n' <"$1" | grep -vE '^ *(Building \[|Downloading .*remaining|Fetch \[|$)' || true; }

# ---- Discord, or the emulator -----------------------------------------------------------------------------------------------

# Selects Discord or the emulator, and the application id, before anything starts.
choose_discord() {
    DISCORD_TOKEN=${DISCORD_TOKEN:-${DISCORD_BOT_TOKEN:-}}
    if [[ -z $DISCORD_TOKEN ]]; then
        discord_is_emulated=true
        application_id=${DISCORD_APPLICATION_ID:-1100000000000000000}
        return
    fi
    discord_is_emulated=false
    api_base=${DISCORD_API_BASE:-https://discord.com/api/v10}
    # The first part of a bot token is the application's id.
    application_id=${DISCORD_APPLICATION_ID:-$(base64 --decode <<<"${DISCORD_TOKEN%%.*}==" 2>/dev/null | tr -d '\0' || true)}
    [[ $application_id =~ ^[0-9]{17,20}$ ]] ||
        die "DISCORD_TOKEN does not begin with an application id" "set DISCORD_APPLICATION_ID as well" 78
    info "DISCORD_TOKEN is set: connecting to Discord at $api_base as application $application_id"
}

start_discord() {
    $discord_is_emulated || return 0
    secret_for emulator_token
    DISCORD_TOKEN=$(printf %s "$application_id" | base64 --wrap=0 | tr -d =).GdevUp.$(secret emulator_token)
    port_for emulator
    local log=$instance/logs/emulator.log line
    only_with
    EMULATOR_TOKEN=$DISCORD_TOKEN spawn emulator TERM "$log" "${only_with[@]}" \
        "$binaries/discord-emulator" --control-addr "127.0.0.1:$port" --application-id "$application_id"
    wait_while_running emulator "$log" 'the addresses of the emulator' 20 grep -qs '"control":' "$log" || {
        show_log "$log" 15
        die "the emulator did not start" "its log is ${log#"$root/"}"
    }
    line=$(grep '"control":' "$log" | head -n 1)
    api_base=$(json_text rest "$line")
    emulator_control=$(json_text control "$line")
    emulator_page=$(json_text page "$line")
    info "the emulator is ready"
}

json_text() { # KEY LINE: the text under a key of a flat object
    [[ $2 =~ \"$1\":\ *\"([^\"]*)\" ]] && echo "${BASH_REMATCH[1]}"
}

# ---- data -------------------------------------------------------------------------------------------------------------------

prepare_data() {
    only_with DATABASE_OWNER_URL
    run_logged migrate "applying migrations to the database" "${only_with[@]}" "$binaries/arrakis-worker" migrate
    if $discord_is_emulated; then
        only_with DATABASE_OWNER_URL DATABASE_URL DATABASE_ADMIN_URL REDIS_URL AMQP_URL DISCORD_APPLICATION_ID="$application_id"
        local options
        mapfile -t options < <(chain_options)
        run_logged seed "seeding the servers" "${only_with[@]}" "$binaries/loadtests" seed --emulator-control "$emulator_control" "${options[@]}"
        if grep -qs 'both begin anew' "$instance/logs/seed.log"; then
            warn "the chain is not the one that PostgreSQL has read: it began anew, and claims of ./dev faucet are gone"
        fi
        # As an operator does after an import: every wallet of a profile gets an identity.
        only_with DATABASE_OWNER_URL
        run_logged registry "registering the members' wallets" "${only_with[@]}" "$binaries/arrakis-worker" registry migrate-verifications
    fi
}

run_logged() { # NAME WHAT COMMAND…
    local name=$1 log=$instance/logs/$1.log what=$2
    shift 2
    info "$what"
    run_attached "$name" "$@" >>"$log" 2>&1 || {
        show_log "$log" 20
        die "$what failed" "its log is ${log#"$root/"}; ./dev down --clean removes the data of earlier versions"
    }
}

# ---- Arrakis ----------------------------------------------------------------------------------------------------------------

start_platform() { # WORKERS
    local worker
    secret_for proxy_credential kill_switch_credential mfa
    port_for discord_proxy
    export DISCORD_PROXY_URL=http://127.0.0.1:$port DISCORD_PROXY_CREDENTIAL PROXY_CREDENTIALS
    DISCORD_PROXY_CREDENTIAL=$(secret proxy_credential)
    PROXY_CREDENTIALS=worker=$DISCORD_PROXY_CREDENTIAL
    export KILL_SWITCH_CREDENTIAL
    KILL_SWITCH_CREDENTIAL=$(secret kill_switch_credential)
    export DISCORD_TOKEN DISCORD_API_BASE=$api_base DISCORD_APPLICATION_ID=$application_id
    port_for api
    api_url=http://127.0.0.1:$port
    export VERIFY_BASE_URL=${VERIFY_BASE_URL:-$api_url}
    # The 32 digits of the secret are the 32 bytes of the key.
    MFA_ENCRYPTION_KEY=${MFA_ENCRYPTION_KEY:-dev:$(secret mfa | tr -d '\n' | base64)}
    export MFA_ENCRYPTION_KEY
    if [[ $chain == local ]]; then export CHAIN_RPC_URLS=$chain_id=$chain_url; fi
    port=$(remembered_port discord_proxy)

    start_service discord-proxy arrakis-discord-proxy DISCORD_TOKEN PROXY_CREDENTIALS KILL_SWITCH_CREDENTIAL REDIS_URL PROXY_LISTEN_ADDR="127.0.0.1:$port"
    for ((worker = 1; worker <= $1; worker++)); do
        start_service "worker-$worker" arrakis-worker DISCORD_PROXY_CREDENTIAL KILL_SWITCH_CREDENTIAL AMQP_URL DATABASE_URL REDIS_URL MFA_ENCRYPTION_KEY
    done
    start_api
    start_telegram
    start_service ingestor arrakis-ingestor DISCORD_TOKEN AMQP_URL

    wait_ready discord-proxy
    for ((worker = 1; worker <= $1; worker++)); do wait_ready "worker-$worker"; done
    if $api_is_started; then wait_ready api; fi
    if $telegram_is_started; then wait_ready telegram; fi
    wait_ready ingestor
    if $http_interactions; then start_interactions; fi
    if $with_prometheus; then
        local watched=(discord-proxy ingestor)
        for ((worker = 1; worker <= $1; worker++)); do watched+=("worker-$worker"); done
        if $api_is_started; then watched+=(api); fi
        if $telegram_is_started; then watched+=(telegram); fi
        if $http_interactions; then watched+=(interactions); fi
        start_prometheus "${watched[@]}"
    fi
}

# The api needs the admin login, which a named PostgreSQL may not have.
start_api() {
    api_is_started=false
    if [[ -z ${DATABASE_ADMIN_URL:-} ]]; then
        info "DATABASE_ADMIN_URL is not set: the api is not started"
        return
    fi
    api_is_started=true
    start_service api arrakis-api KILL_SWITCH_CREDENTIAL AMQP_URL DATABASE_URL DATABASE_ADMIN_URL REDIS_URL MFA_ENCRYPTION_KEY API_ADDR="${api_url#http://}"
}

# With TELEGRAM_BOT_TOKEN: the bot, which reaches the api with a key of its own.
start_telegram() {
    telegram_is_started=false
    if [[ -z ${TELEGRAM_BOT_TOKEN:-} ]]; then return; fi
    if ! $api_is_started; then
        info "the api is not started: the Telegram bot is not started either"
        return
    fi
    telegram_is_started=true
    if [[ -z ${API_CREDENTIAL:-} ]]; then
        only_with DATABASE_ADMIN_URL
        API_CREDENTIAL=$("${only_with[@]}" "$binaries/arrakis-worker" api-key create --name telegram --by ./dev --all-communities \
            --scope telegram --days 30 2>>"$instance/logs/api-key.log") ||
            die "no API key for the Telegram bot" "the log is ${instance#"$root/"}/logs/api-key.log"
        export API_CREDENTIAL
    fi
    API_URL=$api_url start_service telegram arrakis-telegram TELEGRAM_BOT_TOKEN API_CREDENTIAL REDIS_URL
}

# With --http-interactions: the emulator delivers interactions to this service instead of the gateway, once it has checked it as Discord does.
start_interactions() {
    local key address control answer
    split_url "$emulator_control"
    control="$url_host $url_port"
    # shellcheck disable=SC2086 # host and port are two arguments
    key=$(json_text public_key "$(http_body $control /control/interactions-endpoint)") || die "the emulator states no public key"
    port_for interactions
    address=127.0.0.1:$port
    start_service interactions arrakis-interactions AMQP_URL DISCORD_PUBLIC_KEY="$key" INTERACTIONS_ADDR="$address"
    wait_ready interactions
    # shellcheck disable=SC2086 # as above
    answer=$(http_post $control /control/interactions-endpoint "{\"url\":\"http://$address/interactions\"}")
    [[ $(json_text url "$answer") == "http://$address/interactions" ]] || die "the emulator refuses the interactions endpoint: $answer"
    info "the emulator delivers interactions by HTTP"
}

# start_service NAME BINARY CREDENTIAL… [VARIABLE=VALUE…]
start_service() {
    local name=$1 binary=$2
    shift 2
    port_for "health_$name"
    only_with "$@" HEALTH_ADDR="127.0.0.1:$port" LOG_FORMAT="${LOG_FORMAT:-text}"
    spawn "$name" TERM "$instance/logs/$name.log" "${only_with[@]}" "$binaries/$binary"
}

# only_with CREDENTIAL… [VARIABLE=VALUE…]: sets `only_with` to a command prefix that passes on these credentials and no others.
only_with() {
    local credential
    only_with=(env)
    for credential in "${credentials[@]}"; do
        if [[ " $* " != *" $credential "* ]]; then only_with+=("--unset=$credential"); fi
    done
    for credential in "$@"; do
        if [[ $credential == *=* ]]; then only_with+=("$credential"); fi
    done
}

wait_ready() { # NAME
    local log=$instance/logs/$1.log
    wait_while_running "$1" "$log" "$1 to be ready" 60 is_ready "$1" || {
        show_log "$log" 15
        die "$1 did not become ready" "its log is ${log#"$root/"}"
    }
    info "$1 is ready"
}
is_ready() { [[ $(http_status 127.0.0.1 "$(remembered_port "health_$1")" /readyz) == 200 ]]; }

# ---- running ----------------------------------------------------------------------------------------------------------------

print_addresses() { # WORKERS
    local list
    # Computed before the first output, after which the user may press Ctrl-C.
    list=$(addresses "$1")
    success "Arrakis is up; Ctrl-C stops everything"
    printf '\n%s\n\n' "$list"
    if $discord_is_emulated; then print_examples; fi
}

print_examples() {
    cat <<TRY
  Open $bold$emulator_page$plain and try:

    1. ${bold}Ctrl+K${plain}  @chani  ${bold}Enter${plain}      switches to Chani, who is in no server yet
    2. ${bold}Ctrl+K${plain}  *Sietch ${bold}Enter${plain}      joins the server and gets the role of the tier
    3. /position  ${bold}Enter${plain}  ${bold}Enter${plain}    shows rank, holding and tier; then /leaderboard and its buttons

  ${bold}Ctrl+.${plain} shows every gateway frame and REST call as it happens.

TRY
    if [[ $chain == local ]]; then
        printf '  In another terminal: %s claims 500 BGT on the chain for Chani; rank and roles follow.\n\n' "$bold./dev faucet chani 500$plain"
    fi
}

addresses() { # WORKERS
    local worker
    if $discord_is_emulated; then
        printf '  %-18s %s\n' 'the server' "$bold$emulator_page$plain" 'control API' "$emulator_control/control" \
            'for gaib, bots' "DISCORD_API_BASE=$api_base DISCORD_TOKEN=$DISCORD_TOKEN"
    fi
    if [[ $chain == local ]]; then
        printf '  %-18s %s   (id %s)\n' 'the chain' "$chain_url" "$chain_id"
    fi
    if ! $rabbitmq_is_named; then
        printf '  %-18s %s   (arrakis, %s)\n' 'RabbitMQ' "http://127.0.0.1:$(remembered_port rabbitmq_management)/" "$(secret rabbitmq)"
    fi
    if $api_is_started; then
        printf '  %-18s %s\n' 'api' "$api_url/eligibility" 'its description' "$api_url/openapi.json"
    fi
    if $with_prometheus; then
        printf '  %-18s %s\n' 'Prometheus' "http://127.0.0.1:$(remembered_port prometheus)/alerts"
    fi
    printf '  %-18s %s\n' 'health: proxy' "$(health_url discord-proxy)"
    for ((worker = 1; worker <= $1; worker++)); do
        printf '  %-18s %s\n' "health: worker $worker" "$(health_url "worker-$worker")"
    done
    if $api_is_started; then printf '  %-18s %s\n' 'health: api' "$(health_url api)"; fi
    if $telegram_is_started; then printf '  %-18s %s\n' 'health: telegram' "$(health_url telegram)"; fi
    if $http_interactions; then printf '  %-18s %s\n' 'health: interactions' "$(health_url interactions)"; fi
    printf '  %-18s %s\n' 'health: ingestor' "$(health_url ingestor)" 'logs' "${instance#"$root/"}/logs/"
}
health_url() { echo "http://127.0.0.1:$(remembered_port "health_$1")/health"; }

# Reports each process that has ended, once, with the end of its log; the other processes continue. Ctrl-C ends the command with
# status 0, or 1 when a process had ended.
watch_until_stopped() {
    local name log how reported=' '
    while true; do
        for name in $(recorded_names); do
            if [[ $reported != *" $name "* ]] && ! is_running "$name"; then
                # Before the output: the user may press Ctrl-C at once, and the exit status has to match.
                reported+="$name " stopped_status=1
                log=$instance/logs/$(log_name "$name").log
                how=$(end_of "$name")
                info "$red$name ended unexpectedly: $how.$plain The end of its log, ${log#"$root/"}:"
                show_log "$log" 10
                info "the other processes continue; to start $name again: Ctrl-C, then ./dev up"
            fi
        done
        pause 0.5
    done
}
log_name() {
    case $1 in
    PostgreSQL) echo postgres ;;
    Redis) echo redis ;;
    RabbitMQ | epmd) echo rabbitmq ;;
    *) echo "$1" ;;
    esac
}

# In the reverse order of their start; the workers together, since each may take its grace period.
stop_everything() {
    local names name workers=()
    mapfile -t names < <(recorded_names)
    for name in "${names[@]}"; do
        if [[ $name == worker-* ]]; then workers+=("$name"); fi
    done
    info "stopping"
    for name in "${names[@]}"; do
        case $name in
        PostgreSQL | Redis | RabbitMQ | epmd) ;;
        worker-*)
            stop_processes 30 "${workers[@]}"
            workers=()
            ;;
        *) stop_processes 15 "$name" ;;
        esac
    done
    stop_services
    info "everything has stopped"
}
