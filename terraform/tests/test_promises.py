"""What specification and documentation promise about the deployment, asserted on the configuration."""

import json
import re
import unittest

import configuration
from configuration import BLOCK, block_list, expanded, module, text_of, unquoted, variables_in

REPOSITORY = configuration.ROOT.parent

# Statements with a wildcard, each with its reason: module, policy document, sid.
WILDCARDS = {
    ("modules/backup-store", "key", "AccountAdministersKey"): "the account administers its key; in the policy of a key, the resource is that key",
    ("modules/encryption", "key", "AccountAdministersKey"): "as above",
    ("modules/state", "key", "AccountAdministersKey"): "as above",
    ("modules/encryption", "key", "LogsEncrypt"): "the resource is the key; the condition names log groups of the account",
    ("modules/encryption", "key", "AlarmsAndRulesEncrypt"): "the resource is the key; the condition names the account",
    ("modules/encryption", "key", "PrometheusEncrypts"): "the resource is the key",
    ("modules/encryption", "key", "TopicsEncrypt"): "the resource is the key",
    ("modules/registry", "push", "LogIn"): "ecr:GetAuthorizationToken has no resource",
    ("modules/task", "execution", "LogInToRegistry"): "ecr:GetAuthorizationToken has no resource",
    ("modules/backup-store", "bucket", "DenyPlainHttp"): "a denial",
    ("modules/backup-store", "second", "DenyPlainHttp"): "a denial",
    ("modules/load-balancer", "logs", "DenyPlainHttp"): "a denial",
    ("modules/state", "bucket", "DenyPlainHttp"): "a denial",
}
SERVICES = {"api": "api", "discord_proxy": "discord-proxy", "ingestor": "ingestor", "interactions": "interactions", "telegram": "telegram", "worker": "worker"}
# Calls in the module platform that make tasks, with the binary that runs in them.
TASKS = {**{call: f"arrakis-{service}" for call, service in SERVICES.items()}, "backup": "arrakis-worker", "migrate": "arrakis-worker", "operator": "arrakis-worker", "worker_canary": "arrakis-worker", "worker_shadow": "arrakis-worker"}


def platform():
    return module("modules/platform")


def call(name):
    return platform().one("module", name)


def library_blocks(category, kind):
    return [(found, block) for found in configuration.library() for block in found.of(category, kind)]


def truth(value):
    return value in (True, "true")


