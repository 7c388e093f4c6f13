"""Shows that each test of the configuration can fail: changes a copy in memory, and expects the failure of the named test."""

import io
import unittest

import configuration
import test_documents
import test_prometheus
import test_promises
import test_provider

# File, text, its replacement, test that must fail.
MUTATIONS = [
    # Names and references.
    ("modules/broker/main.tf", "publicly_accessible        = false", "public                     = false", test_provider.Provider, "test_arguments_and_blocks_are_those_of_the_provider"),
    ("modules/broker/main.tf", "  engine_type                = \"RabbitMQ\"\n", "", test_provider.Provider, "test_arguments_and_blocks_are_those_of_the_provider"),
    ("modules/broker/main.tf", "  logs {\n", "  logging {\n", test_provider.Provider, "test_arguments_and_blocks_are_those_of_the_provider"),
    ("modules/cluster/main.tf", '  setting {\n    name ', '  setting {\n    key  ', test_provider.Provider, "test_arguments_and_blocks_are_those_of_the_provider"),
    ("modules/cluster/versions.tf", "~> 6.25", "~> 6.0", test_provider.Provider, "test_required_version_of_the_provider_is_that_of_the_schema"),
    ("modules/cluster/main.tf", "vpc         = var.vpc_id", "vpc         = var.network_id", test_provider.References, "test_every_reference_has_a_declaration"),
    ("modules/broker/outputs.tf", "aws_mq_broker.this.broker_name", "aws_mq_broker.this.brokername", test_provider.References, "test_every_reference_has_a_declaration"),
    ("modules/broker/outputs.tf", "aws_security_group.this.id", "aws_security_group.that.id", test_provider.References, "test_every_reference_has_a_declaration"),
    ("modules/platform/main.tf", "module.cluster.cluster_name", "module.cluster.name", test_provider.References, "test_every_reference_has_a_declaration"),
    ("modules/platform/main.tf", "  certificate_arn          = var.certificate_arn\n", "", test_provider.References, "test_calls_of_modules_give_every_required_variable_and_no_other"),
    ("modules/platform/main.tf", "  autoscaled            = true", "  auto_scaled           = true", test_provider.References, "test_calls_of_modules_give_every_required_variable_and_no_other"),
    ("modules/registry/main.tf", "  for_each = var.services\n\n  name ", "  name ", test_provider.References, "test_each_and_count_are_used_where_they_exist"),
    # Documents.
    ("modules/cache/variables.tf", "Number of replicas in other zones; with", "Replicas; with", test_documents.Documents, "test_readmes_list_inputs_and_outputs"),
    ("modules/cache/outputs.tf", '  description = "Security group of the cache."\n', "", test_documents.Documents, "test_variables_and_outputs_are_described"),
    ("modules/cache/examples/basic/main.tf", "../..", "../../../broker", test_documents.Documents, "test_files_of_each_module_are_complete"),
    ("README.md", "(modules/cache/README.md)", "(modules/cache)", test_documents.Documents, "test_readme_lists_every_module"),
    # Network.
    ("modules/platform/main.tf", "  health_check_command = local.health_command[\"ingestor\"]\n", "  health_check_command = local.health_command[\"ingestor\"]\n  ingress              = { worker = { port = 8080, security_group_id = module.worker.security_group_id } }\n", test_promises.Network, "test_ingestor_accepts_no_connection"),
    ("modules/service/main.tf", "ingress               = var.ingress", "ingress               = {}", test_promises.Network, "test_ingestor_accepts_no_connection"),
    ("modules/platform/main.tf", "    broker  = local.egress.broker\n    discord = local.egress.discord\n", "    broker   = local.egress.broker\n    internet = local.egress.internet\n", test_promises.Network, "test_ingestor_reaches_discord_broker_and_aws_only"),
    ("modules/platform/main.tf", "discord  = { port = 443, prefix_list_id = module.network.discord_prefix_list_id }", 'discord  = { port = 443, cidr = "0.0.0.0/0" }', test_promises.Network, "test_ingestor_reaches_discord_broker_and_aws_only"),
    ("modules/platform/main.tf", "    cache   = local.egress.cache\n    discord = local.egress.discord\n", "    cache    = local.egress.cache\n    internet = local.egress.internet\n", test_promises.Network, "test_proxy_reaches_no_other_address_of_the_internet_than_discord"),
    ("modules/platform/variables.tf", ' && !endswith(coalesce(var.traces.cidr, "-"), "/0")', "", test_promises.Network, "test_traces_are_off_by_default_and_go_to_one_network_or_group"),
    ("modules/platform/main.tf", "merge(local.telemetry, {\n    API_URL", "merge(local.logging, {\n    API_URL", test_promises.Network, "test_traces_are_off_by_default_and_go_to_one_network_or_group"),
    ("modules/cache/main.tf", '  description = "Redis from services"\n', '  description = "Redis from services"\n  ingress     = []\n', test_promises.Network, "test_security_groups_have_no_inline_rules"),
    ("modules/broker/main.tf", "cidr_ipv4         = each.value", 'cidr_ipv4         = "0.0.0.0/0"', test_promises.Network, "test_internet_reaches_port_443_of_the_load_balancer_only"),
    ("modules/broker/main.tf", "from_port         = 15671", "from_port         = 443", test_promises.Network, "test_broker_accepts_amqp_from_services_and_the_console_from_operators"),
    ("modules/broker/main.tf", "publicly_accessible        = false", "publicly_accessible        = true", test_promises.Network, "test_stores_are_private_and_encrypted"),
    ("modules/cache/main.tf", '"noeviction"', '"volatile-lru"', test_promises.Network, "test_stores_are_private_and_encrypted"),
    ("modules/network/main.tf", "route_table_id         = aws_route_table.private[count.index].id", "route_table_id         = aws_route_table.isolated.id", test_promises.Network, "test_isolated_subnets_have_no_route"),
    ("modules/service/main.tf", "assign_public_ip = false", "assign_public_ip = true", test_promises.Network, "test_tasks_have_no_public_address"),
    # Buckets.
    ("modules/backup-store/main.tf", "block_public_policy     = true", "block_public_policy     = false", test_promises.Buckets, "test_no_bucket_is_public"),
    ("modules/backup-store/replication.tf", "restrict_public_buckets = true", "restrict_public_buckets = false", test_promises.Buckets, "test_no_bucket_is_public"),
    ("modules/state/main.tf", '    status = "Enabled"\n  }\n}\n\nresource "aws_s3_bucket_server', '    status = "Suspended"\n  }\n}\n\nresource "aws_s3_bucket_server', test_promises.Buckets, "test_no_bucket_is_public"),
    ("modules/backup-store/main.tf", '"aws:kms"', '"AES256"', test_promises.Buckets, "test_backups_are_encrypted_with_a_key_of_their_own"),
    ("modules/backup-store/main.tf", 'value = "expired"', 'value = "old"', test_promises.Buckets, "test_lifecycle_acts_on_tags"),
    ("modules/backup-store/replication.tf", '"GLACIER_IR"', '"GLACIER"', test_promises.Buckets, "test_lifecycle_acts_on_tags"),
    ("modules/backup-store/main.tf", "      expired_object_delete_marker = true", "      days = 90", test_promises.Buckets, "test_lifecycle_acts_on_tags"),
    ("modules/backup-store/variables.tf", "  default     = false", "  default     = true", test_promises.Buckets, "test_replication_is_behind_one_variable_and_repeats_no_deletion"),
    ("modules/backup-store/replication.tf", '"s3:ReplicateObject"', '"s3:ReplicateDelete", "s3:ReplicateObject"', test_promises.Buckets, "test_replication_is_behind_one_variable_and_repeats_no_deletion"),
    ("modules/state/main.tf", "prevent_destroy = true", "prevent_destroy = false", test_promises.Buckets, "test_state_of_terraform_is_versioned_and_cannot_be_destroyed"),
    ("modules/backup-store/main.tf", '    range_key       = "GSI1SK"\n', "", test_promises.Buckets, "test_catalogue_has_the_keys_of_the_code"),
    ("modules/backup-store/main.tf", '"PAY_PER_REQUEST"', '"PROVISIONED"', test_promises.Buckets, "test_catalogue_has_the_keys_of_the_code"),
    # Permissions.
    ("modules/backup-store/main.tf", '["sns:Publish"]', '["sns:*"]', test_promises.Permissions, "test_no_wildcard_outside_of_named_exceptions"),
    ("modules/backup-store/main.tf", "resources = [aws_sns_topic.notifications.arn]", 'resources = ["*"]', test_promises.Permissions, "test_no_wildcard_outside_of_named_exceptions"),
    ("modules/registry/main.tf", '    resources = ["*"]', "    resources = [for repository in aws_ecr_repository.service : repository.arn]", test_promises.Permissions, "test_no_wildcard_outside_of_named_exceptions"),
    ("modules/state/main.tf", '    effect    = "Deny"\n', "", test_promises.Permissions, "test_whoever_may_do_anything_is_named"),
    ("modules/network/main.tf", '  name               = "${local.name}-flow-logs"\n', '  name               = "${local.name}-flow-logs"\n  managed_policy_arns = ["arn:aws:iam::aws:policy/AdministratorAccess"]\n', test_promises.Permissions, "test_no_policy_of_aws_is_attached"),
    ("modules/schedules/main.tf", "resources = var.role_arns", 'resources = ["arn:aws:iam::123456789012:role/other"]', test_promises.Permissions, "test_roles_passed_to_ecs_are_those_of_the_backup_task"),
    ("modules/encryption/main.tf", "deletion_window_in_days = 30", "deletion_window_in_days = 7", test_promises.Permissions, "test_keys_are_rotated_and_deleted_after_30_days"),
    ("modules/backup-store/replication.tf", "  enable_key_rotation     = true", "  enable_key_rotation     = false", test_promises.Permissions, "test_keys_are_rotated_and_deleted_after_30_days"),
    # Secrets.
    ("modules/platform/main.tf", "      DISCORD_PROXY_URL      = local.proxy_urls\n", "      DISCORD_PROXY_URL      = local.proxy_urls\n      DISCORD_PROXY_URLS     = local.proxy_urls\n", test_promises.Secrets, "test_variables_are_those_of_env_example"),
    ("modules/platform/main.tf", "    PROXY_CREDENTIALS      = local.secret_arns[\"discord-proxy-callers\"]\n", "", test_promises.Secrets, "test_variables_are_those_of_env_example"),
    ("modules/platform/main.tf", "    API_URL         = ", "    DATABASE_URL = \"x\"\n    API_URL         = ", test_promises.Secrets, "test_variables_are_those_of_env_example"),
    ("modules/platform/main.tf", "      VERIFY_BASE_URL        = var.verify_base_url\n", "      VERIFY_BASE_URL        = var.verify_base_url\n      SCORE_API_KEY          = \"key\"\n", test_promises.Secrets, "test_secret_variables_are_given_by_reference"),
    ("modules/platform/main.tf", "    TELEGRAM_BOT_TOKEN = local.secret_arns[\"telegram-token\"]", "    TELEGRAM_BOT_TOKEN = \"123456789:token\"", test_promises.Secrets, "test_secret_variables_are_given_by_reference"),
    ("modules/platform/main.tf", "      REDIS_URL                = local.redis_url\n", "      REDIS_URL                = local.redis_url\n      DISCORD_TOKEN            = local.secret_arns[\"discord-token\"]\n", test_promises.Secrets, "test_bot_token_is_at_ingestor_and_proxy_only"),
    ("modules/platform/main.tf", "local.secret_arns[\"worker-proxy-credential\"]", "local.secret_arns[\"discord-token\"]", test_promises.Secrets, "test_bot_token_is_at_ingestor_and_proxy_only"),
    ("modules/platform/main.tf", "      DATABASE_URL             = local.database_urls[\"app\"]\n", "      DATABASE_URL             = local.database_urls[\"app\"]\n      DATABASE_ADMIN_URL       = local.database_urls[\"admin\"]\n", test_promises.Secrets, "test_logins_of_the_database_are_at_those_who_need_them"),
    ("modules/platform/main.tf", "VAULT_ROLE_ID = var.vault.api_role_id", "VAULT_ROLE_ID = var.vault.worker_role_id", test_promises.Secrets, "test_signing_by_vault_has_a_role_of_its_own_for_each_service"),
    ("modules/platform/main.tf", "  worker_egress = merge(local.egress_aws, local.egress_traces, local.egress_vault, ", "  worker_egress = merge(local.egress_aws, local.egress_traces, ", test_promises.Secrets, "test_signing_by_vault_has_a_role_of_its_own_for_each_service"),
    ("modules/task/main.tf", "resources = local.secret_arns", 'resources = ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:arrakis-staging/all"]', test_promises.Secrets, "test_execution_role_reads_the_named_secrets_only"),
    ("modules/broker/main.tf", "rabbitmq-credentials", "broker-credentials", test_promises.Secrets, "test_names_of_secrets"),
    ("modules/database/main.tf", "  secret_string_wo = ", "  secret_string = ", test_promises.Secrets, "test_passwords_of_the_database_are_not_in_the_state"),
    # Tasks.
    ("modules/platform/main.tf", "  cpu                   = 512\n  memory                = 1024", "  cpu                   = 1024\n  memory                = 2048", test_promises.Tasks, "test_sizes"),
    ("modules/service/main.tf", "var.start ? var.desired_count : 0", "var.desired_count", test_promises.Tasks, "test_first_deployment_starts_no_task"),
    ("environments/production/variables.tf", "  default     = false", "  default     = true", test_promises.Tasks, "test_first_deployment_starts_no_task"),
    ("modules/platform/main.tf", "max_tasks        = 20", "max_tasks        = 10", test_promises.Tasks, "test_worker_scales_from_2_to_20_on_backlog_per_task"),
    ("modules/autoscaling/main.tf", '"MessageCount"', '"MessageReadyCount"', test_promises.Tasks, "test_worker_scales_from_2_to_20_on_backlog_per_task"),
    ("modules/task/main.tf", "      readonlyRootFilesystem = true\n      privileged", "      readonlyRootFilesystem = false\n      privileged", test_promises.Tasks, "test_containers_have_a_read_only_root_and_no_root_user"),
    ("modules/task/variables.tf", "65532:65532", "1000:1000", test_promises.Tasks, "test_users_and_commands_are_those_of_the_images"),
    ("modules/registry/main.tf", "countNumber = 10", "countNumber = 100", test_promises.Tasks, "test_repositories"),
    ("modules/registry/main.tf", "scan_on_push = true", "scan_on_push = false", test_promises.Tasks, "test_repositories"),
    ("modules/platform/main.tf", '"healthcheck", "livez"]', '"healthcheck"]', test_promises.Tasks, "test_a_missing_dependency_replaces_no_task"),
    ("modules/load-balancer/main.tf", "unhealthy_threshold = 10", "unhealthy_threshold = 2", test_promises.Tasks, "test_a_missing_dependency_replaces_no_task"),
    ("modules/platform/main.tf", "var.start_services && var.interactions_enabled", "var.start_services", test_promises.Tasks, "test_interactions_by_http_and_canary_are_off_by_default"),
    ("modules/load-balancer/main.tf", 'values = ["/interactions"]', 'values = ["/*"]', test_promises.Tasks, "test_interactions_by_http_and_canary_are_off_by_default"),
    ("modules/platform/main.tf", '      DATABASE_URL             = local.secret_arns["shadow-database-url"]', '      DATABASE_URL             = local.database_urls["app"]', test_promises.Tasks, "test_shadow_workers_have_copies_and_no_credentials"),
    ("modules/platform/main.tf", 'job          = "shadow-worker"', 'job          = "arrakis-worker"', test_promises.Tasks, "test_shadow_workers_have_copies_and_no_credentials"),
    ("modules/platform/main.tf", '    KILL_SWITCH_CREDENTIAL = local.secret_arns["kill-switch-credential"]\n    PROXY', "    PROXY", test_promises.Tasks, "test_kill_switch_reaches_every_proxy"),
    ("modules/platform/main.tf", 'coalesce(var.migrate_image_tag, var.image_tags["worker"])', 'var.image_tags["worker"]', test_promises.Tasks, "test_migrate_runs_before_a_release"),
    # Environments, backups, alarms.
    ("environments/production/main.tf", "CLUSTER_MULTI_AZ", "SINGLE_INSTANCE", test_promises.Environments, "test_staging_has_a_single_broker_and_production_a_cluster_in_three_zones"),
    ("modules/platform/main.tf", 'AMQP_PRIORITIES = "classes"', 'AMQP_PRIORITIES = "classic"', test_promises.Environments, "test_environments_use_the_same_topology"),
    ("environments/staging/providers.tf", 'Environment = "staging"', 'Environment = "production"', test_promises.Environments, "test_everything_is_tagged_with_its_environment"),
    ("modules/schedules/main.tf", "gaib-backup-${each.key}", "backup-${each.key}", test_promises.Backups, "test_names"),
    ("modules/platform/tasks.tf", '["backup", "run-due"]', '["backup", "status"]', test_promises.Backups, "test_rules_start_the_backup_task_on_fargate"),
    ("modules/alarms/main.tf", "arrakis_proxy_token_dead", "arrakis_proxy_token_refused", test_promises.Alarms, "test_metrics_exist_and_are_collected"),
    ("modules/alarms/main.tf", "arrakis.unrouted\"", "arrakis.unroutable\"", test_promises.Alarms, "test_queues_exist"),
    ("modules/alarms/main.tf", "  alarm_actions       = [aws_sns_topic.this.arn]", "  alarm_actions       = []", test_promises.Alarms, "test_every_alarm_notifies_and_names_the_runbooks"),
    ("modules/alarms/main.tf", "    shards = {", "    gateway = {", test_promises.Alarms, "test_alarms_have_the_names_of_prometheus_and_existing_runbooks"),
    ("modules/alarms/main.tf", 'runbook     = "capacity"', 'runbook     = "cpu"', test_promises.Alarms, "test_alarms_have_the_names_of_prometheus_and_existing_runbooks"),
    ("modules/alarms/main.tf", '"queue-age-${', '"queue-oldest-${', test_promises.Alarms, "test_alerts_that_wake_somebody_have_an_alarm"),
    ("modules/alarms/main.tf", "A task of the api is not ready.", "A task of the \\\"api\\\" is not ready.", test_promises.Alarms, "test_descriptions_fit_into_json"),
    ("modules/alarms/main.tf", '"BucketSizeBytes"', '"NumberOfObjects"', test_promises.Alarms, "test_alarms_for_backups_and_bucket_size"),
    ("modules/alarms/discord.tf", '"allowed_mentions": {"parse": []}', '"allowed_mentions": {"parse": ["everyone"]}', test_promises.Alarms, "test_path_to_discord_has_no_lambda_and_no_chatbot"),
    ("modules/schedules/main.tf", '"NewStateReason"', '"Reason"', test_promises.Alarms, "test_path_to_discord_has_no_lambda_and_no_chatbot"),
    # Prometheus.
    ("modules/task/main.tf", '["memory_limiter", "resourcedetection", "resource", "batch/prometheus"]', '["memory_limiter", "filter", "resourcedetection", "resource", "batch/prometheus"]', test_prometheus.Metrics, "test_every_service_pushes_all_metrics_to_prometheus"),
    ("modules/task/main.tf", "restart_policy = { enabled = true", "restart_policy = { enabled = false", test_prometheus.Metrics, "test_every_service_pushes_all_metrics_to_prometheus"),
    ("modules/task/main.tf", "add_metric_suffixes = false", "add_metric_suffixes = true", test_prometheus.Metrics, "test_every_service_pushes_all_metrics_to_prometheus"),
    ("modules/platform/main.tf", '"arrakis-${service}"\n', '"arrakis"\n', test_prometheus.Metrics, "test_labels_are_those_that_rules_and_canary_need"),
    ("modules/task/main.tf", '"resourcedetection", "resource", ', "", test_prometheus.Metrics, "test_labels_are_those_that_rules_and_canary_need"),
    ("modules/task/main.tf", '["aps:RemoteWrite"]', '["aps:QueryMetrics", "aps:RemoteWrite"]', test_prometheus.Metrics, "test_a_task_may_only_push"),
    ("modules/network/main.tf", '"aps-workspaces", ', "", test_prometheus.Metrics, "test_a_task_may_only_push"),
    ("modules/task/main.tf", "--port=127.0.0.1:", "--port=:", test_prometheus.Metrics, "test_operator_alone_queries_by_a_proxy_on_loopback"),
    ("modules/platform/tasks.tf", "task_policies         = { backups = module.backup_store.worker_policy_json }\n", "task_policies         = { backups = module.backup_store.worker_policy_json, metrics = module.prometheus.query_policy_json }\n", test_prometheus.Metrics, "test_operator_alone_queries_by_a_proxy_on_loopback"),
    ("modules/platform/tasks.tf", '"rules/*.yaml"', '"rules/storage.yaml"', test_prometheus.Alerts, "test_every_rule_of_the_repository_runs"),
    ("modules/prometheus/main.tf", '{ receiver = "topic", matchers = ["severity = info"]', '{ receiver = "none", matchers = ["severity = info"]', test_prometheus.Alerts, "test_every_alert_goes_to_the_topic"),
    ("modules/alarms/main.tf", "values   = [var.prometheus_workspace_arn]", "values   = [var.backup_failure_rule_arn]", test_prometheus.Alerts, "test_every_alert_goes_to_the_topic"),
    ("modules/prometheus/main.tf", "NewStateReason   =", "Reason           =", test_prometheus.Alerts, "test_notifications_have_the_fields_of_an_alarm_and_are_json"),
    ("modules/prometheus/main.tf", "`firing`", '\\"firing\\"', test_prometheus.Alerts, "test_notifications_have_the_fields_of_an_alarm_and_are_json"),
    ("modules/alarms/main.tf", "    shards = {\n", "    event-gap = {\n", test_prometheus.Alerts, "test_own_metrics_have_an_alarm_in_cloudwatch_where_it_wakes_somebody"),
    ("modules/alarms/main.tf", '"AlertManagerNotificationsFailed"', '"AlertManagerAlertsReceived"', test_prometheus.Alerts, "test_failed_notifications_have_an_alarm"),
]
# Tests of the whole repository rather than of the configuration, and those that another mutation's test includes.
WITHOUT_MUTATION = {"test_schema_has_only_types_that_are_used"}


class Mutations(unittest.TestCase):
    def tearDown(self):
        configuration.OVERLAY.clear()
        configuration.modules.cache_clear()

    def test_each_change_is_found(self):
        for file, old, new, case, name in MUTATIONS:
            with self.subTest(f"{file}: {old.strip()[:60]!r}", test=name):
                path = configuration.ROOT / file
                source = path.read_text()
                self.assertIn(old, source)
                configuration.OVERLAY[path] = source.replace(old, new, 1)
                configuration.modules.cache_clear()
                result = unittest.TextTestRunner(stream=io.StringIO()).run(case(name))
                configuration.OVERLAY.clear()
                self.assertEqual(result.testsRun, 1)
                self.assertEqual(result.errors, [], "an error is not a finding")
                self.assertTrue(result.failures, f"{name} did not find the change")

    def test_every_test_has_a_mutation(self):
        tested = {name for *_, name in MUTATIONS} | WITHOUT_MUTATION
        for test_module in (test_documents, test_prometheus, test_promises, test_provider):
            for case in vars(test_module).values():
                if isinstance(case, type) and issubclass(case, unittest.TestCase):
                    for name in unittest.defaultTestLoader.getTestCaseNames(case):
                        self.assertIn(name, tested)
