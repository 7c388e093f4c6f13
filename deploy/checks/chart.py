"""The Helm chart: lint, schemas of Kubernetes, KEDA and Prometheus Operator, the variables of the services, and the policies that the chart promises.

Each set of values in `SETS` is rendered by helm and checked.
"""

import copy
import ipaddress
import json
import re
import subprocess
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

from . import variables as env

CHART = "deploy/helm/arrakis"
KUBERNETES = "1.35"
# Name, file of values, and what is set besides.
SETS = [
    ("staging", "values-staging.yaml", []),
    ("production", "values-production.yaml", []),
    ("production with digests, groups of shards and a webhook", "values-production.yaml", [
        "--set-json", 'ingestor.groups=[{"name":"a","shardCount":8,"shardRange":"0-3"},{"name":"b","shardCount":8,"shardRange":"4-7"}]',
        "--set", "telegram.enabled=true,telegram.webhookUrl=https://bot.example.org:8443/telegram",
        "--set", "telegram.replicas=2",
        "--set", "worker.autoscaling.enabled=false",
        "--set", f"image.digests.worker=sha256:{'0' * 64}",
    ]),
    ("production that admits no ingress controller and no Prometheus, at another port", "values-production.yaml", [
        "--set-json", "network.ingress=[]", "--set-json", "network.monitoring=[]",
        "--set", "interactions.enabled=true,interactions.ingress.enabled=false,api.ingress.enabled=false",
        "--set-string", f"discord.publicKey={'0' * 64}",
        "--set", "verifyBaseUrl=https://verify.example.org:8443",
    ]),
    ("staging with a migration of a new build", "values-staging.yaml", [
        "--set", "migrate.tag=v2", "--set", "worker.canary.enabled=true,worker.canary.tag=v2",
        "--set", "verifyBaseUrl=https://verify.example.org:8443",
    ]),
    ("production with everything", "values-production.yaml", [
        "--set", "telegram.enabled=true",
        "--set", f"migrate.digest=sha256:{'1' * 64}",
        "--set", "interactions.enabled=true", "--set", "interactions.autoscaling.enabled=true,api.autoscaling.enabled=true",
        "--set", "discordProxy.killSwitchVolume.enabled=true,discordProxy.killSwitchVolume.storageClassName=gp3",
        "--set-string", f"discord.publicKey={'0' * 64}",
        "--set", f"worker.canary.enabled=true,worker.canary.digest=sha256:{'1' * 64}",
        "--set", "worker.shadow.enabled=true,worker.shadow.tag=v2",
        "--set", "signing.serviceAccountToken.enabled=true,controlEnvironment.SIGNER=transit,controlEnvironment.VAULT_AUTH=kubernetes",
        "--set", "secrets.notifyWebhookUrl.name=notices,secrets.killSwitchCredentialPrevious.name=proxy-before,secrets.slackBotToken.name=slack,secrets.slackSigningSecret.name=slack",
        "--set-json", 'network.vault.to=[{"ipBlock":{"cidr":"10.0.9.0/24"}}]',
        "--set", "amqpPriorities=classes",
        "--set", "monitoring.enabled=true,monitoring.labels.release=prometheus",
    ]),
]
# Values that must be refused.
REFUSED = [
    ["--set", "worker.replica=3"],
    ["--set", "verifyBaseUrl=http://verify.example.org"],
    ["--set", "secrets.amqpUrl.name="],
    ["--set", "telegram.enabled=true", "--set", "telegram.replicas=2"],
    ["--set-json", 'ingestor.groups=[{"name":"a","shardRange":"0-3"}]'],
    ["--set", "interactions.enabled=true"],
    ["--set", "worker.canary.enabled=true"],
    ["--set", "monitoring.enabled=true"],
    ["--set", f"migrate.tag=v2,migrate.digest=sha256:{'1' * 64}"],
    ["--set-json", "network.postgres.to=[]"],
    ["--set-json", "network.redis.to=[]"],
    ["--set-json", "network.rabbitmq.to=[]"],
    ["--set", "telegram.enabled=true", "--set-json", "network.telegram=[]"],
    ["--set", "discordProxy.killSwitchVolume.enabled=true,discordProxy.killSwitchVolume.size=0"],
    ["--set", "api.autoscaling.enabled=true,api.autoscaling.minReplicas=1"],
    ["--set", f"worker.shadow.enabled=true,worker.shadow.tag=v2,worker.shadow.digest=sha256:{'1' * 64}"],
]