class Network(unittest.TestCase):
    def test_ingestor_accepts_no_connection(self):
        body = call("ingestor")
        for argument in ("ingress", "ports", "load_balancer", "discovery"):
            self.assertNotIn(argument, body)
        self.assertIn("127.0.0.1:8080", text_of(body["environment_variables"]))
        for found in configuration.modules().values():
            for kind in ("aws_vpc_security_group_ingress_rule", "aws_security_group_rule"):
                for block in found.of("resource", kind):
                    self.assertNotIn("ingestor", text_of(block.body["security_group_id"]), block.address)
        # The rules of a task are those of the call, and the default is none.
        task = module("modules/task")
        self.assertEqual({unquoted(key) for key in task.one("variable", "ingress")["default"]} - {BLOCK}, set())
        self.assertEqual([block.body["for_each"] for block in task.of("resource", "aws_vpc_security_group_ingress_rule")], ["${var.ingress}"])
        self.assertEqual(module("modules/service").one("module", "task")["ingress"], "${var.ingress}")
        self.assertEqual({unquoted(key) for key in module("modules/service").one("variable", "ingress")["default"]} - {BLOCK}, set())

    def test_ingestor_reaches_discord_broker_and_aws_only(self):
        egress = call("ingestor")["egress"]
        self.assertEqual(egress, "${merge(local.egress_aws, local.egress_traces, {broker = local.egress.broker, discord = local.egress.discord})}")
        destinations = platform().locals
        self.assertEqual({unquoted(name) for name in destinations["egress_aws"]} - {BLOCK}, {"endpoints", "s3"})
        for name in ("broker", "discord"):
            self.assertNotIn("cidr", text_of(destinations["egress"][name]))
        self.assertIn("discord_prefix_list_id", text_of(destinations["egress"]["discord"]))
        self.assertNotIn("cidr", text_of(destinations["egress_aws"]))

    def test_proxy_reaches_no_other_address_of_the_internet_than_discord(self):
        self.assertEqual(call("discord_proxy")["egress"], "${merge(local.egress_aws, local.egress_traces, {cache = local.egress.cache, discord = local.egress.discord})}")

    def test_traces_are_off_by_default_and_go_to_one_network_or_group(self):
        traces = platform().one("variable", "traces")
        self.assertIsNone(traces["default"])
        self.assertIn('!endswith(coalesce(var.traces.cidr, "-"), "/0")', text_of(traces["validation"]))
        self.assertRegex(text_of(platform().locals["egress_traces"]), r"var\.traces == null \? \{\} : \{")
        for name in SERVICES:
            self.assertIn("OTEL_EXPORTER_OTLP_ENDPOINT", expanded(platform(), call(name)["environment_variables"]), name)
            self.assertIn("OTEL_EXPORTER_OTLP_HEADERS", expanded(platform(), call(name)["secrets"]), name)
            self.assertIn("var.traces.cidr", expanded(platform(), call(name)["egress"]), name)
        for environment in ("staging", "production"):
            self.assertEqual(module(f"environments/{environment}").one("module", "platform")["traces"], "${var.traces}")

    def test_security_groups_have_no_inline_rules(self):
        for found, block in library_blocks("resource", "aws_security_group"):
            self.assertFalse({"ingress", "egress"} & set(block.body), f"{found.name}: {block.address}")
        self.assertFalse({"ingress", "egress"} & set(module("modules/network").one("resource", "aws_default_security_group", "this")))

    def test_internet_reaches_port_443_of_the_load_balancer_only(self):
        open_rules = [
            (found.name, block.body["from_port"], block.body["to_port"])
            for found, block in library_blocks("resource", "aws_vpc_security_group_ingress_rule")
            if "0.0.0.0/0" in text_of(block.body) or "::/0" in text_of(block.body)
        ]
        self.assertEqual(open_rules, [("modules/load-balancer", 443, 443)])

    def test_broker_accepts_amqp_from_services_and_the_console_from_operators(self):
        broker = module("modules/broker")
        ports = {block.labels[1]: (block.body["from_port"], block.body["to_port"]) for block in broker.of("resource", "aws_vpc_security_group_ingress_rule")}
        self.assertEqual(ports, {"amqps": (5671, 5671), "console": (15671, 15671)})
        self.assertIn("referenced_security_group_id", broker.one("resource", "aws_vpc_security_group_ingress_rule", "amqps"))
        self.assertEqual(broker.one("variable", "console_cidrs")["default"], [])
        clients = set(unquoted(name) for name in call("broker")["client_security_group_ids"])
        self.assertEqual(clients - {BLOCK}, {"api", "backup", "ingestor", "interactions", "operator", "worker", "worker-canary", "worker-shadow"})

    def test_stores_are_private_and_encrypted(self):
        broker = module("modules/broker").one("resource", "aws_mq_broker", "this")
        database = module("modules/database").one("resource", "aws_db_instance", "this")
        cache = module("modules/cache").one("resource", "aws_elasticache_replication_group", "this")
        for body in (broker, database):
            self.assertFalse(truth(body["publicly_accessible"]))
        for name in ("broker", "cache", "database"):
            self.assertEqual(call(name)["subnet_ids"], "${module.network.isolated_subnet_ids}")
        self.assertFalse(truth(block_list(broker, "encryption_options")[0]["use_aws_owned_key"]))
        self.assertTrue(truth(database["storage_encrypted"]))
        self.assertTrue(truth(database["deletion_protection"]))
        self.assertFalse(truth(database["skip_final_snapshot"]))
        self.assertTrue(truth(cache["at_rest_encryption_enabled"]) and truth(cache["transit_encryption_enabled"]))
        parameters = {entry["name"]: entry["value"] for entry in block_list(module("modules/database").one("resource", "aws_db_parameter_group", "this"), "parameter")}
        self.assertEqual(parameters["rds.force_ssl"], "1")
        self.assertNotIn("log_statement", parameters, "the log would have passwords")
        parameters = {entry["name"]: entry["value"] for entry in block_list(module("modules/cache").one("resource", "aws_elasticache_parameter_group", "this"), "parameter")}
        self.assertEqual(parameters["maxmemory-policy"], "noeviction")

    def test_isolated_subnets_have_no_route(self):
        for _, block in library_blocks("resource", "aws_route"):
            self.assertNotIn("isolated", text_of(block.body))

    def test_tasks_have_no_public_address(self):
        for found, block in [*library_blocks("resource", "aws_ecs_service"), *library_blocks("resource", "aws_cloudwatch_event_target")]:
            written = found.source
            self.assertNotIn("assign_public_ip = true", written, block.address)
            self.assertNotRegex(written, r"enable_execute_command\s*= true")


