"""The tests of the alerts: each alert fires, ends later in the same test, and is quiet on a healthy platform. promtool evaluates them."""

import re
import shutil
import subprocess
from pathlib import Path

import yaml

RULES = "deploy/prometheus/rules"
TESTS = "deploy/prometheus/tests"
# The test of a platform without a fault.
HEALTHY = "healthy.yaml"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> int:
    """A duration of Prometheus, such as `1h30m`."""
    return sum(int(number) * SECONDS[unit] for number, unit in re.findall(r"(\d+)([smhd])", duration))


def load_rules(root: Path) -> list[dict]:
    """All rules, those of alerts and those that record a series."""
    groups = [group for path in sorted((root / RULES).glob("*.yaml")) for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def load_tests(root: Path) -> dict[str, list[dict]]:
    """The tests by the name of their file."""
    return {path.name: yaml.safe_load(path.read_text())["tests"] for path in sorted((root / TESTS).glob("*.yaml"))}


def evaluations(test: dict, alert: str) -> tuple[list[int], list[int]]:
    """At which seconds of a test the alert is expected to fire, and at which not."""
    fires, quiet = [], []
    for evaluation in test.get("alert_rule_test", []):
        if evaluation["alertname"] == alert:
            (fires if evaluation["exp_alerts"] else quiet).append(seconds(evaluation["eval_time"]))
    return fires, quiet


def ends(test: dict, alert: str) -> bool:
    """Whether the alert fires in the test, and has ended later."""
    fires, quiet = evaluations(test, alert)
    return bool(fires and quiet) and max(quiet) > max(fires)


def files(alert: str, tests: dict[str, list[dict]]) -> list[str]:
    """The files with a test in which the alert fires and ends."""
    return [file for file, cases in tests.items() if any(ends(test, alert) for test in cases)]


def metrics(expression: str, recorded: dict[str, str]) -> set[str]:
    """The metrics that an expression reads, through the series that rules record."""
    found = set()
    for name in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.sub(r'"[^"]*"', "", expression)):
        if name in recorded:
            found |= metrics(recorded[name], recorded)
        elif name == "up" or name.startswith(("arrakis_", "process_")):
            found.add(name)
    return found


def durations(rule: dict, recorded: dict[str, str]) -> int:
    """The longest range of an alert and the time for which its expression has to hold, together in seconds."""
    names = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", rule["expr"])
    expressions = [rule["expr"], *(recorded[name] for name in names if name in recorded)]
    ranges = [seconds(found) for text in expressions for found in re.findall(r"(?:\[|offset )((?:\d+[smhd])+)", text)]
    return max(ranges, default=0) + seconds(rule.get("for", "0s"))


def check(rules: list[dict], tests: dict[str, list[dict]]) -> list[str]:
    """Problems of the tests."""
    found = []
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    healthy = tests[HEALTHY]
    series = {re.split(r"[{ ]", entry["series"])[0] for test in healthy for entry in test["input_series"]}
    for rule in rules:
        alert = rule.get("alert")
        if alert is None:
            continue
        if not files(alert, tests):
            found.append(f"{TESTS}: no test shows that the alert {alert} fires and later ends")
        times = [evaluations(test, alert) for test in healthy]
        if any(fires for fires, _ in times):
            found.append(f"{TESTS}/{HEALTHY}: the alert {alert} fires on a healthy platform")
        if not any(time > durations(rule, recorded) for _, quiet in times for time in quiet):
            found.append(f"{TESTS}/{HEALTHY}: the alert {alert} is not evaluated later than its durations")
        for metric in sorted(metrics(rule["expr"], recorded) - series):
            found.append(f"{TESTS}/{HEALTHY}: no series {metric}, which the alert {alert} reads")
    return found


def run_promtool(root: Path) -> list[str]:
    """What promtool reports, where it is installed; the suite of `./dev test` runs it in any case."""
    program = shutil.which("promtool")
    if program is None:
        return []
    commands = [["check", "rules", *map(str, sorted((root / RULES).glob("*.yaml")))], ["test", "rules", *map(str, sorted((root / TESTS).glob("*.yaml")))]]
    results = [(command, subprocess.run([program, *command], capture_output=True, text=True, check=False)) for command in commands]
    return [f"promtool {command[0]} {command[1]}:\n{result.stdout}{result.stderr}" for command, result in results if result.returncode != 0]


def check_root(root: Path) -> list[str]:
    """Problems of the committed rules and tests."""
    return check(load_rules(root), load_tests(root)) + run_promtool(root)