def render(helm: str, root: Path, values: str, options: list[str]) -> list[dict]:
    """The manifests of the chart with these values."""
    command = [helm, "template", "arrakis", str(root / CHART), "--namespace", "arrakis", "--values", str(root / CHART / values), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ValueError(result.stderr.strip())
    return [document for document in yaml.safe_load_all(result.stdout) if document]


def pods(manifests: list[dict]) -> dict[str, dict]:
    """The pods by kind and name of their owner."""
    return {f"{item['kind']}/{item['metadata']['name']}": item["spec"]["template"]
            for item in manifests if item["kind"] in ("Deployment", "StatefulSet", "Job")}


def check_schemas(manifests: list[dict], operators: dict) -> list[str]:
    """Problems by the schemas of Kubernetes, and by ours of the operators' objects."""
    found = []
    for item in manifests:
        where = f"{item['kind']}/{item['metadata']['name']}"
        if item["apiVersion"].startswith(("keda.sh/", "monitoring.coreos.com/")):
            definition = {"$ref": f"#/$defs/{item['kind']}", "$defs": operators}
            for error in jsonschema.Draft202012Validator(definition).iter_errors(item):
                found.append(f"{where}: {'/'.join(map(str, error.absolute_path))}: {error.message}")
            continue
        try:
            kubernetes_validate.validate(item, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{where}: {'/'.join(map(str, error.path))}: {error.message}")
    return found


def check_pod(where: str, pod: dict) -> list[str]:
    """What every pod promises."""
    spec, found = pod["spec"], []
    if spec.get("automountServiceAccountToken") is not False:
        found.append("it has a token of the cluster")
    if spec.get("hostNetwork") or spec.get("hostPID") or spec.get("hostIPC"):
        found.append("it shares namespaces with the node")
    if spec.get("securityContext", {}).get("seccompProfile") != {"type": "RuntimeDefault"}:
        found.append("it has no seccomp profile")
    for volume in spec.get("volumes", []):
        if "hostPath" in volume:
            found.append("it mounts a folder of the node")
    for container in spec["containers"]:
        security = container.get("securityContext", {})
        expected = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True, "runAsUser": 65532,
                    "capabilities": {"drop": ["ALL"]}}
        if security != expected:
            found.append(f"the security context of {container['name']} is {security}")
        if set(container.get("resources", {}).get("limits", {})) != {"cpu", "memory"}:
            found.append(f"{container['name']} has no limits")
        if not where.startswith("Job/"):
            for probe in ("livenessProbe", "readinessProbe"):
                if probe not in container:
                    found.append(f"{container['name']} has no {probe}")
            live = json.dumps(container.get("livenessProbe"))
            if container["name"] != "collector" and "livez" not in live:
                found.append(f"the liveness of {container['name']} depends on more than the process")
        for variable in container.get("env", []):
            if variable["name"] in env.SECRETS and "secretKeyRef" not in variable.get("valueFrom", {}):
                found.append(f"{variable['name']} of {container['name']} is not from a Secret")
    return [f"{where}: {problem}" for problem in found]


def check_variables(where: str, pod: dict, variables: env.Variables) -> list[str]:
    """The variables of the container of a service."""
    found = []
    for container in pod["spec"]["containers"]:
        program = f"arrakis-{container['name']}"
        if {"name": "WORKER_GROUP", "value": "shadow"} in container.get("env", []):
            program = env.SHADOW
        if program in variables.allowed:
            found += env.problems(where, program, {variable["name"] for variable in container.get("env", [])}, variables)
    return found


def is_public(rule: dict) -> bool:
    """Whether a rule of egress reaches an address of Discord: a block that contains public addresses beyond one network of Telegram."""
    blocks = [ipaddress.ip_network(peer["ipBlock"]["cidr"]) for peer in rule.get("to", []) if "ipBlock" in peer]
    return not rule.get("to") or any(not block.is_private and block.prefixlen < 20 for block in blocks)


def check_network(manifests: list[dict]) -> list[str]:
    """Who may reach whom."""
    found = []
    policies = [item for item in manifests if item["kind"] == "NetworkPolicy"]
    by_name = {item["metadata"]["name"]: item["spec"] for item in policies}
    everything = by_name.get("deny-all", {})
    if everything.get("ingress") or everything.get("egress") or everything.get("policyTypes") != ["Ingress", "Egress"]:
        found.append("deny-all permits something")
    denied = everything.get("podSelector", {}).get("matchLabels", {})
    for where, pod in pods(manifests).items():
        labels = pod["metadata"]["labels"]
        if not denied or not denied.items() <= labels.items():
            found.append(f"deny-all does not select {where}")
        own = [spec for name, spec in by_name.items() if name != "deny-all" and spec["podSelector"]["matchLabels"].items() <= labels.items()]
        if len(own) != 1 or own[0].get("policyTypes") != ["Ingress", "Egress"]:
            found.append(f"{where} has {len(own)} policies of its own")
    for name in ("worker", "worker-canary", "worker-shadow"):
        ports = {port["port"] for rule in by_name.get(name, {}).get("ingress", []) for port in rule["ports"]}
        if ports - {8080}:
            found.append(f"{name} accepts connections on {sorted(ports)}")
    callers = {peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
               for rule in by_name["discord-proxy"]["ingress"] for peer in rule["from"] if "podSelector" in peer}
    needed = {name for name in by_name if name in ("api", "operator", "worker", "worker-canary", "worker-shadow")}
    if not needed <= callers:
        found.append(f"the discord-proxy does not accept connections of {', '.join(sorted(needed - callers))}")
    if by_name.get("ingestor", {}).get("ingress") != []:
        found.append("the ingestor accepts connections")
    for name, spec in by_name.items():
        reaches_discord = any(is_public(rule) for rule in spec.get("egress", []))
        if reaches_discord != (name in ("ingestor", "discord-proxy")):
            found.append(f"{name} {'reaches' if reaches_discord else 'does not reach'} Discord")
        for rule in spec.get("ingress", []):
            if not rule.get("from") or not rule.get("ports"):
                found.append(f"{name} accepts connections from everywhere")
        for rule in spec.get("egress", []):
            if not rule.get("to") or not rule.get("ports"):
                found.append(f"{name} may connect to everywhere")
    return [f"NetworkPolicy: {problem}" for problem in found]


def check_objects(manifests: list[dict]) -> list[str]:
    """Disruption budgets, scaling, and secrets by reference."""
    found = []
    budgets = [item["spec"]["selector"]["matchLabels"] for item in manifests if item["kind"] == "PodDisruptionBudget"]
    for where, pod in pods(manifests).items():
        if where.startswith("Job/") or where == "Deployment/telegram":
            continue
        if sum(labels.items() <= pod["metadata"]["labels"].items() for labels in budgets) != 1:
            found.append(f"{where} has no PodDisruptionBudget of its own")
    for item in manifests:
        where = f"{item['kind']}/{item['metadata']['name']}"
        if item["kind"] == "Secret":
            found.append(f"{where}: the chart contains a secret")
        if item["kind"] == "ScaledObject":
            for trigger in item["spec"]["triggers"]:
                if trigger["metadata"]["protocol"] != "http" or trigger["metadata"].get("excludeUnacknowledged") == "true":
                    found.append(f"{where}: {trigger['name']} counts no unacknowledged messages")
        if item["metadata"].get("namespace") != "arrakis":
            found.append(f"{where} has no namespace")
    for where, pod in pods(manifests).items():
        images = {container["name"]: container["image"] for container in pod["spec"]["containers"]}
        if where == "Job/migrate" and "/arrakis-migrate" not in images["migrate"]:
            found.append(f"{where} migrates by another build: {images['migrate']}")
    ingestor = [pod for where, pod in pods(manifests).items() if "ingestor" in where]
    for pod in ingestor:
        found += check_collector(pod, manifests)
        if any(container.get("ports") for container in pod["spec"]["containers"]):
            found.append("the ingestor has a port")
    return found


def check_stored_state(manifests: list[dict]) -> list[str]:
    """KILL_SWITCH_FILE is on a volume of the replica alone, which its user may write."""
    found = []
    for item in manifests:
        if item["kind"] not in ("Deployment", "StatefulSet"):
            continue
        claimed = {claim["metadata"]["name"] for claim in item["spec"].get("volumeClaimTemplates", [])
                   if claim["spec"]["accessModes"] == ["ReadWriteOnce"]}
        pod = item["spec"]["template"]["spec"]
        for container in pod["containers"]:
            folders = [mount["mountPath"] for mount in container.get("volumeMounts", []) if mount["name"] in claimed and not mount.get("readOnly")]
            for variable in container.get("env", []):
                if variable["name"] != "KILL_SWITCH_FILE":
                    continue
                if not any(variable["value"].startswith(f"{folder}/") for folder in folders):
                    found.append(f"{item['kind']}/{item['metadata']['name']}: KILL_SWITCH_FILE is on no volume of the replica")
                if pod["securityContext"].get("fsGroup") != pod["securityContext"]["runAsUser"]:
                    found.append(f"{item['kind']}/{item['metadata']['name']}: its user cannot write the volume")
    return found


def check_scaled(manifests: list[dict]) -> list[str]:
    """A Deployment that is scaled has no number of replicas, which each upgrade would set; one that is not has a number."""
    targets = {item["spec"]["scaleTargetRef"]["name"] for item in manifests if item["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")}
    return [f"Deployment/{item['metadata']['name']}: its number of replicas is that of the chart and of a scaler, or of neither" for item in manifests
            if item["kind"] == "Deployment" and ("replicas" in item["spec"]) == (item["metadata"]["name"] in targets)]


def check_collector(pod: dict, manifests: list[dict]) -> list[str]:
    """Each pod sends series of its own: all of them scrape the same address on loopback."""
    collectors = [container for container in pod["spec"]["containers"] if container["name"] == "collector"]
    if not collectors:
        return []
    [text] = [item["data"]["prometheus.yml"] for item in manifests if item["kind"] == "ConfigMap" and item["metadata"]["name"] == "ingestor-collector"]
    named = {variable["name"] for variable in collectors[0].get("env", []) if "fieldRef" in variable.get("valueFrom", {})}
    labels = yaml.safe_load(text)["global"].get("external_labels", {})
    if not {f"${{{name}}}" for name in named} & set(labels.values()):
        return ["the series of the ingestors do not differ between the pods"]
    return []


def check_ingress(manifests: list[dict], ingress: list[dict]) -> list[str]:
    """What the network policies admit from the ingress controller has an Ingress to that port, and the other way round."""
    admitted = {(item["metadata"]["name"], port["port"]) for item in manifests if item["kind"] == "NetworkPolicy"
                for rule in item["spec"].get("ingress", []) if any(peer in ingress for peer in rule.get("from", [])) for port in rule["ports"]}
    ports = {(item["metadata"]["name"], port["name"]): port["port"] for item in manifests if item["kind"] == "Service" for port in item["spec"]["ports"]}
    routed, found = set(), []
    for item in manifests:
        if item["kind"] != "Ingress":
            continue
        hosts = {host for entry in item["spec"]["tls"] for host in entry["hosts"]}
        for rule in item["spec"]["rules"]:
            if not re.fullmatch(r"[a-z0-9.-]+", rule["host"]):
                found.append(f"Ingress/{item['metadata']['name']}: {rule['host']} is no name of a host")
            if rule["host"] not in hosts:
                found.append(f"Ingress/{item['metadata']['name']}: {rule['host']} has no certificate")
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                routed.add((service["name"], ports.get((service["name"], service["port"]["name"]))))
    return found + [f"Ingress: {name} on port {port} is admitted and not routed, or routed and not admitted" for name, port in sorted(admitted ^ routed, key=str)]


def check_monitoring(manifests: list[dict], root: Path) -> list[str]:
    """Every rule of deploy/prometheus is in the chart, and every pod with a health port is scraped as the rules expect."""
    rules = [item for item in manifests if item["kind"] == "PrometheusRule"]
    if not rules:
        return []
    found = []
    names = {rule["alert"] for group in rules[0]["spec"]["groups"] for rule in group["rules"] if "alert" in rule}
    wanted = {rule["alert"] for path in (root / "deploy/prometheus/rules").glob("*.yaml")
              for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"] if "alert" in rule}
    if names != wanted or len(names) < 50:
        found.append(f"PrometheusRule: the alerts differ from deploy/prometheus: {sorted(names ^ wanted)}")
    monitors = [item["spec"] for item in manifests if item["kind"] == "PodMonitor"]
    for where, pod in pods(manifests).items():
        ports = {port["name"] for container in pod["spec"]["containers"] for port in container.get("ports", [])}
        labels = pod["metadata"]["labels"]
        matches = []
        for spec in monitors:
            [expression] = spec["selector"]["matchExpressions"]
            is_named = labels["app.kubernetes.io/name"] in expression["values"]
            if spec["selector"]["matchLabels"].items() <= labels.items() and is_named == (expression["operator"] == "In"):
                matches.append(spec)
        if "health" in ports and len(matches) != 1:
            found.append(f"{where} has {len(matches)} PodMonitors")
    return found


def check_queues(manifests: list[dict], root: Path) -> list[str]:
    """The triggers name queues that exist, and every queue of work has one."""
    scaled = [item for item in manifests if item["kind"] == "ScaledObject"]
    if not scaled:
        return []
    names = ("rabbitmq/definitions.json", "rabbitmq/definitions.classes.json")
    return [f"{name}: {problem}" for name in names for problem in check_queues_of(scaled[0], json.loads((root / name).read_text()))]


def check_queues_of(scaled: dict, definitions: dict) -> list[str]:
    """As `check_queues`, for one of the ways in which interactions are ordered (AMQP_PRIORITIES)."""
    queues = {queue["name"] for queue in definitions["queues"]}
    work = {name for name in queues if not re.match(r"arrakis\.(retry\..*|dlq|unrouted|ingestor\..*)$", name)}
    counted: set[str] = set()
    found = []
    for trigger in scaled["spec"]["triggers"]:
        metadata = trigger["metadata"]
        is_regex = metadata.get("useRegex") == "true"
        matched = {name for name in queues if (re.search(metadata["queueName"], name) if is_regex else name == metadata["queueName"])}
        if not matched:
            found.append(f"ScaledObject: there is no queue {metadata['queueName']}")
        counted |= matched
    return found + [f"ScaledObject: the backlog of {name} does not scale the workers" for name in sorted(work - counted)]


def check(manifests: list[dict], root: Path, variables: env.Variables) -> list[str]:
    """All problems of rendered manifests."""
    operators: dict = {}
    for name in ("keda", "monitoring"):
        operators |= json.loads((root / f"deploy/checks/{name}.schema.json").read_text())["$defs"]
    found = check_schemas(manifests, operators) + check_network(manifests) + check_objects(manifests) + check_queues(manifests, root)
    found += check_monitoring(manifests, root) + check_stored_state(manifests) + check_scaled(manifests)
    found += check_ingress(manifests, yaml.safe_load((root / CHART / "values.yaml").read_text())["network"]["ingress"])
    for where, pod in pods(manifests).items():
        found += check_pod(where, pod) + check_variables(where, pod, variables)
    return found


def check_root(helm: str, root: Path, variables: env.Variables) -> list[str]:
    """Problems of the committed chart."""
    found = []
    for values in sorted({values for _, values, _ in SETS}):
        lint = subprocess.run([helm, "lint", "--strict", str(root / CHART), "--values", str(root / CHART / values)],
                              capture_output=True, text=True, check=False)
        if lint.returncode:
            found.append(f"helm lint with {values}: {lint.stdout}{lint.stderr}")
    for name, values, options in SETS:
        found += [f"{name}: {problem}" for problem in check(render(helm, root, values, options), root, variables)]
    for options in REFUSED:
        try:
            render(helm, root, "values-staging.yaml", options)
            found.append(f"the chart accepts {' '.join(options)}")
        except ValueError:
            pass
    return found


def mutations(manifests: list[dict]):
    """Manifests with one defect each, and a word of the problem that must be found."""

    def changed(change):
        copied = copy.deepcopy(manifests)
        change({f"{item['kind']}/{item['metadata']['name']}": item for item in copied}, copied)
        return copied

    def container(items, name):
        return items[name]["spec"]["template"]["spec"]["containers"][0]

    def metadata(items):
        return items["ScaledObject/worker"]["spec"]["triggers"][0]["metadata"]

    token = {"name": "DISCORD_TOKEN", "valueFrom": {"secretKeyRef": {"name": "arrakis-discord", "key": "token"}}}
    yield "may connect to everywhere", changed(lambda items, _: items["NetworkPolicy/worker"]["spec"]["egress"].append({"to": [], "ports": [{"port": 5432}]}))
    everywhere = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}
    yield "does not read DISCORD_TOKEN", changed(lambda items, _: container(items, "Deployment/worker")["env"].append(token))
    yield "requires AMQP_URL", changed(lambda items, _: container(items, "Deployment/ingestor-all")["env"].pop(1))
    yield "is not from a Secret", changed(lambda items, _: container(items, "Deployment/worker")["env"].append({"name": "REDIS_URL", "value": "redis://h"}))
    yield "security context", changed(lambda items, _: container(items, "Deployment/api")["securityContext"].update(readOnlyRootFilesystem=False))
    yield "the ingestor accepts connections", changed(lambda items, _: items["NetworkPolicy/ingestor"]["spec"].update(ingress=[{}]))
    yield "discord-proxy does not accept connections of api", changed(
        lambda items, _: items["NetworkPolicy/discord-proxy"]["spec"]["ingress"][1]["from"].pop())
    yield "requires KILL_SWITCH_CREDENTIAL", changed(
        lambda items, _: container(items, "StatefulSet/discord-proxy")["env"].remove(
            next(entry for entry in container(items, "StatefulSet/discord-proxy")["env"] if entry["name"] == "KILL_SWITCH_CREDENTIAL")))
    yield "does not read KILL_SWITCH_CREDENTIAL", changed(
        lambda items, _: container(items, "Deployment/worker")["env"].append({"name": "WORKER_GROUP", "value": "shadow"}))
    yield "worker reaches Discord", changed(lambda items, _: items["NetworkPolicy/worker"]["spec"]["egress"].append(everywhere))
    yield "deny-all permits", changed(lambda items, _: items["NetworkPolicy/deny-all"]["spec"].update(egress=[{}]))
    yield "counts no unacknowledged", changed(lambda items, _: metadata(items).update(protocol="amqp"))
    yield "was unexpected", changed(lambda items, _: metadata(items).update(quueName="x"))
    yield "does not scale the workers", changed(lambda items, _: items["ScaledObject/worker"]["spec"]["triggers"].pop(0))
    yield "has no PodDisruptionBudget", changed(lambda items, all_items: all_items.remove(items["PodDisruptionBudget/worker"]))
    yield "maxUnavailble", changed(lambda items, _: items["PodDisruptionBudget/api"]["spec"].update(maxUnavailble=1))