class Buckets(unittest.TestCase):
    def test_no_bucket_is_public(self):
        for found, block in library_blocks("resource", "aws_s3_bucket"):
            with self.subTest(f"{found.name}: {block.address}"):
                name = block.labels[1]
                access = found.one("resource", "aws_s3_bucket_public_access_block", name)
                for argument in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"):
                    self.assertTrue(truth(access[argument]), argument)
                self.assertIn(f"aws_s3_bucket.{name}", access["bucket"])
                versioning = found.one("resource", "aws_s3_bucket_versioning", name)
                self.assertEqual(block_list(versioning, "versioning_configuration")[0]["status"], "Enabled")
                self.assertEqual(found.one("resource", "aws_s3_bucket_ownership_controls", name)["rule"][0]["object_ownership"], "BucketOwnerEnforced")
                self.assertIn("aws_iam_policy_document", found.one("resource", "aws_s3_bucket_policy", name)["policy"])
        used = {kind for _, kind in configuration.provider_types()}
        self.assertFalse(used & {"aws_s3_bucket_acl", "aws_s3_bucket_website_configuration", "aws_s3_account_public_access_block"})

    def test_backups_are_encrypted_with_a_key_of_their_own(self):
        store = module("modules/backup-store")
        for name in ("this", "second"):
            rule = store.one("resource", "aws_s3_bucket_server_side_encryption_configuration", name)["rule"][0]
            default = rule["apply_server_side_encryption_by_default"][0]
            self.assertEqual(default["sse_algorithm"], "aws:kms")
            self.assertIn(f"aws_kms_key.{name}", default["kms_master_key_id"])

    def test_lifecycle_acts_on_tags(self):
        store = module("modules/backup-store")
        for name in ("this", "second"):
            rules = {rule["id"]: rule for rule in block_list(store.one("resource", "aws_s3_bucket_lifecycle_configuration", name), "rule")}
            tag = rules["expired"]["filter"][0]["tag"][0]
            self.assertEqual((tag["key"], tag["value"]), ("Retain", "expired"))
            self.assertIn("noncurrent_version_expiration", rules["expired"])
            both = rules["premium-to-glacier"]["filter"][0]["and"][0]
            self.assertEqual(both["tags"]["Tier"], "premium")
            self.assertEqual(both["object_size_greater_than"], 1)
            transition = rules["premium-to-glacier"]["transition"][0]
            self.assertEqual((transition["days"], transition["storage_class"]), (30, "GLACIER_IR"))
            self.assertEqual(rules["remains"]["filter"], [{BLOCK: True}])
            # Without a tag, only remains expire: replaced versions, markers, uploads.
            self.assertEqual({key: value for key, value in rules["remains"]["expiration"][0].items() if key != BLOCK}, {"expired_object_delete_marker": True})

    def test_replication_is_behind_one_variable_and_repeats_no_deletion(self):
        store = module("modules/backup-store")
        self.assertFalse(truth(store.one("variable", "enable_cross_region_replication")["default"]))
        self.assertEqual(store.one("variable", "second_region")["default"], "us-west-2")
        self.assertEqual(store.locals["second_count"], "${var.enable_cross_region_replication ? 1 : 0}")
        for block in store.blocks:
            if block.file.name == "replication.tf" and block.category == "resource":
                self.assertEqual(block.body["count"], "${local.second_count}", block.address)
        rule = block_list(store.one("resource", "aws_s3_bucket_replication_configuration", "this"), "rule")[0]
        self.assertEqual(rule["delete_marker_replication"][0]["status"], "Disabled")
        self.assertNotIn("s3:ReplicateDelete", store.source)

    def test_state_of_terraform_is_versioned_and_cannot_be_destroyed(self):
        state = module("modules/state")
        self.assertTrue(truth(block_list(state.one("resource", "aws_s3_bucket", "this"), "lifecycle")[0]["prevent_destroy"]))
        for environment in ("staging", "production"):
            [backend] = [entry for block in module(f"environments/{environment}").of("terraform") for entry in block.body.get("backend", [])]
            settings = next(iter(value for key, value in backend.items() if key != BLOCK))
            self.assertEqual(settings["key"], f"{environment}/terraform.tfstate")
            self.assertTrue(truth(settings["encrypt"]) and truth(settings["use_lockfile"]))

    def test_catalogue_has_the_keys_of_the_code(self):
        store = module("modules/backup-store")
        names = {}
        for name in ("metadata", "tiers"):
            table = store.one("resource", "aws_dynamodb_table", name)
            names[name] = table["name"]
            self.assertEqual(table["billing_mode"], "PAY_PER_REQUEST")
            self.assertEqual((table["hash_key"], table["range_key"]), ("PK", "SK"))
            self.assertTrue(truth(table["point_in_time_recovery"][0]["enabled"]))
            ttl = table["ttl"][0]
            self.assertEqual((truth(ttl["enabled"]), ttl["attribute_name"]), (True, "TTL"))
        self.assertEqual(names, {"metadata": "gaib-backup-metadata${var.name_suffix}", "tiers": "gaib-server-tiers${var.name_suffix}"})
        index = store.one("resource", "aws_dynamodb_table", "metadata")["global_secondary_index"][0]
        self.assertEqual((index["name"], index["hash_key"], index.get("range_key"), index["projection_type"]), ("GSI1", "GSI1PK", "GSI1SK", "ALL"))
        code = (REPOSITORY / "shared/vault/src/catalogue/dynamo/item.rs").read_text()
        for key in ("PK", "SK", "GSI1PK", "GSI1SK", "TTL"):
            self.assertIn(f'&str = "{key}"', code)


class Permissions(unittest.TestCase):
    def statements(self):
        for found in configuration.library():
            for block in found.of("data", "aws_iam_policy_document"):
                for statement in block_list(block.body, "statement"):
                    yield found.name, block.labels[1], statement

    def test_no_wildcard_outside_of_named_exceptions(self):
        used = set()
        for found, document, statement in self.statements():
            key = (found, document, statement["sid"])
            actions = statement["actions"]
            self.assertIsInstance(actions, list, key)
            resources = statement.get("resources", [])
            every = '"*"' in resources if isinstance(resources, str) else "*" in resources
            wildcard = every or any("*" in action for action in actions)
            if wildcard:
                self.assertIn(key, WILDCARDS)
                used.add(key)
        self.assertEqual(set(WILDCARDS) - used, set(), "exceptions that nothing needs")

    def test_whoever_may_do_anything_is_named(self):
        for found, document, statement in self.statements():
            where = f"{found}: {document}: {statement['sid']}"
            self.assertFalse({"not_actions", "not_resources", "not_principals"} & set(statement), where)
            denied = statement.get("effect") == "Deny"
            for principals in block_list(statement, "principals"):
                if "*" in text_of(principals["identifiers"]).split("\n"):
                    self.assertTrue(denied, where)
            if "resources" in statement and not denied and (found, document, statement["sid"]) not in WILDCARDS:
                self.assertNotRegex(text_of(statement["resources"]), r"^(\*|arn:aws:[a-z0-9]+:::\*)$", where)

    def test_no_policy_of_aws_is_attached(self):
        used = {kind for _, kind in configuration.provider_types()}
        self.assertFalse(used & {"aws_iam_role_policy_attachment", "aws_iam_policy_attachment", "aws_iam_user", "aws_iam_access_key"})
        for found, block in library_blocks("resource", "aws_iam_role"):
            self.assertNotIn("managed_policy_arns", block.body, f"{found.name}: {block.address}")

    def test_roles_passed_to_ecs_are_those_of_the_backup_task(self):
        statement = next(entry for found, document, entry in self.statements() if entry["sid"] == "PassRoles")
        self.assertEqual(statement["resources"], "${var.role_arns}")
        self.assertEqual(call("schedules")["role_arns"], "${module.backup.role_arns}")

    def test_keys_are_rotated_and_deleted_after_30_days(self):
        keys = library_blocks("resource", "aws_kms_key")
        self.assertEqual(len(keys), 4)
        for found, block in keys:
            self.assertTrue(truth(block.body["enable_key_rotation"]), f"{found.name}: {block.address}")
            self.assertEqual(block.body["deletion_window_in_days"], 30, f"{found.name}: {block.address}")


