"""Prints every problem of the deployment files. With --self-test: every check finds a defect that is put in."""

import argparse
import copy
import re
import sys
from pathlib import Path

from . import alert_page, alert_tests, alerts, chart, compose, images
from . import variables as env

ROOT = Path(__file__).resolve().parents[2]


def self_test(helm: str, variables: env.Variables) -> list[str]:
    """Checks that cannot fail are defects: each defect here must be reported."""
    failed = []

    def expect(what: str, problems: list[str]):
        if not any(what in problem for problem in problems):
            failed.append(f"a defect is not found: {what}; reported: {problems}")

    manifests = chart.render(helm, ROOT, "values-staging.yaml", [])
    for what, changed in chart.mutations(manifests):
        expect(what, chart.check(changed, ROOT, variables))

    # What is off by default.
    _, values, options = chart.SETS[-1]
    manifests = chart.render(helm, ROOT, values, options)
    by_name = {f"{item['kind']}/{item['metadata']['name']}": item for item in manifests}
    for what, change in [
        ("the alerts differ", lambda items: items["PrometheusRule/arrakis"]["spec"]["groups"].pop()),
        ("interactions on port 8050 is admitted and not routed", lambda items: items.pop("Ingress/interactions")),
        ("differ between the pods", lambda items: items["ConfigMap/ingestor-collector"]["data"].update({"prometheus.yml": "global: {scrape_interval: 15s}"})),
        ("differ between the pods", lambda items: next(
            entry for entry in items["Deployment/ingestor-all"]["spec"]["template"]["spec"]["containers"] if entry["name"] == "collector").pop("env")),
        ("is no name of a host", lambda items: items["Ingress/api"]["spec"]["rules"][0].update(host="verify.example.org:8443")),
        ("migrates by another build", lambda items: items["Job/migrate"]["spec"]["template"]["spec"]["containers"][0].update(image="ghcr.io/a/arrakis-worker:2")),
        ("scrapeInterval", lambda items: items["PodMonitor/arrakis-pods"]["spec"]["podMetricsEndpoints"][0].update(scrapeInterval="15s")),
        ("Deployment/worker-shadow has 0 PodMonitors", lambda items: items["PodMonitor/arrakis-shadow"]["spec"]["selector"]["matchExpressions"][0].update(values=["shadow"])),
        ("interactions reaches Discord", lambda items: items["NetworkPolicy/interactions"]["spec"]["egress"].append({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})),
        ("KILL_SWITCH_FILE is on no volume", lambda items: items["StatefulSet/discord-proxy"]["spec"].pop("volumeClaimTemplates")),
        ("its user cannot write the volume", lambda items: items["StatefulSet/discord-proxy"]["spec"]["template"]["spec"]["securityContext"].pop("fsGroup")),
        ("Deployment/api: its number of replicas", lambda items: items["Deployment/api"]["spec"].update(replicas=2)),
        ("Deployment/interactions: its number of replicas", lambda items: items.pop("HorizontalPodAutoscaler/interactions")),
        ("has no PodDisruptionBudget", lambda items: items["PodDisruptionBudget/worker-canary"]["spec"]["selector"]["matchLabels"].update({"app.kubernetes.io/name": "canary"})),
    ]:
        changed = copy.deepcopy(by_name)
        change(changed)
        expect(what, chart.check(list(changed.values()), ROOT, variables))

    dockerfile = (ROOT / "deploy/images/Dockerfile").read_text()
    tree_script = (ROOT / "deploy/images/tree.sh").read_text()
    for what, old, new in [
        ("has the user", "USER 65532:65532", "USER root"),
        ("has other files", "COPY --from=trees /api/ /", "COPY --from=trees /worker/ /"),
        ("the health check of worker", '["/usr/bin/arrakis-worker", "healthcheck"]', '["/usr/bin/arrakis-worker", "--version"]'),
        ("is not made from scratch", "FROM scratch AS image", "FROM debian:bookworm AS image"),
        ("runs a command", "EXPOSE 8070 8080", "RUN true"),
    ]:
        assert old in dockerfile, old
        expect(what, images.check(dockerfile.replace(old, new), tree_script))

    for what, change in [
        ("does not read DISCORD_TOKEN", lambda services: services["worker"]["environment"].update(DISCORD_TOKEN="${T}")),
        ("requires REDIS_URL", lambda services: services["api"]["environment"].pop("REDIS_URL")),
        ("requires KILL_SWITCH_CREDENTIAL", lambda services: services["discord-proxy-1"]["environment"].pop("KILL_SWITCH_CREDENTIAL")),
        ("is written in the file", lambda services: services["ingestor"]["environment"].update(DISCORD_TOKEN="abc")),
        ("its root folder is writable", lambda services: services["api"].update(read_only=False)),
        ("publishes a port on every address", lambda services: services["api"].update(ports=["8070:8070"])),
        ("is in the network discord", lambda services: services["worker"].update(networks=["private", "discord"])),
        ("a default version", lambda services: services["api"].update(image="${R:-ghcr.io/a}/arrakis-api:${ARRAKIS_VERSION:-latest}")),
        ("read_onyl", lambda services: services["worker"].update(read_onyl=True)),
    ]:
        document = compose.load(ROOT / compose.FILES[0])
        # Anchors share one object; each service gets its own.
        document["services"] = {name: copy.deepcopy(content) for name, content in document["services"].items()}
        change(document["services"])
        expect(what, compose.check("compose.yaml", document, variables))
    for what, change in [
        ("there is no alert shards-lost", lambda rules: rules[1].update(target_matchers=["alertname = shards-lost"])),
        ("inhibits without the name", lambda rules: rules[0].pop("source_matchers") and rules[0].update(source_matchers=["severity = page"])),
        ("silences an alert of the severity page", lambda rules: rules[0].update(source_matchers=["alertname = panics"], target_matchers=["alertname = shards"])),
    ]:
        configuration = alerts.load(ROOT)
        change(configuration["inhibit_rules"])
        expect(what, alerts.check(configuration, alerts.rules(ROOT)))
    configuration = alerts.load(ROOT)
    configuration["route"]["routes"][0]["receiver"] = "chat"
    expect("do not reach the pager", alerts.check(configuration, alerts.rules(ROOT)))
    configuration = alerts.load(ROOT)
    configuration["route"]["routes"][0].pop("continue")
    expect("page do not reach the chat", alerts.check(configuration, alerts.rules(ROOT)))
    configuration = alerts.load(ROOT)
    configuration["route"]["routes"][0]["matchers"] = ["severity =~ \"page|ticket\""]
    expect("ticket reach the pager", alerts.check(configuration, alerts.rules(ROOT)))
    failed += self_test_of_alert_tests()
    scraped = compose.jobs(ROOT)
    scraped["arrakis-worker"].remove("worker-canary")
    scraped["arrakis-discord-proxy"].remove("discord-proxy-2")
    problems = compose.check_scraped(ROOT, scraped)
    expect("worker-canary is not scraped", problems)
    expect("discord-proxy-2 is not scraped", problems)
    return failed


