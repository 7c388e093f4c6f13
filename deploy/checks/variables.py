"""The environment variables of each service, from .env.example, which is generated from the code's declarations."""

import re
from dataclasses import dataclass, field
from pathlib import Path

DECLARATIONS = Path(__file__).resolve().parents[2] / "shared/config/src/variables.rs"
# What is secret, or contains a password or a key, as the code declares it.
SECRETS = {name for name, rest in re.findall(r"^    ([A-Z][A-Z0-9_]+) = (.*?);$", DECLARATIONS.read_text(), re.M | re.S) if ".secret()" in rest}
# Optional in the code and required of a deployment: without them the kill switch reaches no proxy, and no operation that needs a second factor
# is possible.
REQUIRED = {
    "arrakis-api": {"DISCORD_PROXY_URL", "KILL_SWITCH_CREDENTIAL", "MFA_ENCRYPTION_KEY"},
    "arrakis-discord-proxy": {"KILL_SWITCH_CREDENTIAL"},
    "arrakis-worker": {"KILL_SWITCH_CREDENTIAL", "MFA_ENCRYPTION_KEY"},
}
# A worker of the group shadow: it has nothing that has effects (docs/safe-change.md).
SHADOW = "arrakis-worker-shadow"
# Tasks of the worker's program that do not serve.
MIGRATE = "arrakis-migrate"


@dataclass
class Variables:
    """Names by program."""

    allowed: dict[str, set[str]] = field(default_factory=dict)
    required: dict[str, set[str]] = field(default_factory=dict)


def read(root: Path) -> Variables:
    """Reads .env.example: a comment with the programs, then the variable; the programs require it where the line is not commented."""
    variables = Variables()
    programs: list[str] = []
    for line in (root / ".env.example").read_text().splitlines():
        comment = re.match(r"# ((?:arrakis-[a-z-]+|gaib)(?:, (?:arrakis-[a-z-]+|gaib))*)(;.*)?$", line)
        assignment = re.match(r"(#?)([A-Z][A-Za-z0-9_]*)=", line)
        if comment:
            programs = comment[1].split(", ")
        elif assignment:
            for program in programs:
                variables.allowed.setdefault(program, set()).add(assignment[2])
                if not assignment[1]:
                    variables.required.setdefault(program, set()).add(assignment[2])
            programs = []
    # Optional for these, whatever the others need.
    variables.required["arrakis-discord-proxy"] -= {"DISCORD_APPLICATION_ID"}
    variables.required["arrakis-worker"] -= {"DATABASE_ADMIN_URL", "VERIFY_BASE_URL"}
    for program, names in REQUIRED.items():
        assert names <= variables.allowed[program], program
        variables.required[program] |= names
    forbidden = {name for name in variables.allowed["arrakis-worker"]
                 if name.startswith(("KILL_SWITCH_", "MFA_", "NOTIFY_", "APPROVAL_", "VAULT_", "BACKUP_")) or name in ("SIGNER", "DATABASE_ADMIN_URL")}
    variables.allowed[SHADOW] = variables.allowed["arrakis-worker"] - forbidden
    variables.required[SHADOW] = variables.required["arrakis-worker"] - forbidden
    assert len(SECRETS) > 15, "no secrets are found in the declarations"
    variables.allowed[MIGRATE] = variables.required[MIGRATE] = {"DATABASE_OWNER_URL"}
    # Only `migrate` and tools use it; a worker that serves never has it.
    for program in ("arrakis-worker", SHADOW):
        variables.allowed[program] -= {"DATABASE_OWNER_URL"}
    return variables


def problems(where: str, program: str, names: set[str], variables: Variables) -> list[str]:
    """Compares the variables that a deployment gives to a program with those that it reads and needs."""
    found = [f"{where}: {program} does not read {name}" for name in sorted(names - variables.allowed[program])
             if not name.startswith("OTEL_")]
    found += [f"{where}: {program} requires {name}" for name in sorted(variables.required[program] - names)]
    return found