class Secrets(unittest.TestCase):
    def declared(self):
        """Of each variable in .env.example: the services that read it, those that require it."""
        lines = (REPOSITORY / ".env.example").read_text().split("\n")
        found = {}
        for index, line in enumerate(lines):
            match = re.match(r"^(#?)([A-Z][A-Za-z0-9_]+)=", line)
            if match is None:
                continue
            users = set(re.findall(r"arrakis-[a-z-]+|gaib", lines[index - 1].split(";")[0]))
            meaning = lines[index - 2]
            optional = {f"arrakis-{name}" for name in re.findall(r"optional for the ([a-z-]+)", meaning)}
            found[match.group(2)] = (users, set() if match.group(1) else users - optional)
        return found

    def secret_names(self):
        """Variables that the code declares as secret."""
        source = (REPOSITORY / "shared/config/src/variables.rs").read_text()
        return {name for name, rest in re.findall(r"^    ([A-Z][A-Z0-9_]+) = (.*?);$", source, re.MULTILINE | re.DOTALL) if ".secret()" in rest}

    def given(self, name):
        body = call(name)
        return (
            variables_in(expanded(platform(), body["environment_variables"])),
            variables_in(expanded(platform(), body["secrets"])),
        )

    def test_variables_are_those_of_env_example(self):
        declared = self.declared()
        self.assertGreater(len(declared), 60)
        for name, binary in TASKS.items():
            with self.subTest(name):
                plain, secret = self.given(name)
                self.assertGreater(len(plain | secret), 2)
                for variable in plain | secret:
                    self.assertIn(variable, declared)
                    self.assertIn(binary, declared[variable][0], f"{binary} does not read {variable}")
                if name != "migrate":
                    required = {variable for variable, (_, needed) in declared.items() if binary in needed}
                    self.assertEqual(required - plain - secret, set(), "required")

    def test_secret_variables_are_given_by_reference(self):
        names = self.secret_names()
        self.assertLess({"DISCORD_TOKEN", "AMQP_URL", "DATABASE_URL", "PROXY_CREDENTIALS", "CHAIN_RPC_URLS"}, names)
        for name in TASKS:
            plain, secret = self.given(name)
            self.assertEqual(plain & names, set(), name)
            self.assertLessEqual(secret, names, name)
        # The values of secrets are attributes of other resources.
        for name in [*TASKS, "logins"]:
            written = expanded(platform(), call(name)["secrets"])
            self.assertNotRegex(written, r'=\s*"[^"$]*"', name)
            if isinstance(call(name)["secrets"], dict):
                for variable, value in call(name)["secrets"].items():
                    self.assertTrue(variable == BLOCK or value.startswith("${"), f"{name}: {variable}")

    def test_bot_token_is_at_ingestor_and_proxy_only(self):
        holders = set()
        for block in platform().of("module"):
            # This call declares the secrets; its values are their descriptions.
            if block.labels[0] == "secrets":
                continue
            for argument in ("environment_variables", "secrets", "files"):
                if re.search(r"\bDISCORD_(BOT_)?TOKEN\b|discord-token", expanded(platform(), block.body.get(argument, ""))):
                    holders.add(block.labels[0])
        self.assertEqual(holders, {"discord_proxy", "ingestor"})
        # Nothing else reads the secret.
        source = re.sub(r"(?m)^\s*(#|description).*$", "", platform().source)
        self.assertEqual(len(re.findall(r"discord-token", source)), 3, "its declaration, ingestor, proxy")

    def test_logins_of_the_database_are_at_those_who_need_them(self):
        holders = {"admin": set(), "app": set(), "owner": set()}
        for block in platform().of("module"):
            # The first declares secrets; the variable of the second is a copy's (test_shadow_workers_have_copies_and_no_credentials).
            if block.labels[0] in ("secrets", "worker_shadow"):
                continue
            written = expanded(platform(), block.body.get("secrets", ""))
            for variable, login in (("DATABASE_ADMIN_URL", "admin"), ("DATABASE_URL", "app"), ("DATABASE_OWNER_URL", "owner")):
                if re.search(rf"\b{variable}\b", written):
                    holders[login].add(block.labels[0])
        self.assertEqual(holders, {"admin": {"api", "operator"}, "app": {"api", "backup", "operator", "worker", "worker_canary"}, "owner": {"migrate"}})
        self.assertEqual([block.labels[0] for block in platform().of("module") if "master_secret_arn" in text_of(block.body)], ["logins"])

    def test_signing_by_vault_has_a_role_of_its_own_for_each_service(self):
        self.assertIsNone(platform().one("variable", "vault")["default"])
        roles = {}
        for name in ("api", "worker"):
            body = call(name)
            variables, files = expanded(platform(), body["environment_variables"]), expanded(platform(), body["files"])
            own = text_of(body["files"]) if name == "api" else text_of(platform().locals["worker_files"])
            self.assertIn('SIGNER = "transit"', variables)
            self.assertIn("vault-revoker-secret-id", files)
            self.assertIn("var.vault.cidr", expanded(platform(), body["egress"]), name)
            roles[name] = (set(re.findall(r"VAULT_ROLE_ID = ([\w.]+)", variables)), set(re.findall(r'"vault-secret-id" = \{secret = local\.secret_arns\["([a-z-]+)"\]', own)))
        self.assertEqual(roles, {"api": ({"var.vault.api_role_id"}, {"vault-api-secret-id"}), "worker": ({"var.vault.worker_role_id"}, {"vault-worker-secret-id"})})
        # With SIGNER=transit no task has the key in a file.
        self.assertRegex(text_of(platform().locals["worker_files"]), r'var\.vault == null \? \{"backup-signing-key\.pem"')
        for name in ("discord_proxy", "ingestor", "interactions", "telegram"):
            self.assertNotIn("var.vault", expanded(platform(), call(name)["egress"]), name)
        # The files that the variables name exist.
        written = platform().source
        for name in re.findall(r'"/run/arrakis/([a-z0-9.-]+)"', written):
            self.assertIn(f'"{name}" = {{', written)
        pattern = text_of(platform().one("variable", "control_variables")["validation"])
        self.assertNotIn("SIGNER", pattern, "it is set by `vault`, with its egress and files")
        for environment in ("staging", "production"):
            self.assertEqual(module(f"environments/{environment}").one("module", "platform")["vault"], "${var.vault}")

    def test_execution_role_reads_the_named_secrets_only(self):
        document = module("modules/task").one("data", "aws_iam_policy_document", "execution")
        statement = next(entry for entry in block_list(document, "statement") if entry["sid"] == "ReadSecrets")
        self.assertEqual((statement["actions"], statement["resources"]), (["secretsmanager:GetSecretValue"], "${local.secret_arns}"))
        self.assertEqual(module("modules/task").source.count("secretsmanager:"), 1)

    def test_names_of_secrets(self):
        names = {expanded(found, block.body["name"]) for found, block in library_blocks("resource", "aws_secretsmanager_secret")}
        self.assertIn("${(arrakis-${var.environment})}/rabbitmq-credentials", names)
        for name in names:
            self.assertTrue(name.startswith("${(arrakis-${var.environment})}/"), name)

    def test_passwords_of_the_database_are_not_in_the_state(self):
        version = module("modules/database").one("resource", "aws_secretsmanager_secret_version", "login")
        self.assertNotIn("secret_string", version)
        self.assertIn("ephemeral.random_password", text_of(version["secret_string_wo"]))
        self.assertTrue(truth(module("modules/database").one("resource", "aws_db_instance", "this")["manage_master_user_password"]))


