# shellcheck shell=bash
# Services as Docker containers, where packages are missing and the user is not root.

docker_responds() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

docker_name() { echo "arrakis-dev-$(cksum <<<"$instance" | cut -d ' ' -f 1)-$1"; }

docker_runs() { # SERVICE
    [[ -e $instance/docker ]] && [[ -n $(docker ps -q -f "name=^$(docker_name "$1")\$" 2>/dev/null) ]]
}

docker_start() { # SERVICE IMAGE DOCKER_ARGUMENT… [-- COMMAND…]
    local service=$1 image=$2 options=()
    shift 2
    while (($# > 0)) && [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    if (($# > 0)); then shift; fi
    info "starting a container of $image"
    docker run --detach --rm --name "$(docker_name "$service")" "${options[@]}" "$image" "$@" \
        >>"$instance/logs/$service.log" 2>&1 || {
        show_log "$instance/logs/$service.log" 10
        die "docker could not start $image"
    }
}

start_docker_services() {
    touch "$instance/docker"
    secret_for postgres_superuser postgres_owner postgres_app postgres_admin redis rabbitmq
    if ! $rabbitmq_is_named; then
        port_for amqp
        local amqp_port=$port
        port_for rabbitmq_management
        docker_start rabbitmq rabbitmq:3.13-management -p "127.0.0.1:$amqp_port:5672" -p "127.0.0.1:$port:15672" \
            -e RABBITMQ_DEFAULT_USER=arrakis -e "RABBITMQ_DEFAULT_PASS=$(secret rabbitmq)"
    fi
    if ! $redis_is_named; then
        port_for redis
        docker_start redis redis:7 -p "127.0.0.1:$port:6379" -- \
            redis-server --databases 4096 --requirepass "$(secret redis)" --save '' \
            --appendonly "$($throwaway && echo no || echo yes)"
    fi
    if ! $postgres_is_named; then
        port_for postgres
        docker_start postgres postgres:15 -p "127.0.0.1:$port:5432" -e POSTGRES_USER=superuser -e POSTGRES_DB=postgres \
            -e "POSTGRES_PASSWORD=$(secret postgres_superuser)" -- \
            -c max_connections=300 -c "fsync=$($throwaway && echo off || echo on)"
    fi
}

stop_docker_services() {
    [[ -e $instance/docker ]] || return 0
    local service
    for service in rabbitmq redis postgres; do docker stop "$(docker_name "$service")" >/dev/null 2>&1 || true; done
    rm -f "$instance/docker"
}
