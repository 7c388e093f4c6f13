"""The Dockerfile against what every image promises: no privilege, no shell, a health check, the tree of its own name."""

import json
import re
from pathlib import Path

Targets = dict[str, list[tuple[str, str]]]

SERVICES = {"ingestor", "worker", "discord-proxy", "api", "telegram", "interactions"}
COMMANDS = {"migrate", "emulator", "gaib"}


def read(text: str) -> tuple[Targets, dict[str, str]]:
    """Instructions by target, and the base of each target."""
    targets: Targets = {}
    bases: dict[str, str] = {}
    name = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        match = re.match(r"([A-Z]+)\s+(.*)", line)
        if not match:
            continue
        instruction, value = match.groups()
        if instruction == "FROM":
            base, _, name = value.partition(" AS ")
            bases[name], targets[name] = base, []
        elif name:
            targets[name].append((instruction, value.strip()))
    return targets, bases


def with_bases(name: str, targets: Targets, bases: dict[str, str]) -> list[tuple[str, str]]:
    """The instructions of a target after those of its bases."""
    base = bases[name]
    return (with_bases(base, targets, bases) if base in targets else []) + targets[name]


def last(instructions: list[tuple[str, str]], name: str) -> str | None:
    """Value of the last instruction of this name."""
    return next((value for instruction, value in reversed(instructions) if instruction == name), None)


def check(text: str, tree_script: str) -> list[str]:
    """Problems of the Dockerfile."""
    targets, bases = read(text)
    found = []
    trees = dict(re.findall(r"^    ([a-z-]+)\) echo ([a-z-]+) ;;$", tree_script, re.M))
    for missing in (SERVICES | COMMANDS) - targets.keys():
        found.append(f"Dockerfile: there is no target {missing}")
    for target in (SERVICES | COMMANDS) & targets.keys():
        instructions = with_bases(target, targets, bases)
        root = target
        while bases[root] in targets:
            root = bases[root]
        if bases[root] != "scratch":
            found.append(f"Dockerfile: {target} is not made from scratch")
        if last(instructions, "USER") != "65532:65532":
            found.append(f"Dockerfile: {target} has the user {last(instructions, 'USER')}")
        copies = [value for instruction, value in instructions if instruction in ("COPY", "ADD")]
        source = "worker" if target == "migrate" else target
        if copies != [f"--from=trees /{source}/ /"]:
            found.append(f"Dockerfile: {target} has other files than its tree: {copies}")
        if any(instruction == "RUN" for instruction, _ in instructions):
            found.append(f"Dockerfile: {target} runs a command, which its tree has not")
        program = f"/usr/bin/{trees.get(source)}"
        entrypoint = json.loads(last(instructions, "ENTRYPOINT") or "[]")
        if entrypoint[:1] != [program]:
            found.append(f"Dockerfile: {target} starts {entrypoint}, not {program}")
        health = last(instructions, "HEALTHCHECK") or ""
        expected = f'CMD ["{program}", "healthcheck"]' if target in SERVICES else "NONE"
        if not health.endswith(expected):
            found.append(f"Dockerfile: the health check of {target} is not {expected}")
        labels = " ".join(value for instruction, value in instructions if instruction == "LABEL")
        for label in ("title", "description", "version", "revision", "created", "source", "licenses"):
            if f"org.opencontainers.image.{label}=" not in labels:
                found.append(f"Dockerfile: {target} has no label {label}")
    return found


def check_root(root: Path) -> list[str]:
    """Problems of the committed files."""
    return check((root / "deploy/images/Dockerfile").read_text(), (root / "deploy/images/tree.sh").read_text())