def self_test_of_alert_tests() -> list[str]:
    """As [`self_test`], for the tests of the alerts and the page that lists them."""
    failed = []
    rules, tests, faults, page = alert_page.load(ROOT)

    def expect(what: str, problems: list[str]):
        if not any(what in problem for problem in problems):
            failed.append(f"a defect is not found: {what}; reported: {problems}")

    def of_alert(tests: dict, file: str, alert: str) -> list[dict]:
        return [evaluation for test in tests[file] for evaluation in test["alert_rule_test"] if evaluation["alertname"] == alert]

    for what, change in [
        ("no test shows that the alert shards fires and later ends", lambda tests: of_alert(tests, "ingestor.yaml", "shards")[-1].update(eval_time="1s")),
        ("no test shows that the alert leader fires and later ends", lambda tests: [test.pop("alert_rule_test") for test in tests["queues.yaml"] if test["name"] == "leader"]),
        ("the alert panics fires on a healthy platform", lambda tests: of_alert(tests, "healthy.yaml", "panics")[0].update(exp_alerts=[{}])),
        ("the alert community-frozen is not evaluated later", lambda tests: of_alert(tests, "healthy.yaml", "community-frozen")[-1].update(eval_time="23h")),
        ("no series arrakis_worker_leader", lambda tests: tests["healthy.yaml"][0].update(
            input_series=[entry for entry in tests["healthy.yaml"][0]["input_series"] if not entry["series"].startswith("arrakis_worker_leader")])),
    ]:
        changed = copy.deepcopy(tests)
        change(changed)
        expect(what, alert_tests.check(rules, changed))
    renamed = alert_page.check(rules, tests, faults.replace("[`shards`]", "[`shard`]"), page)
    expect("is stale", renamed)
    expect("there is no alert shard", renamed)
    expect("is stale", alert_page.check(rules, tests, faults, page.replace("[`panics`]", "[`panic`]")))
    expect("no reason is given", alert_page.check(rules, tests, faults, re.sub(r"(\[`sync-age`\].* \| – \| ).* \|", rf"\g<1>{alert_page.NO_REASON} |", page)))
    return failed


def main() -> int:
    """Runs the checks; the exit code is 1 when there is a problem."""
    parser = argparse.ArgumentParser(prog="deploy.checks")
    parser.add_argument("--helm", required=True)
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    variables = env.read(ROOT)
    if arguments.self_test:
        problems = self_test(arguments.helm, variables)
    else:
        problems = images.check_root(ROOT) + compose.check_root(ROOT, variables) + chart.check_root(arguments.helm, ROOT, variables)
        problems += alerts.check_root(ROOT) + alert_tests.check_root(ROOT) + alert_page.check_root(ROOT)
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