class Tasks(unittest.TestCase):
    def test_sizes(self):
        sizes = {name: (call(name)["cpu"], call(name)["memory"]) for name in SERVICES}
        self.assertEqual(sizes["ingestor"], (256, 512))
        self.assertEqual(sizes["worker"], (512, 1024))
        for size in sizes.values():
            self.assertIn(size, {(256, 512), (512, 1024)})

    def test_a_missing_dependency_replaces_no_task(self):
        self.assertIn('"healthcheck", "livez"', text_of(platform().locals["health_command"]))
        for name in SERVICES:
            self.assertIn("local.health_command[", call(name)["health_check_command"])
        # ECS also replaces a task whose target is unhealthy, so that takes longer than the failover of a database.
        for name in ("api", "interactions"):
            check = module("modules/load-balancer").one("resource", "aws_lb_target_group", name)["health_check"][0]
            self.assertGreaterEqual(check["interval"] * check["unhealthy_threshold"], 180)

    def test_migrate_runs_before_a_release(self):
        # A canary of a new build needs its schema, and an older `migrate` fails on it: the task has a tag of its own.
        self.assertIn("migrate_image", configuration.text_of(call("migrate")["image"]))
        self.assertIn("var.migrate_image_tag", text_of(platform().locals["migrate_image"]))
        self.assertIsNone(platform().one("variable", "migrate_image_tag")["default"])
        for environment in ("staging", "production"):
            self.assertIn("var.migrate_image_tag", text_of(module(f"environments/{environment}").one("module", "platform")["migrate_image_tag"]))

    def test_interactions_by_http_and_canary_are_off_by_default(self):
        self.assertFalse(truth(platform().one("variable", "interactions_enabled")["default"]))
        self.assertEqual(call("interactions")["start"], "${var.start_services && var.interactions_enabled}")
        self.assertEqual(call("interactions")["egress"], "${merge(local.egress_aws, local.egress_traces, {broker = local.egress.broker})}")
        self.assertEqual(platform().one("variable", "canary_tasks")["default"], 0)
        self.assertIn('WORKER_GROUP = "canary"', call("worker_canary")["environment_variables"])
        balancer = module("modules/load-balancer")
        rule = balancer.one("resource", "aws_lb_listener_rule", "interactions")
        self.assertEqual(rule["condition"][0]["path_pattern"][0]["values"], ["/interactions"])
        self.assertIn("api", balancer.one("resource", "aws_lb_listener", "https")["default_action"][0]["target_group_arn"])

    def test_shadow_workers_have_copies_and_no_credentials(self):
        body = call("worker_shadow")
        self.assertEqual(platform().one("variable", "shadow_tasks")["default"], 0)
        self.assertIn("var.shadow_stores != null", text_of(platform().one("variable", "shadow_tasks")["validation"]))
        self.assertNotIn("task_policies", body)
        self.assertIn('WORKER_GROUP = "shadow"', body["environment_variables"])
        variables = variables_in(expanded(platform(), body["environment_variables"])) | variables_in(expanded(platform(), body["secrets"]))
        self.assertFalse({name for name in variables if re.match(r"KILL_SWITCH|MFA|BACKUP|VAULT|SIGNER|SLACK|NOTIFY|.*WEBHOOK", name)})
        # Of the platform's secrets it has those of chains, the score service and traces; the stores are its own.
        named = set(re.findall(r'local\.secret_arns\["([a-z-]+)"\]', body["secrets"]))
        self.assertEqual(named, {"score-api-key", "shadow-amqp-url", "shadow-database-url", "shadow-proxy-credential", "shadow-redis-url"})
        self.assertEqual(set(re.findall(r"local\.([a-z_]+)", body["secrets"])), {"chain_secrets", "secret_arns", "telemetry_secrets"})
        self.assertNotRegex(body["egress"], r"local\.egress\.(cache|database|dynamodb)")
        for store in ("cache", "database"):
            self.assertNotIn("shadow", text_of(call(store)["client_security_group_ids"]), store)
        # It is no worker to rules and canary.
        self.assertIn('job = "shadow-worker"', body["collector"])
        scraped = (REPOSITORY / "deploy/prometheus/prometheus.yaml").read_text()
        kept = re.search(r"job_name: shadow-worker.*?regex: (\S+)", scraped, re.DOTALL).group(1)
        self.assertIn(f'kept_metrics = "{kept}"', body["collector"])
        for environment in ("staging", "production"):
            self.assertEqual(module(f"environments/{environment}").one("module", "platform")["shadow_stores"], "${var.shadow_stores}")

    def test_kill_switch_reaches_every_proxy(self):
        for name in ("api", "discord_proxy", "operator", "worker", "worker_canary", "backup"):
            self.assertIn("KILL_SWITCH_CREDENTIAL", expanded(platform(), call(name)["secrets"]), name)
        for name in ("api", "operator", "worker", "worker_canary"):
            self.assertIn("MFA_ENCRYPTION_KEY", expanded(platform(), call(name)["secrets"]), name)
            self.assertIn("DISCORD_PROXY_URL", expanded(platform(), call(name)["environment_variables"]), name)
            self.assertIn("security_group_id", call("discord_proxy")["ingress"][name.replace("_", "-")])

    def test_first_deployment_starts_no_task(self):
        service = module("modules/service")
        self.assertFalse(truth(service.one("variable", "start")["default"]))
        self.assertEqual(service.one("resource", "aws_ecs_service", "fixed")["desired_count"], "${var.start ? var.desired_count : 0}")
        self.assertEqual(service.one("resource", "aws_ecs_service", "autoscaled")["desired_count"], 0)
        self.assertFalse(truth(platform().one("variable", "start_services")["default"]))
        for environment in ("staging", "production"):
            self.assertFalse(truth(module(f"environments/{environment}").one("variable", "start_services")["default"]))
            self.assertEqual(module(f"environments/{environment}").one("module", "platform")["start_services"], "${var.start_services}")
        for name in SERVICES:
            self.assertRegex(call(name)["start"], r"^\$\{var\.start_services\b")
        self.assertEqual(call("autoscaling")["count"], "${var.start_services ? 1 : 0}")
        for name in ("schedules", "alarms"):
            self.assertEqual(call(name)["enabled"], "${var.start_services}")

    def test_worker_scales_from_2_to_20_on_backlog_per_task(self):
        body = call("autoscaling")
        self.assertEqual((body["min_tasks"], body["max_tasks"]), (2, 20))
        self.assertEqual(body["service_name"], "${module.worker.service_name}")
        self.assertTrue(truth(call("worker")["autoscaled"]))
        scaling = module("modules/autoscaling")
        self.assertIn("/ IF(FILL(tasks, 0) > 0, tasks, 1)", scaling.locals["per_task"])
        self.assertNotIn("MessageReadyCount", re.sub(r"(?m)^\s*#.*$", "", scaling.source), "prefetched messages must count")
        target = scaling.one("resource", "aws_appautoscaling_target", "this")
        self.assertEqual((target["min_capacity"], target["max_capacity"]), ("${var.min_tasks}", "${var.max_tasks}"))

    def test_containers_have_a_read_only_root_and_no_root_user(self):
        locals_of_task = module("modules/task").locals
        service = locals_of_task["service_container"]
        self.assertIn("readonlyRootFilesystem = true", service)
        self.assertIn('drop = ["ALL"]', service)
        self.assertNotIn('"0:0"', text_of(module("modules/task").one("variable", "user")))
        for name in ("files_container", "collector_container"):
            self.assertTrue(truth(locals_of_task[name]["readonlyRootFilesystem"]))

    def test_users_and_commands_are_those_of_the_images(self):
        user = module("modules/task").one("variable", "user")["default"]
        self.assertEqual(user, "65532:65532")
        dockerfile = REPOSITORY / "deploy/images/Dockerfile"
        if dockerfile.is_file():
            written = dockerfile.read_text()
            self.assertIn(f"USER {user}", written)
            for service in SERVICES.values():
                self.assertIn(f'CMD ["/usr/bin/arrakis-{service}", "healthcheck"]', written)

    def test_repositories(self):
        registry = module("modules/registry")
        repository = registry.one("resource", "aws_ecr_repository", "service")
        self.assertEqual(expanded(registry, repository["name"]), "${(arrakis-${var.environment})}-${each.value}")
        self.assertEqual(sorted(registry.one("variable", "services")["default"]), sorted(SERVICES.values()))
        self.assertEqual(repository["image_tag_mutability"], "IMMUTABLE")
        for name in ("service", "public"):
            self.assertTrue(truth(registry.one("resource", "aws_ecr_repository", name)["image_scanning_configuration"][0]["scan_on_push"]))
            policy = registry.one("resource", "aws_ecr_lifecycle_policy", name)["policy"]
            self.assertRegex(policy, r'countType = "imageCountMoreThan"')
            self.assertRegex(policy, r"countNumber = 10\b")


