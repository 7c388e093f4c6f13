# shellcheck shell=bash
# ./dev up --prometheus: a private Prometheus of Debian's package, on loopback, with the rules of deploy/prometheus. It scrapes the health
# listeners of the services and RabbitMQ's plugin. Debian has no Grafana; deploy/grafana/dashboards are imported into another one.

with_prometheus=false

start_prometheus() { # SERVICE…
    local folder=$instance/prometheus log=$instance/logs/prometheus.log service
    mkdir -p "$folder"
    {
        cat <<CONF
global: {scrape_interval: 5s, scrape_timeout: 5s, evaluation_interval: 5s}
rule_files: ["$root/deploy/prometheus/rules/*.yaml"]
scrape_configs:
CONF
        for service in "$@"; do
            cat <<CONF
  - job_name: $service
    static_configs: [{targets: ["127.0.0.1:$(remembered_port "health_$service")"], labels: {job: arrakis-${service%-[0-9]*}, instance: $service}}]
CONF
        done
        if ! $rabbitmq_is_named && ! $use_docker; then
            cat <<CONF
  - job_name: rabbitmq
    static_configs: [{targets: ["127.0.0.1:$(remembered_port rabbitmq_prometheus)"]}]
CONF
        fi
    } >"$folder/prometheus.yaml"
    port_for prometheus
    spawn prometheus TERM "$log" prometheus --config.file="$folder/prometheus.yaml" --storage.tsdb.path="$folder/data" \
        --storage.tsdb.retention.time=2d --web.listen-address="127.0.0.1:$port" --log.level=warn
    wait_while_running prometheus "$log" 'Prometheus to be ready' 30 prometheus_responds || {
        show_log "$log" 15
        die "Prometheus did not start" "its log is ${log#"$root/"}"
    }
    info "Prometheus is ready"
}
prometheus_responds() { [[ $(http_status 127.0.0.1 "$(remembered_port prometheus)" /-/ready) == 200 ]]; }
