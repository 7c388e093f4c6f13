# shellcheck shell=bash
# A private Redis: loopback, a password (every user of the machine can connect to loopback), 4,096 databases, one for each test.

start_redis() {
    local folder=$instance/redis persistence='appendonly yes'
    mkdir -p "$folder"
    port_for redis
    secret_for redis
    # Test data need no persistence; `up` persists cooldowns and sessions as production does.
    if $throwaway && [[ $instance_name != bench ]]; then persistence='appendonly no'; fi
    (umask 077 && cat >"$folder/redis.conf") <<CONF
bind 127.0.0.1
port $port
requirepass $(secret redis)
databases 4096
dir "$folder"
save ""
$persistence
daemonize no
logfile ""
loglevel notice
# A process title would overwrite the mark by which ./dev finds its processes.
set-proc-title no
maxmemory-policy noeviction
CONF
    spawn Redis TERM "$instance/logs/redis.log" redis-server "$folder/redis.conf"
}

redis_responds() {
    (
        exec {probe}<>"/dev/tcp/127.0.0.1/$(remembered_port redis)" || exit 1
        printf 'AUTH %s\r\nPING\r\n' "$(secret redis)" >&"$probe"
        read -r -t 2 -u "$probe" authenticated && read -r -t 2 -u "$probe" pong &&
            [[ $authenticated == +OK* && $pong == +PONG* ]]
    ) 2>/dev/null
}

redis_urls() { echo "REDIS_URL=redis://:$(secret redis)@127.0.0.1:$(remembered_port redis)/0"; }
