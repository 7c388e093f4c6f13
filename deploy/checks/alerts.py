"""The configuration of Alertmanager against the rules of Prometheus: it names alerts and severities that exist."""

import re
from pathlib import Path

import yaml

FILE = "deploy/prometheus/alertmanager.yaml"


def rules(root: Path) -> dict[str, str]:
    """The severity of each alert."""
    groups = [group for path in sorted((root / "deploy/prometheus/rules").glob("*.yaml")) for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule["alert"]: rule["labels"]["severity"] for group in groups for rule in group["rules"] if "alert" in rule}


def named(matchers: list[str], label: str) -> set[str]:
    """The values of a label in matchers, such as `alertname = shards` or `alertname =~ "shards|panics"`."""
    found: set[str] = set()
    for matcher in matchers:
        match = re.fullmatch(rf'{label} *=~? *"?([a-z|-]+)"?', matcher)
        if match:
            found |= set(match[1].split("|"))
    return found


def reached(route: dict, severity: str) -> set[str]:
    """The receivers of an alert with this severity, as Alertmanager selects them: the first route that matches, and further ones after `continue`."""
    found: set[str] = set()
    for child in route.get("routes", []):
        severities = named(child.get("matchers", []), "severity")
        if severities and severity not in severities:
            continue
        found |= reached(child, severity)
        if not child.get("continue"):
            break
    return found or {route["receiver"]}


def check(configuration: dict, alerts: dict[str, str]) -> list[str]:
    """Problems of the configuration."""
    found = []
    receivers = {receiver["name"] for receiver in configuration["receivers"]}
    routes = [configuration["route"], *configuration["route"]["routes"]]
    for route in routes:
        if route["receiver"] not in receivers:
            found.append(f"{FILE}: there is no receiver {route['receiver']}")
        for severity in named(route.get("matchers", []), "severity") - set(alerts.values()):
            found.append(f"{FILE}: no alert has the severity {severity}")
    # docs/operations/on-call.md states this.
    for severity, wanted in {"page": {"pager", "chat"}, "ticket": {"chat"}, "info": {"chat"}}.items():
        receivers_of = reached(configuration["route"], severity)
        for receiver in sorted(wanted - receivers_of):
            found.append(f"{FILE}: alerts of the severity {severity} do not reach the {receiver}")
        for receiver in sorted(receivers_of - wanted):
            found.append(f"{FILE}: alerts of the severity {severity} reach the {receiver}")
    for rule in configuration["inhibit_rules"]:
        sources, targets = (named(rule[key], "alertname") for key in ("source_matchers", "target_matchers"))
        if not sources or not targets:
            found.append(f"{FILE}: a rule inhibits without the name of an alert: {rule}")
        for alert in sorted((sources | targets) - alerts.keys()):
            found.append(f"{FILE}: there is no alert {alert}")
        # An alert of severity ticket or info must not silence one of severity page.
        if any(alerts.get(source) != "page" for source in sources) and any(alerts.get(target) == "page" for target in targets):
            found.append(f"{FILE}: {', '.join(sorted(sources))} silences an alert of the severity page and is none")
    return found


def load(root: Path) -> dict:
    """The committed configuration."""
    return yaml.safe_load((root / FILE).read_text())


def check_root(root: Path) -> list[str]:
    """Problems of the committed configuration."""
    return check(load(root), rules(root))