class Environments(unittest.TestCase):
    def test_staging_has_a_single_broker_and_production_a_cluster_in_three_zones(self):
        staging = module("environments/staging").one("module", "platform")
        production = module("environments/production").one("module", "platform")
        self.assertEqual(staging["broker"]["deployment_mode"], "SINGLE_INSTANCE")
        self.assertEqual(production["broker"]["deployment_mode"], "CLUSTER_MULTI_AZ")
        self.assertEqual(len(production["availability_zones"]), 3)
        self.assertTrue(truth(production["database"]["multi_az"]))
        self.assertGreaterEqual(production["cache"]["replica_count"], 1)
        self.assertFalse(truth(production["single_nat_gateway"]))
        self.assertEqual((staging["environment"], production["environment"]), ("staging", "production"))

    def test_environments_use_the_same_topology(self):
        source = platform().source
        self.assertEqual(len(re.findall(r'AMQP_PRIORITIES\s+= "classes"', source)), 5)

    def test_everything_is_tagged_with_its_environment(self):
        for name, tag in (("staging", "staging"), ("production", "production"), ("state", "shared")):
            provider = module(f"environments/{name}").one("provider", "aws")
            tags = provider["default_tags"][0]["tags"]
            self.assertEqual((tags["Environment"], tags["Project"], tags["ManagedBy"]), (tag, "arrakis", "terraform"))


