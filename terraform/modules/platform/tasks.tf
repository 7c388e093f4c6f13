# Tasks that run once and end: the logins of the database, its migration, scheduled backups; and metrics and alarms.

locals {
  prometheus_folder = "${path.module}/../../../deploy/prometheus"

  signing_proxy_port = 8005
}

# Creates the three logins and the database, and sets their passwords from Secrets Manager. Can be run again: after a rotation it sets the new
# passwords. It is the only task with the master login.
module "logins" {
  source = "../task"

  environment     = var.environment
  name            = "database-logins"
  image           = local.public_images["logins"]
  repository_arns = [module.registry.public_repository_arns["logins"], local.files_repository]
  entry_point     = ["psql"]
  command         = ["--no-psqlrc", "--set=ON_ERROR_STOP=1", "--file=/run/arrakis/logins.sql"]
  cpu             = 256
  memory          = 512
  vpc_id          = module.network.vpc_id
  kms_key_arn     = module.encryption.key_arn
  files           = merge(local.rds_ca_file, { "logins.sql" = { content = file("${path.module}/logins.sql") } })
  files_image     = local.public_images["files"]

  environment_variables = {
    PGDATABASE    = "postgres"
    PGHOST        = module.database.address
    PGSSLMODE     = "verify-full"
    PGSSLROOTCERT = "/run/arrakis/rds-ca.pem"
  }

  secrets = {
    ADMIN_PASSWORD = "${module.database.login_secret_arns["admin"]}:password::"
    APP_PASSWORD   = "${module.database.login_secret_arns["app"]}:password::"
    OWNER_PASSWORD = "${module.database.login_secret_arns["owner"]}:password::"
    PGPASSWORD     = "${module.database.master_secret_arn}:password::"
    PGUSER         = "${module.database.master_secret_arn}:username::"
  }

  egress = merge(local.egress_aws, { database = local.egress.database })
}

# Before each deployment of the services.
module "migrate" {
  source = "../task"

  environment           = var.environment
  name                  = "migrate"
  image                 = local.migrate_image
  repository_arns       = concat(local.repositories["worker"], [local.files_repository])
  command               = ["migrate"]
  cpu                   = 256
  memory                = 512
  vpc_id                = module.network.vpc_id
  kms_key_arn           = module.encryption.key_arn
  files                 = local.rds_ca_file
  files_image           = local.public_images["files"]
  environment_variables = local.logging

  secrets = {
    DATABASE_OWNER_URL = local.database_urls["owner"]
  }

  egress = merge(local.egress_aws, { database = local.egress.database })
}

module "backup" {
  source = "../task"

  environment           = var.environment
  name                  = "backup"
  image                 = local.images["worker"]
  repository_arns       = concat(local.repositories["worker"], [local.files_repository])
  command               = ["backup", "run-due"]
  cpu                   = 512
  memory                = 1024
  vpc_id                = module.network.vpc_id
  kms_key_arn           = module.encryption.key_arn
  environment_variables = local.worker_variables
  secrets               = local.worker_secrets
  files                 = local.worker_files
  files_image           = local.public_images["files"]
  task_policies         = { backups = module.backup_store.worker_policy_json }
  egress                = local.worker_egress
}

# What operators run by hand, with its arguments as an override of the command: `canary set`, `kill-switch on`, `dead-letters list`.
# Its output is in a log, so commands that print secrets are not for it. It is the only one of the worker's tasks with the login that spans tenants.
# `canary drive` queries Prometheus by the signing proxy beside it.
module "operator" {
  source = "../task"

  environment           = var.environment
  name                  = "operator"
  image                 = local.images["worker"]
  repository_arns       = concat(local.repositories["worker"], [local.files_repository, module.registry.public_repository_arns["signing-proxy"]])
  command               = ["--help"]
  cpu                   = 256
  memory                = 512
  vpc_id                = module.network.vpc_id
  kms_key_arn           = module.encryption.key_arn
  environment_variables = local.worker_variables
  secrets               = merge(local.worker_secrets, { DATABASE_ADMIN_URL = local.database_urls["admin"] })
  files                 = local.worker_files
  files_image           = local.public_images["files"]
  task_policies         = { backups = module.backup_store.worker_policy_json, metrics = module.prometheus.query_policy_json }
  egress                = local.worker_egress

  signing_proxy = {
    image   = local.public_images["signing-proxy"]
    port    = local.signing_proxy_port
    service = "aps"
    host    = module.prometheus.host
  }
}

module "schedules" {
  source = "../schedules"

  environment                = var.environment
  name_suffix                = var.backup_name_suffix
  enabled                    = var.start_services
  cluster_arn                = module.cluster.cluster_arn
  task_definition_arn        = module.backup.task_definition_arn
  task_definition_family_arn = module.backup.task_definition_family_arn
  family                     = module.backup.family
  role_arns                  = module.backup.role_arns
  subnet_ids                 = module.network.private_subnet_ids
  security_group_id          = module.backup.security_group_id
  log_group_name             = module.backup.log_group_name
  topic_arn                  = module.alarms.topic_arn
  kms_key_arn                = module.encryption.key_arn
}

module "prometheus" {
  source = "../prometheus"

  environment   = var.environment
  enabled       = var.start_services
  rules         = { for file in fileset(local.prometheus_folder, "rules/*.yaml") : trimsuffix(basename(file), ".yaml") => file("${local.prometheus_folder}/${file}") }
  inhibit_rules = yamldecode(file("${local.prometheus_folder}/alertmanager.yaml")).inhibit_rules
  topic_arn     = module.alarms.topic_arn
  runbooks_url  = var.runbooks_url
  kms_key_arn   = module.encryption.key_arn
}

module "alarms" {
  source = "../alarms"

  environment                = var.environment
  enabled                    = var.start_services
  emails                     = var.alarm_emails
  discord_webhook_secret_arn = var.alarms_to_discord ? local.secret_arns["alarms-webhook"] : null
  runbooks_url               = var.runbooks_url
  metrics_namespace          = local.metrics_namespace
  cluster_name               = module.cluster.cluster_name
  broker_name                = module.broker.broker_name
  queues                     = local.queues
  database_instance_id       = module.database.instance_id
  database_connections       = var.database.connections_alarm
  cache_member_ids           = module.cache.member_ids
  load_balancer_arn_suffix   = module.load_balancer.arn_suffix
  target_group_arn_suffix    = module.load_balancer.target_group_arn_suffix
  backup_bucket              = module.backup_store.bucket
  backup_rules               = module.schedules.rule_names
  backup_failure_rule_arn    = module.schedules.failure_rule_arn
  backup_dead_letter_queue   = module.schedules.dead_letter_queue_name
  prometheus_workspace_id    = module.prometheus.workspace_id
  prometheus_workspace_arn   = module.prometheus.workspace_arn
  kms_key_arn                = module.encryption.key_arn

  services = merge(
    { for name in local.proxies : name => { name = module.discord_proxy[name].service_name, tasks = 1 } },
    {
      api      = { name = module.api.service_name, tasks = var.api_tasks }
      ingestor = { name = module.ingestor.service_name, tasks = var.ingestor_tasks }
      worker   = { name = module.worker.service_name, tasks = 2 }
    },
    var.interactions_enabled ? { interactions = { name = module.interactions.service_name, tasks = var.interactions_tasks } } : {},
    var.canary_tasks > 0 ? { worker-canary = { name = module.worker_canary.service_name, tasks = var.canary_tasks } } : {},
    var.telegram_enabled ? { telegram = { name = module.telegram.service_name, tasks = 1 } } : {},
  )
}
