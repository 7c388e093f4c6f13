"""The compose files against the compose specification, the variables of the services, and what every service of ours promises."""

import re
from pathlib import Path

import jsonschema
import yaml
from compose_spec import ComposeSpecification

from . import variables as env

FILES = ("deploy/compose.yaml", "deploy/compose.emulator.yaml", "deploy/compose.monitoring.yaml")


class Loader(yaml.SafeLoader):
    """YAML with the tags of compose for merging files."""


for tag in ("!reset", "!override"):
    Loader.add_constructor(tag, lambda loader, node: loader.construct_sequence(node))


def schema() -> dict:
    """The specification's schema, which also refuses unknown names, as the original does: the models of the package ignore them."""

    def strict(node):
        if isinstance(node, dict):
            if "properties" in node:
                node["additionalProperties"] = False
                node["patternProperties"] = {"^x-": {}}
            for value in node.values():
                strict(value)
        elif isinstance(node, list):
            for value in node:
                strict(value)
        return node

    return strict(ComposeSpecification.model_json_schema())


def load(path: Path) -> dict:
    """A compose file with its merges and anchors resolved."""
    return yaml.load(path.read_text(), Loader)


def check(name: str, document: dict, variables: env.Variables, is_overlay: bool = False) -> list[str]:
    """Problems of a compose file."""
    validator = jsonschema.Draft202012Validator(schema())
    found = [f"{name}: {'/'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(document)]
    for service, content in document.get("services", {}).items():
        image = content.get("image", "")
        where = f"{name}: {service}"
        if "arrakis-" not in image:
            if image.endswith(":latest") or (image and ":" not in image):
                found.append(f"{where}: the image {image} has no version")
            continue
        program = image.split("/")[-1].split(":")[0]
        if re.search(r"ARRAKIS_VERSION:?-", image) or image.endswith(":latest") or ":-latest}" in image:
            found.append(f"{where}: the image has a default version, and no such tag is published")
        if content.get("read_only") is not True:
            found.append(f"{where}: its root folder is writable")
        if content.get("cap_drop") != ["ALL"] or content.get("cap_add") or content.get("privileged"):
            found.append(f"{where}: it has capabilities")
        if content.get("security_opt") != ["no-new-privileges:true"]:
            found.append(f"{where}: it can gain privileges")
        if not content.get("mem_limit") or not content.get("pids_limit"):
            found.append(f"{where}: it has no limits")
        if any(str(port).count(":") < 2 or not str(port).startswith("127.0.0.1:") for port in content.get("ports", [])):
            found.append(f"{where}: it publishes a port on every address")
        if program in variables.allowed:
            found += env.problems(name, program, set(content.get("environment", {})), variables)
            literal = [key for key, value in content.get("environment", {}).items()
                       if key in env.SECRETS and value is not None and "${" not in str(value)]
            found += [f"{where}: {key} is written in the file" for key in literal]
    if is_overlay:
        return found
    networks = {service: set(content.get("networks", [])) for service, content in document["services"].items()}
    if not document["networks"]["private"] or not document["networks"]["private"].get("internal"):
        found.append(f"{name}: the network private has a route to the outside")
    for service, names in networks.items():
        if "discord" in names and not service.startswith(("discord-proxy", "ingestor")):
            found.append(f"{name}: {service} is in the network discord")
    if document["services"]["ingestor"].get("ports"):
        found.append(f"{name}: the ingestor publishes a port")
    return found


def jobs(root: Path) -> dict[str, list[str]]:
    """The services of each job of Prometheus, by their names in DNS or by fixed addresses."""
    configuration = yaml.safe_load((root / "deploy/compose/prometheus.yaml").read_text())
    return {job["job_name"]: services_of(job) for job in configuration["scrape_configs"]}


def services_of(job: dict) -> list[str]:
    """The services of a job: names that are looked up, or fixed addresses."""
    found = [name for entry in job.get("dns_sd_configs", []) for name in entry["names"]]
    return found + [target.split(":")[0] for entry in job.get("static_configs", []) for target in entry["targets"]]


def check_scraped(root: Path, scraped: dict[str, list[str]]) -> list[str]:
    """Every service of ours is scraped with the name of its program, which the rules need."""
    found = []
    for service, content in load(root / FILES[0])["services"].items():
        program = content.get("image", "").split("/")[-1].split(":")[0]
        if program.startswith("arrakis-") and program != env.MIGRATE and service not in scraped.get(program, []):
            found.append(f"deploy/compose/prometheus.yaml: {service} is not scraped as {program}")
    return found


def check_monitoring(root: Path) -> list[str]:
    """What watches the platform is reached from this machine only."""
    found = check_scraped(root, jobs(root))
    for service, content in load(root / FILES[2])["services"].items():
        if any(not str(port).startswith("127.0.0.1:") for port in content.get("ports", [])):
            found.append(f"{FILES[2]}: {service} publishes a port on every address")
    return found


def check_root(root: Path, variables: env.Variables) -> list[str]:
    """Problems of the committed files."""
    found = []
    for name in FILES:
        found += check(name, load(root / name), variables, is_overlay=name != FILES[0])
    found += check_monitoring(root)
    example = (root / "deploy/compose/env.example").read_text()
    for variable in set(re.findall(r"\$\{([A-Z_]+):\?", (root / FILES[0]).read_text())):
        if f"\n{variable}=" not in example:
            found.append(f"deploy/compose/env.example: {variable} is missing")
    return found
