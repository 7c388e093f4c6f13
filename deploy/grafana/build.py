#!/usr/bin/env python3
"""Writes the dashboards of Grafana: `build.py` writes dashboards/*.json, `build.py --check` exits with 1 where one is stale.

A panel has a title, a unit, and queries with their legends. To add one: a line below. Every query returns data on a platform that has just
started (a test evaluates each of them): a counter that may have no series yet ends with `or vector(0)`. `$R` is Grafana's interval for rates.
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).parent / "dashboards"
TITLES = {"s": "seconds", "short": "number", "percentunit": "share", "bytes": "bytes", "ops": "per second", "bool": "state"}


def rate(metric, by="", labels=""):
    """The rate of a counter, summed by labels; 0 without a series."""
    by = f" by ({by})" if by else ""
    return f"sum{by} (rate({metric}{{{labels}}}[$R])) or vector(0)"


def quantile(number, histogram, by="", labels=""):
    by = f"le, {by}" if by else "le"
    return f"histogram_quantile({number}, sum by ({by}) (rate({histogram}_bucket{{{labels}}}[$R]))) or vector(0)"


def percentiles(histogram, labels=""):
    return [(quantile(number, histogram, labels=labels), name) for number, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))]


def share(part, whole):
    return f"(sum(rate({part}[$R])) or vector(0)) / (sum(rate({whole}[$R])) > 0) or vector(0)"


EXPIRED = "arrakis_worker_interactions_expired_total"
INTERACTIONS = "arrakis_worker_interactions_total"

DASHBOARDS = {
    "overview": (
        "Arrakis: overview",
        [
            ("Interactions without a first response in time", "percentunit", [(share(EXPIRED, INTERACTIONS), "expired")]),
            ("Gaps in events", "short", [("sum by (reason) (increase(arrakis_ingestor_gaps_total[1h]))", "{{reason}}")]),
            ("Dead letters, and events without a queue", "short", [('max by (queue) (arrakis_worker_queue_depth{queue=~"arrakis.dlq|arrakis.unrouted"})', "{{queue}}")]),
            ("Firing alerts", "short", [('count by (alertname, severity) (ALERTS{alertstate="firing"}) or vector(0)', "{{alertname}}")]),
            ("Processes that respond", "short", [('sum by (job) (up{job=~"arrakis-.*"})', "{{job}}")]),
            ("Components that are not up", "short", [('sum by (job, component, status) (arrakis_component_status{status!="up"} > 0) or vector(0)', "{{job}} {{component}} {{status}}")]),
            ("Resident memory", "bytes", [("max by (job) (process_resident_memory_bytes)", "{{job}}")]),
            ("CPU", "short", [("sum by (job) (rate(process_cpu_seconds_total[$R]))", "{{job}}")]),
            ("Open file descriptors, share of the limit", "percentunit", [("max by (job) (process_open_fds / process_max_fds)", "{{job}}")]),
            ("Starts", "short", [("sum by (job) (changes(process_start_time_seconds[1h]))", "{{job}}")]),
        ],
    ),
    "interactions": (
        "Arrakis: interactions",
        [
            ("Interactions", "ops", [(rate(INTERACTIONS, "command"), "{{command}}")]),
            ("Outcomes", "ops", [(rate(INTERACTIONS, "outcome"), "{{outcome}}")]),
            ("Expired", "ops", [(rate(EXPIRED), "no first response in 3 s"), (rate("arrakis_worker_answers_too_late_total"), "reply after 15 min")]),
            ("Burn rate of the objective, 99.9 % in time", "short", [("(arrakis:interactions_expired:ratio_rate5m or vector(0)) / 0.001", "5 min"), ("(arrakis:interactions_expired:ratio_rate1h or vector(0)) / 0.001", "1 h"), ("(arrakis:interactions_expired:ratio_rate6h or vector(0)) / 0.001", "6 h")]),
            ("Delivery to first response accepted", "s", percentiles("arrakis_worker_defer_seconds")),
            ("Delivery to defer sent", "s", percentiles("arrakis_worker_defer_sent_seconds")),
            ("Creation at Discord to reply", "s", percentiles("arrakis_worker_answer_seconds")),
            ("Creation to reply, p99 by command", "s", [(quantile(0.99, "arrakis_worker_answer_seconds", "command"), "{{command}}")]),
            ("Reads from Redis", "ops", [(rate("arrakis_worker_cache_total", "what, outcome"), "{{what}} {{outcome}}")]),
            ("Unknown outcomes", "ops", [(rate("arrakis_worker_unknown_outcomes_total", "what"), "{{what}}")]),
        ],
    ),
    "change": (
        "Arrakis: canary, shadow, interactions by HTTP",
        [
            ("Workers by group", "short", [("sum by (group) (arrakis_worker_group_info)", "{{group}}")]),
            ("Share of the canary, %", "short", [("max(arrakis_worker_canary_share_percent)", "share")]),
            ("Messages of the canary's servers", "ops", [(rate("arrakis_worker_handed_over_total", "outcome"), "{{outcome}}")]),
            ("Waiting for the canary", "short", [('max by (queue) (arrakis_worker_queue_depth{queue=~"arrakis.canary..*"})', "{{queue}}")]),
            ("Answers of shadow workers", "ops", [(rate("arrakis_worker_shadow_answers_total", "outcome"), "{{outcome}}")]),
            ("Different answers by command", "ops", [(rate("arrakis_worker_shadow_answers_total", "command", 'outcome=~"different|failed"'), "{{command}}")]),
            ("Interactions by HTTP", "ops", [(rate("arrakis_interactions_requests_total", "outcome"), "{{outcome}}")]),
            ("Interactions by HTTP: confirmation", "s", percentiles("arrakis_interactions_confirm_seconds")),
        ],
    ),
    "queues": (
        "Arrakis: queues",
        [
            ("Messages ready", "short", [("max by (queue) (arrakis_worker_queue_depth)", "{{queue}}")]),
            ("Age of the first message", "s", [("min by (queue) (arrakis_worker_queue_oldest_age_seconds)", "{{queue}}")]),
            ("Consumers", "short", [("max by (queue) (arrakis_worker_queue_consumers)", "{{queue}}")]),
            ("Queues that a worker does not consume", "short", [("count by (queue) (arrakis_worker_consuming < 1) or vector(0)", "{{queue}}")]),
            ("Messages settled", "ops", [(rate("arrakis_worker_messages_total", "verdict"), "{{verdict}}")]),
            ("Retries", "ops", [(rate("arrakis_worker_messages_total", "queue", 'verdict="retry"'), "{{queue}}")]),
            ("Dead letters", "ops", [(rate("arrakis_worker_messages_total", "queue", 'verdict="dead_letter"'), "{{queue}}")]),
            ("Receipt to delivery, p99", "s", [(quantile(0.99, "arrakis_worker_queue_wait_seconds", "queue"), "{{queue}}")]),
            ("Handling, p99", "s", [(quantile(0.99, "arrakis_worker_handling_seconds", "queue"), "{{queue}}")]),
            ("Panics, time limits, stale acknowledgements", "ops", [(rate("arrakis_worker_panics_total"), "panics"), (rate("arrakis_worker_hangs_total"), "time limits"), (rate("arrakis_worker_stale_acks_total"), "stale")]),
        ],
    ),
    "shards": (
        "Arrakis: shards",
        [
            ("Shards that receive events", "bool", [("max by (shard) (arrakis_ingestor_shard_active)", "shard {{shard}}")]),
            ("States", "short", [("sum by (state) (arrakis_ingestor_shard_state)", "{{state}}")]),
            ("Events", "ops", [(rate("arrakis_ingestor_events_received_total"), "received"), (rate("arrakis_ingestor_events_total"), "published"), (rate("arrakis_ingestor_events_confirmed_total"), "confirmed")]),
            ("Events published, by name", "ops", [(rate("arrakis_ingestor_events_total", "event"), "{{event}}")]),
            ("Receipt to confirmation", "s", percentiles("arrakis_ingestor_confirm_seconds")),
            ("Received and not confirmed", "short", [("sum by (shard) (arrakis_ingestor_seq_lag)", "shard {{shard}}"), ("sum by (shard) (arrakis_ingestor_unconfirmed_messages)", "unconfirmed, shard {{shard}}")]),
            ("Heartbeat to acknowledgement", "s", [("max by (shard) (arrakis_ingestor_gateway_latency_seconds)", "shard {{shard}}")]),
            ("Gaps", "short", [("sum by (reason) (increase(arrakis_ingestor_gaps_total[1h]))", "{{reason}}")]),
            ("Connections ended", "ops", [(rate("arrakis_ingestor_gateway_closes_total", "cause"), "{{cause}}")]),
            ("Sessions", "ops", [(rate("arrakis_ingestor_identifies_total"), "IDENTIFY"), (rate("arrakis_ingestor_resumes_total"), "resumed")]),
            ("Session starts left", "short", [("min(arrakis_ingestor_identifies_left)", "left")]),
            ("Broker", "bool", [("max(arrakis_ingestor_broker_connected)", "connected"), ("max(arrakis_ingestor_broker_blocked)", "blocked")]),
            ("Publishing since the lease was acquired", "short", [("sum by (what) (arrakis_ingestor_publishing) or vector(0)", "{{what}}")]),
            ("Skipped, repeated, unreadable", "ops", [(rate("arrakis_ingestor_events_skipped_total"), "skipped"), (rate("arrakis_ingestor_events_repeated_total"), "repeated"), (rate("arrakis_ingestor_frames_unreadable_total"), "unreadable")]),
        ],
    ),
    "discord": (
        "Arrakis: calls to Discord and limits",
        [
            ("Calls by class", "ops", [(rate("arrakis_proxy_calls_total", "class"), "{{class}}")]),
            ("Calls by status", "ops", [(rate("arrakis_proxy_calls_total", "status"), "{{status}}")]),
            ("Duration at Discord, p99", "s", [(quantile(0.99, "arrakis_proxy_discord_seconds", "class"), "{{class}}")]),
            ("Wait for a permit, p99", "s", [(quantile(0.99, "arrakis_proxy_wait_seconds", "lane, urgency"), "{{lane}} {{urgency}}")]),
            ("Calls that wait", "short", [("sum by (lane, urgency) (arrakis_proxy_waiting)", "{{lane}} {{urgency}}")]),
            ("Calls in flight", "short", [("sum(arrakis_proxy_in_flight)", "in flight")]),
            ("Limit in force", "short", [("max(arrakis_proxy_limit_in_force)", "calls in 1.1 s"), ("max(arrakis_proxy_limits_apart)", "degraded mode")]),
            ("429 of Discord", "ops", [(rate("arrakis_proxy_discord_429_total", "scope"), "{{scope}}")]),
            ("Invalid requests of ten minutes", "short", [("max(arrakis_proxy_invalid_requests)", "invalid"), ("max(arrakis_proxy_stopped_causes)", "stopped causes")]),
            ("Refusals by the proxy", "ops", [(rate("arrakis_proxy_refusals_total", "why"), "{{why}}")]),
            ("Retries", "ops", [(rate("arrakis_proxy_retries_total", "why"), "{{why}}")]),
            ("Bot token, kill switch", "bool", [("max(arrakis_proxy_token_dead)", "token refused"), ("max(arrakis_proxy_kill_switch_on)", "kill switch")]),
            ("Checks of the token", "ops", [(rate("arrakis_proxy_token_checks_total", "outcome"), "{{outcome}}")]),
            ("Calls of workers, by outcome", "ops", [(rate("arrakis_worker_discord_calls_total", "outcome"), "{{outcome}}")]),
            ("Duration of calls of workers, p99 by route", "s", [(quantile(0.99, "arrakis_worker_discord_call_seconds", "route"), "{{route}}")]),
        ],
    ),
    "tenants": (
        "Arrakis: communities",
        [
            ("Largest share of one community", "percentunit", [("max by (lane) (arrakis_proxy_largest_tenant_share_ratio) or vector(0)", "{{lane}}")]),
            ("Communities with permits in the last minute", "short", [("max by (lane) (arrakis_proxy_tenants_served) or vector(0)", "{{lane}}")]),
            ("Communities that wait", "short", [("sum by (lane) (arrakis_proxy_tenants_waiting)", "{{lane}}")]),
            ("Frozen communities", "short", [("max(arrakis_proxy_frozen_communities)", "frozen")]),
            ("Age of the last eligibility sync", "s", [("max by (token_profile) (arrakis_worker_eligibility_age_seconds) or vector(0)", "{{token_profile}}")]),
            ("Blocks behind", "short", [("max by (token_profile) (arrakis_worker_eligibility_blocks_behind) or vector(0)", "{{token_profile}}")]),
            ("Eligibility syncs", "ops", [(rate("arrakis_worker_eligibility_syncs_total"), "succeeded"), (rate("arrakis_worker_eligibility_failures_total"), "failed"), (rate("arrakis_worker_eligibility_mismatches_total"), "mismatches"), (rate("arrakis_worker_eligibility_reorganisations_total"), "reorganisations"), (rate("arrakis_worker_eligibility_logs_total"), "transfers")]),
            ("Answers about wallets, by source", "ops", [(rate("arrakis_worker_eligibility_answers_total", "source"), "{{source}}")]),
            ("Share of degraded answers", "percentunit", [(share('arrakis_worker_eligibility_answers_total{source=~"degraded|none"}', "arrakis_worker_eligibility_answers_total"), "degraded")]),
            ("Answers about wallets, p99 by source", "s", [(quantile(0.99, "arrakis_worker_eligibility_answer_seconds", "source"), "{{source}}")]),
            ("Score service", "ops", [(rate("arrakis_worker_score_requests_total", "outcome"), "{{outcome}}"), ('max by (state) (arrakis_worker_score_breaker) or vector(0)', "breaker {{state}}")]),
            ("Score service, duration", "s", percentiles("arrakis_worker_score_request_seconds")),
            ("Role changes", "ops", [(rate("arrakis_worker_role_changes_total", "direction, cause"), "{{direction}} {{cause}}")]),
            ("Wizard: steps entered and left", "short", [("sum by (step, event) (increase(arrakis_worker_onboarding_steps_total[1d]))", "{{step}} {{event}}")]),
            ("Alerts of members, welcomes refused", "ops", [(rate("arrakis_worker_alerts_total", "outcome"), "{{outcome}}"), (rate("arrakis_worker_welcomes_refused_total"), "welcomes refused")]),
        ],
    ),
    "jobs": (
        "Arrakis: jobs and backups",
        [
            ("Attempts", "ops", [(rate("arrakis_worker_jobs_total", "kind"), "{{kind}}")]),
            ("Outcomes", "ops", [(rate("arrakis_worker_jobs_total", "outcome"), "{{outcome}}")]),
            ("Completion in a day", "percentunit", [('sum by (kind) (increase(arrakis_worker_jobs_total{outcome="done"}[1d])) / (sum by (kind) (increase(arrakis_worker_jobs_total{outcome=~"done|dead_letter"}[1d])) > 0) or vector(1)', "{{kind}}")]),
            ("Duration, p95 by kind", "s", [(quantile(0.95, "arrakis_worker_job_seconds", "kind"), "{{kind}}")]),
            ("Synthesis: average of an hour", "s", [('sum(rate(arrakis_worker_job_seconds_sum{kind="synthesis"}[1h])) / (sum(rate(arrakis_worker_job_seconds_count{kind="synthesis"}[1h])) > 0) or vector(0)', "average")]),
            ("Synthesis: outcomes", "ops", [(rate("arrakis_worker_synthesis_total", "purpose, outcome"), "{{purpose}} {{outcome}}")]),
            ("Leaders", "short", [("sum(arrakis_worker_leader)", "leaders")]),
            ("Published by the leader", "ops", [(rate("arrakis_worker_due_published_total", "what"), "{{what}}")]),
            ("Events handled", "ops", [(rate("arrakis_worker_events_total", "event, outcome"), "{{event}} {{outcome}}")]),
            ("Backups: runs", "ops", [(rate("arrakis_worker_backup_runs_total", "task, outcome"), "{{task}} {{outcome}}")]),
            ("Backups: age of the oldest last run", "s", [("max by (task) (arrakis_worker_backup_age_seconds) or vector(0)", "{{task}}")]),
            ("Backups: overdue, failing, paused", "short", [("max(arrakis_worker_backup_overdue) or vector(0)", "overdue"), ("max(arrakis_worker_backup_failing) or vector(0)", "failing"), ("max(arrakis_worker_backup_absent)", "paused")]),
            ("Backups: written, expired, damaged", "short", [(rate("arrakis_worker_backup_bytes_total"), "bytes/s"), (rate("arrakis_worker_backup_expired_total"), "expired/s"), (rate("arrakis_worker_backup_damaged_total"), "damaged/s")]),
            ("Configurations in the object store", "short", [("max by (state) (arrakis_worker_configuration_shadows) or vector(0)", "{{state}}"), (rate("arrakis_worker_shadow_writes_total", "outcome"), "writes {{outcome}}")]),
            ("Signatures", "ops", [(rate("arrakis_worker_signatures_total", "outcome"), "{{outcome}}")]),
            ("Anchor of the chain of identity events", "s", [("time() - max(arrakis_worker_chain_anchored_timestamp_seconds > 0) or vector(0)", "age"), ("max(arrakis_worker_chain_anchor_mismatch)", "mismatch")]),
        ],
    ),
    "storage": (
        "Arrakis: PostgreSQL and Redis",
        [
            ("Workers: connections to PostgreSQL", "short", [("sum by (state) (arrakis_worker_postgres_connections)", "{{state}}")]),
            ("Workers: fewest idle connections", "short", [('min(arrakis_worker_postgres_connections{state="idle"})', "idle")]),
            ("Api: connections to PostgreSQL", "short", [("sum by (login, state) (arrakis_api_postgres_connections)", "{{login}} {{state}}")]),
            ("Openings of the circuit breaker", "ops", [(rate("arrakis_worker_postgres_breaker_openings_total"), "openings")]),
            ("PostgreSQL, by service", "bool", [('max by (job, status) (arrakis_component_status{component=~"postgres.*"})', "{{job}} {{status}}")]),
            ("Redis, by service", "bool", [('max by (job, status) (arrakis_component_status{component="redis"})', "{{job}} {{status}}")]),
            ("Reads from Redis", "ops", [(rate("arrakis_worker_cache_total", "outcome"), "{{outcome}}")]),
            ("Share of hits", "percentunit", [(share('arrakis_worker_cache_total{outcome="hit"}', "arrakis_worker_cache_total"), "hits")]),
            ("Limits without Redis", "bool", [("max(arrakis_proxy_limits_apart)", "proxies"), (rate("arrakis_api_rate_limits_local_total"), "requests of the api")]),
        ],
    ),
    "api": (
        "Arrakis: api, wallet page, Telegram",
        [
            ("Requests by status", "ops", [(rate("arrakis_api_requests_total", "status"), "{{status}}")]),
            ("Requests by route", "ops", [(rate("arrakis_api_requests_total", "route"), "{{route}}")]),
            ("Duration, p99 by route", "s", [(quantile(0.99, "arrakis_api_request_seconds", "route"), "{{route}}")]),
            ("Refused by a rate limit", "ops", [(rate("arrakis_api_rate_limited_total", "limit"), "{{limit}}")]),
            ("Wallet page: requests", "ops", [(rate("arrakis_api_requests_total", "route, status", 'route=~"/verify/.*"'), "{{route}} {{status}}")]),
            ("Wallet page: refusals", "ops", [(rate("arrakis_api_wallet_page_refusals_total", "code"), "{{code}}")]),
            ("Plans by verdict of the policy", "short", [("sum by (verdict) (increase(arrakis_api_plans_total[1d]))", "{{verdict}}")]),
            ("Jobs not published, refusals not audited", "ops", [(rate("arrakis_api_unpublished_jobs_total"), "unpublished"), (rate("arrakis_api_unaudited_refusals_total"), "unaudited")]),
            ("Signatures", "ops", [(rate("arrakis_api_signatures_total", "outcome"), "{{outcome}}")]),
            ("Connections of listeners", "short", [("sum by (job, listener) (arrakis_http_connections)", "{{job}} {{listener}}")]),
            ("Connections closed because of a limit", "ops", [(rate("arrakis_http_connections_closed_total", "job, why"), "{{job}} {{why}}")]),
            ("Telegram: calls", "ops", [(rate("arrakis_telegram_calls_total", "outcome"), "{{outcome}}")]),
            ("Telegram: updates and notices", "ops", [(rate("arrakis_telegram_updates_total", "kind"), "{{kind}}"), (rate("arrakis_telegram_notices_total", "result"), "notice {{result}}")]),
        ],
    ),
}

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def panel(number, title, unit, queries):
    unit_of_grafana = {"bool": "short"}.get(unit, unit)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "description": f"Unit: {TITLES[unit]}.",
        "datasource": DATASOURCE,
        "gridPos": {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)},
        "fieldConfig": {"defaults": {"unit": unit_of_grafana, "min": 0, "custom": {"fillOpacity": 10, "showPoints": "never"}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": DATASOURCE, "expr": expr.replace("$R", "$__rate_interval").replace("{}", ""), "legendFormat": legend}
            for at, (expr, legend) in enumerate(queries)
        ],
    }


def dashboard(name, title, panels):
    return {
        "uid": f"arrakis-{name}",
        "title": title,
        "tags": ["arrakis"],
        "timezone": "utc",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}]},
        "annotations": {
            "list": [
                {
                    "name": "Firing alerts",
                    "datasource": DATASOURCE,
                    "enable": True,
                    "iconColor": "red",
                    "expr": 'ALERTS{alertstate="firing",severity="page"}',
                    "titleFormat": "{{alertname}}",
                }
            ]
        },
        "links": [{"type": "dashboards", "title": "Arrakis", "tags": ["arrakis"], "asDropdown": True}],
        "panels": [panel(number, *one) for number, one in enumerate(panels)],
    }


def main():
    written = {FOLDER / f"{name}.json": json.dumps(dashboard(name, *one), indent=2, ensure_ascii=False) + "\n" for name, one in DASHBOARDS.items()}
    if "--check" in sys.argv[1:]:
        stale = [path.name for path, text in written.items() if not path.exists() or path.read_text() != text]
        stale += [path.name for path in FOLDER.glob("*.json") if path not in written]
        if stale:
            sys.exit(f"stale: {', '.join(stale)}; run: python3 deploy/grafana/build.py")
        return
    FOLDER.mkdir(exist_ok=True)
    for path, text in written.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