class Backups(unittest.TestCase):
    def test_names(self):
        store, schedules = module("modules/backup-store"), module("modules/schedules")
        self.assertEqual(store.locals["bucket"], "gaib-backups-${local.account_id}${var.name_suffix}")
        self.assertEqual(store.locals["key_alias"], "gaib-backups${var.name_suffix}")
        self.assertEqual(store.one("resource", "aws_sns_topic", "notifications")["name"], "gaib-backup-notifications${var.name_suffix}")
        self.assertEqual(schedules.one("resource", "aws_cloudwatch_event_rule", "backup")["name"], "gaib-backup-${each.key}${var.name_suffix}")
        self.assertEqual({unquoted(name) for name in schedules.locals["rules"]} - {BLOCK}, {"daily", "hourly"})
        for found in (store, schedules, platform()):
            names = [block.body["default"] for block in found.of("variable") if block.labels[0] in ("name_suffix", "backup_name_suffix")]
            self.assertEqual(names, [""])

    def test_rules_start_the_backup_task_on_fargate(self):
        target = module("modules/schedules").one("resource", "aws_cloudwatch_event_target", "backup")
        self.assertEqual(target["ecs_target"][0]["launch_type"], "FARGATE")
        self.assertEqual(call("backup")["command"], ["backup", "run-due"])
        self.assertEqual(call("backup")["environment_variables"], call("worker")["environment_variables"])
        self.assertEqual(call("backup")["secrets"], call("worker")["secrets"])
        cron = text_of(module("modules/schedules").locals["rules"])
        self.assertIn("cron(0 3 * * ? *)", cron)


