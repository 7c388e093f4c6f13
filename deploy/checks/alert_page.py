"""docs/operations/alerts.md: for each alert, the tests of promtool and the scenarios of `./dev chaos` in which it fires. Each runbook names what its
alert reads.

`python3 -m deploy.checks.alert_page` writes the table; the reason why an alert is in no scenario is written by hand and kept.
"""

import re
from pathlib import Path

from . import alert_tests

PAGE = "docs/operations/alerts.md"
# Generated from the scenarios; a test of loadtests compares both.
FAULTS = "docs/faults.md"
BEGIN, END = "<!-- alerts: written by `python3 -m deploy.checks.alert_page` -->\n", "<!-- end of alerts -->"
NO_REASON = "no reason given"


def scenarios(page: str) -> dict[str, list[str]]:
    """The scenarios of each alert, from the tables of docs/faults.md."""
    found: dict[str, list[str]] = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 8 and cells[0].strip().isdigit():
            for alert in re.findall(r"\[`([a-z-]+)`\]\(runbooks/", cells[5]):
                found.setdefault(alert, []).append(cells[1].strip("`"))
    return found


def reasons(page: str) -> dict[str, str]:
    """The reasons of the present table."""
    rows = re.findall(r"^\| \[`([a-z-]+)`\].* \| – \| (.*) \|$", page, re.MULTILINE)
    return dict(rows)


def table(rules: list[dict], tests: dict[str, list[dict]], faults: str, page: str) -> str:
    """The table."""
    by_alert, kept = scenarios(faults), reasons(page)
    lines = ["", "| alert | severity | promtool | scenarios | why in no scenario |", "|---|---|---|---|---|"]
    for rule in rules:
        alert = rule.get("alert")
        if alert is None:
            continue
        files = ", ".join(f"[{file.removesuffix('.yaml')}](../../{alert_tests.TESTS}/{file})" for file in alert_tests.files(alert, tests)) or "–"
        names = ", ".join(f"`{name}`" for name in by_alert.get(alert, []))
        seen = f"{names} |" if names else f"– | {kept.get(alert, NO_REASON)}"
        lines.append(f"| [`{alert}`](../runbooks/{alert}.md) | {rule['labels']['severity']} | {files} | {seen} |")
    return "\n".join([*lines, "", ""])


def with_table(page: str, text: str) -> str:
    """The page with this table."""
    before, rest = page.split(BEGIN, 1)
    return before + BEGIN + text + END + rest.split(END, 1)[1]


def check(rules: list[dict], tests: dict[str, list[dict]], faults: str, page: str) -> list[str]:
    """Problems of the page."""
    found = []
    alerts = {rule["alert"] for rule in rules if "alert" in rule}
    for alert in sorted(scenarios(faults).keys() - alerts):
        found.append(f"{FAULTS}: there is no alert {alert}")
    if with_table(page, table(rules, tests, faults, page)) != page:
        found.append(f"{PAGE} is stale: python3 -m deploy.checks.alert_page")
    for alert, reason in reasons(page).items():
        if reason == NO_REASON:
            found.append(f"{PAGE}: the alert {alert} is in no scenario, and no reason is given")
    return found


def check_runbooks(root: Path, rules: list[dict]) -> list[str]:
    """Each runbook names a metric of its alert: with it the person on call sees the cause, and that it is over."""
    found = []
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    for rule in rules:
        if "alert" not in rule:
            continue
        page = (root / f"docs/runbooks/{rule['alert']}.md").read_text()
        read = alert_tests.metrics(rule["expr"], recorded) | {name for name in recorded if name in rule["expr"]}
        if not any(re.sub("_(bucket|sum|count)$", "", name) in page for name in read):
            found.append(f"docs/runbooks/{rule['alert']}.md names none of {', '.join(sorted(read))}, which the alert reads")
    return found


def load(root: Path) -> tuple[list[dict], dict[str, list[dict]], str, str]:
    """What the page is checked against, and the page."""
    return alert_tests.load_rules(root), alert_tests.load_tests(root), (root / FAULTS).read_text(), (root / PAGE).read_text()


def check_root(root: Path) -> list[str]:
    """Problems of the committed page."""
    return check(*load(root)) + check_runbooks(root, alert_tests.load_rules(root))


if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    everything = load(ROOT)
    (ROOT / PAGE).write_text(with_table(everything[3], table(*everything)))
