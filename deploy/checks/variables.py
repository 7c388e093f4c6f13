"""The environment variables of each service, from .env.example, which is generated from the code's declarations."""

import re
from dataclasses import dataclass, field
from pathlib import Path

# What is secret, or contains a password or a key.
SECRETS = {
    "AMQP_URL",
    "API_CREDENTIAL",
    "AWS_SECRET_ACCESS_KEY",
    "CHAIN_RPC_URLS",
    "DATABASE_ADMIN_URL",
    "DATABASE_OWNER_URL",
    "DATABASE_URL",
    "DISCORD_PROXY_CREDENTIAL",
    "DISCORD_TOKEN",
    "NOTIFY_WEBHOOK_URL",
    "PROXY_CREDENTIALS",
    "REDIS_URL",
    "SCORE_API_KEY",
    "TELEGRAM_BOT_TOKEN",
}
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
    variables.allowed[MIGRATE] = variables.required[MIGRATE] = {"DATABASE_OWNER_URL"}
    # Only `migrate` and tools use it; a worker that serves never has it.
    variables.allowed["arrakis-worker"] -= {"DATABASE_OWNER_URL"}
    return variables


def problems(where: str, program: str, names: set[str], variables: Variables) -> list[str]:
    """Compares the variables that a deployment gives to a program with those that it reads and needs."""
    found = [f"{where}: {program} does not read {name}" for name in sorted(names - variables.allowed[program])
             if not name.startswith("OTEL_")]
    found += [f"{where}: {program} requires {name}" for name in sorted(variables.required[program] - names)]
    return found
