# shellcheck shell=bash
# A private RabbitMQ: its own node name, ports, cookie, data and epmd, all on loopback, without resolving host names. It has the
# management plugin, by which tests create virtual hosts, and the Prometheus plugin.

rabbitmq_bin() { # folder of the real script: the one in PATH requires the user rabbitmq
    local folder
    for folder in /usr/lib/rabbitmq/bin "${RABBITMQ_HOME:-/nowhere}/sbin" /opt/rabbitmq/sbin; do
        if [[ -x $folder/rabbitmq-server ]]; then
            echo "$folder"
            return
        fi
    done
}

start_rabbitmq() {
    local folder=$instance/rabbitmq log=$instance/logs/rabbitmq.log sum
    local amqp_port management_port prometheus_port distribution_port epmd_port
    mkdir -p "$folder"
    chmod 700 "$folder"
    port_for amqp && amqp_port=$port
    port_for rabbitmq_management && management_port=$port
    port_for rabbitmq_prometheus && prometheus_port=$port
    port_for rabbitmq_distribution && distribution_port=$port
    port_for epmd && epmd_port=$port
    secret_for rabbitmq rabbitmq_cookie
    sum=$(cksum <<<"$instance")

    (umask 077 && cat >"$folder/rabbitmq.conf") <<CONF
listeners.tcp.1 = 127.0.0.1:$amqp_port
management.tcp.ip = 127.0.0.1
management.tcp.port = $management_port
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = $prometheus_port
default_user = arrakis
default_pass = $(secret rabbitmq)
# The default, 50 MB, set explicitly so that a full disk gives the same error everywhere.
disk_free_limit.absolute = 50MB
# The frame size of our clients: headers that fill a larger frame would crash their consumers.
frame_max = 32768
log.console = true
log.console.level = info
log.console.use_colors = off
log.file = false
CONF
    echo '[rabbitmq_management,rabbitmq_prometheus].' >"$folder/enabled_plugins"
    # Host names come from this file only: no resolver, no /etc/hosts.
    echo '{host, {127,0,0,1}, ["localhost"]}. {lookup, [file]}.' >"$folder/inetrc"
    rm -f "$folder/.erlang.cookie"
    (umask 077 && secret rabbitmq_cookie >"$folder/.erlang.cookie")
    chmod 400 "$folder/.erlang.cookie"

    # epmd is started explicitly: started by Erlang, it would be a daemon that outlives ./dev.
    spawn epmd TERM "$log" env HOME="$folder" epmd -address 127.0.0.1 -port "$epmd_port"
    wait_until "epmd" 10 accepts 127.0.0.1 "$epmd_port" || die "epmd does not listen on port $epmd_port" "see $log"

    # ALLOW_INPUT makes the script exec Erlang instead of waiting for it, so the recorded process is the broker.
    # A throwaway broker is killed, since it keeps no data. The other one gets two seconds: its files are closed in the first tenth,
    # then the management agent of 3.10 would wait for five.
    spawn RabbitMQ "$($throwaway && echo KILL || echo TERM)" "$log" env \
        HOME="$folder" \
        RABBITMQ_NODENAME="arrakis-${sum%% *}@localhost" \
        RABBITMQ_CONF_ENV_FILE=/dev/null \
        RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf" \
        RABBITMQ_ADVANCED_CONFIG_FILE="$folder/none" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins" \
        RABBITMQ_MNESIA_BASE="$folder/data" \
        RABBITMQ_LOG_BASE="$instance/logs" \
        RABBITMQ_PID_FILE="$folder/pid" \
        RABBITMQ_DIST_PORT="$distribution_port" \
        RABBITMQ_ALLOW_INPUT=1 \
        RABBITMQ_SERVER_START_ARGS='-noinput +B i' \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1} -shutdown_time 2000' \
        ERL_EPMD_ADDRESS=127.0.0.1 \
        ERL_EPMD_PORT="$epmd_port" \
        ERL_INETRC="$folder/inetrc" \
        RABBITMQ_LOG=-color \
        ERL_CRASH_DUMP_SECONDS=0 \
        "$(rabbitmq_bin)/rabbitmq-server"
}

# AMQP responds to a protocol header, and the management API with 401.
rabbitmq_responds() {
    (
        exec {probe}<>"/dev/tcp/127.0.0.1/$(remembered_port amqp)" || exit 1
        printf 'AMQP\0\0\11\1' >&"$probe"
        # Frame type 1 (method) is the first byte of Connection.Start.
        IFS= read -r -t 2 -n 1 -u "$probe" first && [[ $first == $'\1' ]]
    ) 2>/dev/null && [[ $(http_status 127.0.0.1 "$(remembered_port rabbitmq_management)" /api/overview) == 401 ]]
}

rabbitmq_urls() {
    echo "AMQP_URL=amqp://arrakis:$(secret rabbitmq)@127.0.0.1:$(remembered_port amqp)/%2f"
    echo "RABBITMQ_MANAGEMENT_URL=http://arrakis:$(secret rabbitmq)@127.0.0.1:$(remembered_port rabbitmq_management)"
}