class Alarms(unittest.TestCase):
    def metrics(self):
        return set(re.findall(r"\barrakis_[a-z_]+", module("modules/alarms").source))

    def test_metrics_exist_and_are_collected(self):
        collected = set(re.findall(r"\barrakis_[a-z_]+", text_of(platform().locals["metric_names"])))
        self.assertGreater(len(self.metrics()), 12)
        self.assertEqual(self.metrics() - collected, set(), "not collected")
        code = "\n".join(path.read_text() for path in (REPOSITORY / "services").glob("*/src/**/metrics*.rs"))
        code += "\n".join(path.read_text() for path in (REPOSITORY / "services").glob("*/src/metrics/*.rs"))
        for name in collected:
            self.assertIn(f'"{name}"', code)

    def test_queues_exist(self):
        definitions = json.loads((REPOSITORY / "rabbitmq/definitions.classes.json").read_text())
        queues = {queue["name"] for queue in definitions["queues"]}
        self.assertLessEqual(set(platform().locals["queues"]), queues)
        for name in re.findall(r'"(arrakis\.[a-z.]+)"', module("modules/alarms").source):
            self.assertIn(name, queues)

    def test_every_alarm_notifies_and_names_the_runbooks(self):
        for found, block in [*library_blocks("resource", "aws_cloudwatch_metric_alarm"), *library_blocks("resource", "aws_cloudwatch_composite_alarm")]:
            if found.name != "modules/alarms" or block.address.endswith("metric_alarm.burn"):
                continue
            with self.subTest(block.address):
                self.assertEqual(block.body["alarm_actions"], ["${aws_sns_topic.this.arn}"])
                self.assertRegex(block.body["alarm_description"], r"Runbook: \$\{var\.runbooks_url\}/.+\.md$")

    def alarms(self):
        """Of each alarm on one metric: its name, without the part that is one for each queue, service or node, and the page of its runbook."""
        found, key = {}, None
        for line in module("modules/alarms").source.split("\n"):
            opened = re.match(r'^ +(?:for .* : )?"?([a-z][a-z-]*?)?-?(?:\$\{.*\})?"? =>? \{$', line)
            runbook = re.match(r'^ +runbook += "([a-z-]+)"$', line)
            if opened:
                key = opened.group(1)
            elif runbook:
                found[key] = runbook.group(1)
        # Those of interactions by HTTP and of the objectives are made of the names themselves.
        written = text_of(module("modules/alarms").locals["interactions_alarms"])
        names = re.findall(r'name = "([a-z-]+)"', written)
        names += [f"{unquoted(objective)}-burn-fast" for objective in module("modules/alarms").locals["objectives"] if objective != BLOCK]
        return {**found, **{name: name for name in names}}

    def prometheus(self):
        """The alerts of Prometheus with their severity."""
        written = "\n".join(path.read_text() for path in sorted((REPOSITORY / "deploy/prometheus/rules").glob("*.yaml")))
        return dict(re.findall(r"- alert: ([a-z-]+)\n.*?severity: (\w+)", written, re.DOTALL))

    def test_alarms_have_the_names_of_prometheus_and_existing_runbooks(self):
        self.assertGreater(len(self.alarms()), 30)
        self.assertNotIn(None, self.alarms())
        alerts, index = self.prometheus(), (REPOSITORY / "docs/runbooks/README.md").read_text()
        _, own = index.split("CloudWatch's own alarms", 1)
        for name, runbook in [*self.alarms().items(), ("alarms-undelivered", "alarms-undelivered")]:
            with self.subTest(name):
                self.assertTrue((REPOSITORY / f"docs/runbooks/{runbook}.md").is_file(), runbook)
                if name in alerts:
                    self.assertEqual(runbook, name)
                else:
                    self.assertRegex(own, rf"`{re.escape(name)}[`-].*\({runbook}\.md\)")

    def test_alerts_that_wake_somebody_have_an_alarm(self):
        others = {
            "component-down": "each dependency has alarms of its own: broker-connections, database-*, cache-*, api-unhealthy",
        }
        alerts = self.prometheus()
        self.assertGreater(len(alerts), 50)
        pages = {name for name, severity in alerts.items() if severity == "page"}
        self.assertEqual(pages - set(self.alarms()) - set(others), set())

    def test_descriptions_fit_into_json(self):
        descriptions = re.findall(r'^ +(?:alarm_)?description += "((?:[^"\\]|\\.)*)"$', module("modules/alarms").source, re.MULTILINE)
        self.assertGreater(len(descriptions), 25)
        for description in descriptions:
            self.assertNotIn("\\", description)

    def test_alarms_for_backups_and_bucket_size(self):
        written = module("modules/alarms").source
        for metric in ("BucketSizeBytes", "arrakis_worker_backup_failing", "arrakis_worker_backup_overdue", "FailedInvocations"):
            self.assertIn(f'"{metric}"', written)

    def test_path_to_discord_has_no_lambda_and_no_chatbot(self):
        used = {kind for _, kind in configuration.provider_types()}
        self.assertFalse({kind for kind in used if "lambda" in kind or "chatbot" in kind})
        pipe = module("modules/alarms").one("resource", "aws_pipes_pipe", "discord")
        self.assertIn("aws_sqs_queue.discord", pipe["source"])
        self.assertIn("aws_cloudwatch_event_api_destination.discord", pipe["target"])
        template = text_of(pipe["target_parameters"][0]["input_template"])
        body = "\n".join(line for line in template.split("\n") if not line.strip().startswith(("<<", "JSON", "${<<")))
        message = json.loads(re.sub(r"\$\{[^}]*\}", "x", body[body.index("{\n"):body.rindex("}") + 1]))
        self.assertEqual(message["allowed_mentions"], {"parse": []})
        subscription = module("modules/alarms").one("resource", "aws_sns_topic_subscription", "discord")
        fields = set(re.findall(r"<\$\.body\.(\w+)>", template))
        self.assertEqual(fields, set(re.findall(r"\b([A-Z]\w+) =", text_of(subscription["filter_policy"]))), "fields of the template and of the filter")
        failed = text_of(module("modules/schedules").one("resource", "aws_cloudwatch_event_target", "failed")["input_transformer"][0]["input_template"])
        for name in fields:
            self.assertIn(f'"{name}"', failed)
