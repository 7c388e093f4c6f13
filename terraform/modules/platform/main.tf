# The whole platform of one environment. The environments staging and production call this module with their figures.

locals {
  metrics_namespace = "Arrakis/${var.environment}"
  # livez and not readyz: ECS replaces a task that is unhealthy, and a service whose broker or database is down must not be restarted.
  health_command = { for service in ["api", "discord-proxy", "ingestor", "interactions", "telegram", "worker"] : service => ["/usr/bin/arrakis-${service}", "healthcheck", "livez"] }
  images         = { for service, url in module.registry.repository_urls : service => "${url}:${var.image_tags[service]}" }
  canary_image   = "${module.registry.repository_urls["worker"]}:${coalesce(var.canary_image_tag, var.image_tags["worker"])}"
  shadow_image   = "${module.registry.repository_urls["worker"]}:${coalesce(var.shadow_image_tag, var.image_tags["worker"])}"
  migrate_image  = "${module.registry.repository_urls["worker"]}:${coalesce(var.migrate_image_tag, var.image_tags["worker"])}"
  public_images  = { for name, url in module.registry.public_repository_urls : name => "${url}@${var.public_image_digests[name]}" }

  # Repositories that the tasks of a service pull from: its own and that of the collector beside it. Tasks with files pull a third image.
  repositories     = { for service, arn in module.registry.repository_arns : service => [arn, module.registry.public_repository_arns["collector"]] }
  files_repository = module.registry.public_repository_arns["files"]

  # The worker's queues of interactions and events. Jobs mostly wait for rate limits of Discord, which more workers do not shorten.
  queues = [
    "arrakis.interactions.command",
    "arrakis.interactions.autocomplete",
    "arrakis.interactions.component",
    "arrakis.events.guild",
  ]

  # One ECS service for each replica: a caller fails over between addresses of DISCORD_PROXY_URL, not between tasks behind one name.
  proxies    = toset(["discord-proxy-1", "discord-proxy-2"])
  proxy_urls = join(",", [for name in sort(local.proxies) : "http://${name}.${module.cluster.namespace_name}:8090"])

  logging = {
    LOG_FORMAT = "json"
    RUST_LOG   = var.log_filter
  }

  # Every service, where a collector of traces is given.
  telemetry = merge(local.logging, var.traces == null ? {} : {
    OTEL_EXPORTER_OTLP_ENDPOINT = var.traces.endpoint
    OTEL_TRACES_SAMPLER_ARG     = tostring(var.traces.sampled)
  })

  telemetry_secrets = try(var.traces.with_headers, false) ? { OTEL_EXPORTER_OTLP_HEADERS = local.secret_arns["otlp-headers"] } : {}

  rds_ca_file = { "rds-ca.pem" = { content = var.rds_ca_bundle } }

  collectors = {
    for service, names in local.metric_names : service => {
      image          = local.public_images["collector"]
      namespace      = local.metrics_namespace
      log_group_name = module.cluster.metrics_log_group_name
      log_group_arn  = module.cluster.metrics_log_group_arn
      metric_names   = names

      workspace_arn    = module.prometheus.workspace_arn
      remote_write_url = module.prometheus.remote_write_url
      job              = "arrakis-${service}"
    }
  }

  # What alarms and dashboard of CloudWatch read, which charges for each metric; Prometheus has them all.
  metric_names = {
    api = ["arrakis_api_requests_total"]
    discord-proxy = [
      "arrakis_proxy_calls_total",
      "arrakis_proxy_invalid_requests",
      "arrakis_proxy_kill_switch_on",
      "arrakis_proxy_token_dead",
    ]
    ingestor = [
      "arrakis_ingestor_broker_blocked",
      "arrakis_ingestor_events_received_total",
      "arrakis_ingestor_events_total",
      "arrakis_ingestor_gaps_total",
      "arrakis_ingestor_shard_active",
    ]
    interactions = ["arrakis_interactions_requests_total"]
    telegram     = ["arrakis_telegram_updates_total"]
    worker = [
      "arrakis_worker_answers_too_late_total",
      "arrakis_worker_backup_damaged_total",
      "arrakis_worker_backup_failing",
      "arrakis_worker_backup_overdue",
      "arrakis_worker_chain_anchor_mismatch",
      "arrakis_worker_consuming",
      "arrakis_worker_interactions_expired_total",
      "arrakis_worker_interactions_total",
      "arrakis_worker_leader",
      "arrakis_worker_queue_oldest_age_seconds",
    ]
  }

  # Destinations of every task: what starting and logging need.
  egress_aws = {
    endpoints = { port = 443, security_group_id = module.network.endpoints_security_group_id }
    s3        = { port = 443, prefix_list_id = module.network.s3_prefix_list_id }
  }

  egress = {
    broker   = { port = 5671, security_group_id = module.broker.security_group_id }
    cache    = { port = 6379, security_group_id = module.cache.security_group_id }
    database = { port = 5432, security_group_id = module.database.security_group_id }
    discord  = { port = 443, prefix_list_id = module.network.discord_prefix_list_id }
    dynamodb = { port = 443, prefix_list_id = module.network.dynamodb_prefix_list_id }
    # Endpoints of chains, the score service, Discord's content network, the second region; Telegram. Their addresses are not known here.
    internet = { port = 443, cidr = "0.0.0.0/0" }
  }

  egress_traces = var.traces == null ? {} : {
    traces = { port = var.traces.port, cidr = var.traces.cidr, security_group_id = var.traces.security_group_id }
  }

  egress_proxies = { for name in local.proxies : name => { port = 8090, security_group_id = module.discord_proxy[name].security_group_id } }

  secret_arns = module.secrets.arns

  database_urls = { for login, arn in module.database.login_secret_arns : login => "${arn}:url::" }
  amqp_url      = "${module.broker.credentials_secret_arn}:url::"
  redis_url     = "${module.cache.credentials_secret_arn}:url::"

  # What worker and api read of chains.
  chain_secrets = var.chains_enabled ? { CHAIN_RPC_URLS = local.secret_arns["chain-rpc-urls"] } : {}

  # What turns the kill switch on and off, and checks second factors: workers and api.
  control_secrets = {
    KILL_SWITCH_CREDENTIAL = local.secret_arns["kill-switch-credential"]
    MFA_ENCRYPTION_KEY     = local.secret_arns["mfa-encryption-key"]
  }

  # Signing by a key in Vault (SIGNER=transit) in place of the key in a file. Secret ids are files, written when a task starts.
  vault_variables = var.vault == null ? {} : merge(
    {
      SIGNER               = "transit"
      VAULT_ADDR           = var.vault.address
      VAULT_SECRET_ID_FILE = "/run/arrakis/vault-secret-id"
    },
    var.vault.ca_certificate == null ? {} : { VAULT_CACERT = "/run/arrakis/vault-ca.pem" },
    var.vault.revoker_role_id == null ? {} : {
      VAULT_REVOKER_ROLE_ID        = var.vault.revoker_role_id
      VAULT_REVOKER_SECRET_ID_FILE = "/run/arrakis/vault-revoker-secret-id"
      VAULT_SIGNING_POLICIES       = var.vault.signing_policies
    },
  )

  vault_files = merge(
    try(var.vault.ca_certificate, null) == null ? {} : { "vault-ca.pem" = { content = var.vault.ca_certificate } },
    try(var.vault.revoker_role_id, null) == null ? {} : { "vault-revoker-secret-id" = { secret = local.secret_arns["vault-revoker-secret-id"] } },
  )

  egress_vault = var.vault == null ? {} : {
    vault = { port = var.vault.port, cidr = var.vault.cidr, security_group_id = var.vault.security_group_id }
  }

  # The worker's configuration, which the task of scheduled backups has, too.
  worker_variables = merge(
    local.telemetry,
    module.backup_store.environment_variables,
    {
      AMQP_PRIORITIES        = "classes"
      AWS_REGION             = data.aws_region.current.region
      DISCORD_APPLICATION_ID = var.discord_application_id
      DISCORD_PROXY_URL      = local.proxy_urls
      HEALTH_ADDR            = "127.0.0.1:8080"
      VERIFY_BASE_URL        = var.verify_base_url
    },
    length(var.backup_trusted_keys) == 0 ? {} : { BACKUP_TRUSTED_KEYS = join(",", var.backup_trusted_keys) },
    var.score_api_url == null ? {} : { SCORE_API_URL = var.score_api_url },
    local.vault_variables,
    var.vault == null ? { BACKUP_SIGNING_KEY = "/run/arrakis/backup-signing-key.pem" } : { VAULT_ROLE_ID = var.vault.worker_role_id },
    var.control_variables,
    var.worker_variables,
  )

  worker_secrets = merge(
    local.telemetry_secrets,
    local.chain_secrets,
    local.control_secrets,
    {
      AMQP_URL                 = local.amqp_url
      DATABASE_URL             = local.database_urls["app"]
      DISCORD_PROXY_CREDENTIAL = local.secret_arns["worker-proxy-credential"]
      REDIS_URL                = local.redis_url
    },
    var.score_api_url == null ? {} : { SCORE_API_KEY = local.secret_arns["score-api-key"] },
    var.notices_to_discord ? { NOTIFY_WEBHOOK_URL = local.secret_arns["notify-webhook"] } : {},
  )

  worker_files = merge(
    local.rds_ca_file,
    local.vault_files,
    var.vault == null ? { "backup-signing-key.pem" = { secret = local.secret_arns["backup-signing-key"] } } : { "vault-secret-id" = { secret = local.secret_arns["vault-worker-secret-id"] } },
  )

  worker_egress = merge(local.egress_aws, local.egress_traces, local.egress_vault, local.egress_proxies, {
    broker   = local.egress.broker
    cache    = local.egress.cache
    database = local.egress.database
    dynamodb = local.egress.dynamodb
    internet = local.egress.internet
  })
}

data "aws_region" "current" {}

module "encryption" {
  source = "../encryption"

  environment = var.environment
}

module "network" {
  source = "../network"

  environment        = var.environment
  cidr               = var.cidr
  availability_zones = var.availability_zones
  single_nat_gateway = var.single_nat_gateway
  kms_key_arn        = module.encryption.key_arn
}

module "registry" {
  source = "../registry"

  environment = var.environment
  kms_key_arn = module.encryption.key_arn
}

module "secrets" {
  source = "../secrets"

  environment = var.environment
  kms_key_arn = module.encryption.key_arn

  secrets = {
    alarms-webhook          = "URL of the webhook of the channel in which operational alarms are shown"
    backup-signing-key      = "Ed25519 key that signs backups, PKCS #8 in PEM (BACKUP_SIGNING_KEY)"
    chain-rpc-urls          = "Endpoints of chains, with their keys (CHAIN_RPC_URLS)"
    discord-proxy-callers   = "Callers of the discord-proxy with their credentials (PROXY_CREDENTIALS)"
    discord-token           = "Bot token of the Discord application (DISCORD_TOKEN)"
    kill-switch-credential  = "Credential that turns the kill switch on and off at the proxies (KILL_SWITCH_CREDENTIAL)"
    mfa-encryption-key      = "Keys that encrypt the secrets of second factors (MFA_ENCRYPTION_KEY)"
    notify-webhook          = "URL of the webhook of the channel for notices about backups (NOTIFY_WEBHOOK_URL)"
    otlp-headers            = "Headers of requests to the collector of traces (OTEL_EXPORTER_OTLP_HEADERS)"
    score-api-key           = "Key of the score service (SCORE_API_KEY)"
    shadow-amqp-url         = "URL of the broker with the user of shadow workers (AMQP_URL)"
    shadow-database-url     = "URL of the copy of the database (DATABASE_URL)"
    shadow-proxy-credential = "Credential `shadow` at the discord-proxy (DISCORD_PROXY_CREDENTIAL)"
    shadow-redis-url        = "URL of the Redis of shadow workers (REDIS_URL)"
    slack-bot-token         = "Token of the bot of the Slack app (SLACK_BOT_TOKEN)"
    slack-signing-secret    = "Signing secret of the Slack app (SLACK_SIGNING_SECRET)"
    telegram-api-credential = "API key with the scope telegram (API_CREDENTIAL)"
    telegram-token          = "Token of the Telegram bot (TELEGRAM_BOT_TOKEN)"
    vault-api-secret-id     = "Secret id of the AppRole of the api (VAULT_SECRET_ID_FILE)"
    vault-revoker-secret-id = "Secret id of the AppRole by which the kill switch revokes (VAULT_REVOKER_SECRET_ID_FILE)"
    vault-worker-secret-id  = "Secret id of the AppRole of the workers (VAULT_SECRET_ID_FILE)"
    worker-proxy-credential = "Credential of the worker at the discord-proxy (DISCORD_PROXY_CREDENTIAL)"
  }
}

module "cluster" {
  source = "../cluster"

  environment = var.environment
  vpc_id      = module.network.vpc_id
  kms_key_arn = module.encryption.key_arn
}

module "broker" {
  source = "../broker"

  environment        = var.environment
  vpc_id             = module.network.vpc_id
  subnet_ids         = module.network.isolated_subnet_ids
  deployment_mode    = var.broker.deployment_mode
  instance_type      = var.broker.instance_type
  credential_version = var.broker.credential_version
  console_cidrs      = var.operator_cidrs
  kms_key_arn        = module.encryption.key_arn

  client_security_group_ids = {
    api           = module.api.security_group_id
    backup        = module.backup.security_group_id
    ingestor      = module.ingestor.security_group_id
    interactions  = module.interactions.security_group_id
    operator      = module.operator.security_group_id
    worker        = module.worker.security_group_id
    worker-canary = module.worker_canary.security_group_id
    worker-shadow = module.worker_shadow.security_group_id
  }
}

module "database" {
  source = "../database"

  environment         = var.environment
  vpc_id              = module.network.vpc_id
  subnet_ids          = module.network.isolated_subnet_ids
  instance_class      = var.database.instance_class
  multi_az            = var.database.multi_az
  credential_versions = var.database.credential_versions
  kms_key_arn         = module.encryption.key_arn

  client_security_group_ids = {
    api           = module.api.security_group_id
    backup        = module.backup.security_group_id
    logins        = module.logins.security_group_id
    migrate       = module.migrate.security_group_id
    operator      = module.operator.security_group_id
    worker        = module.worker.security_group_id
    worker-canary = module.worker_canary.security_group_id
  }
}

module "cache" {
  source = "../cache"

  environment                = var.environment
  vpc_id                     = module.network.vpc_id
  subnet_ids                 = module.network.isolated_subnet_ids
  node_type                  = var.cache.node_type
  replica_count              = var.cache.replica_count
  credential_version         = var.cache.credential_version
  auth_token_update_strategy = var.cache.auth_token_update_strategy
  kms_key_arn                = module.encryption.key_arn

  client_security_group_ids = merge(
    { for name in local.proxies : name => module.discord_proxy[name].security_group_id },
    {
      api           = module.api.security_group_id
      backup        = module.backup.security_group_id
      operator      = module.operator.security_group_id
      telegram      = module.telegram.security_group_id
      worker        = module.worker.security_group_id
      worker-canary = module.worker_canary.security_group_id
    },
  )
}

module "load_balancer" {
  source = "../load-balancer"

  environment              = var.environment
  vpc_id                   = module.network.vpc_id
  public_subnet_ids        = module.network.public_subnet_ids
  target_security_group_id = module.api.security_group_id
  certificate_arn          = var.certificate_arn

  interactions_enabled           = var.interactions_enabled
  interactions_security_group_id = module.interactions.security_group_id

  kms_key_arn = module.encryption.key_arn
}

module "backup_store" {
  source = "../backup-store"

  prefix                          = var.environment
  name_suffix                     = var.backup_name_suffix
  enable_cross_region_replication = var.enable_cross_region_replication
  second_region                   = var.second_region
  notification_emails             = var.backup_notification_emails
}

# Holds the bot token, since it identifies at Discord's gateway with it. It accepts no connection: a collector beside it pushes its metrics.
module "ingestor" {
  source = "../service"

  environment          = var.environment
  name                 = "ingestor"
  image                = local.images["ingestor"]
  repository_arns      = local.repositories["ingestor"]
  cpu                  = 256
  memory               = 512
  start                = var.start_services
  desired_count        = var.ingestor_tasks
  cluster_arn          = module.cluster.cluster_arn
  vpc_id               = module.network.vpc_id
  subnet_ids           = module.network.private_subnet_ids
  kms_key_arn          = module.encryption.key_arn
  health_check_command = local.health_command["ingestor"]
  collector            = local.collectors["ingestor"]

  environment_variables = merge(
    local.telemetry,
    {
      AMQP_PRIORITIES = "classes"
      HEALTH_ADDR     = "127.0.0.1:8080"
    },
    var.ingestor_variables,
  )

  secrets = merge(local.telemetry_secrets, {
    AMQP_URL      = local.amqp_url
    DISCORD_TOKEN = local.secret_arns["discord-token"]
  })

  egress = merge(local.egress_aws, local.egress_traces, {
    broker  = local.egress.broker
    discord = local.egress.discord
  })
}

# Holds the bot token, and adds it to calls of workers. Reaches Discord and Redis only.
module "discord_proxy" {
  source   = "../service"
  for_each = local.proxies

  environment          = var.environment
  name                 = each.key
  image                = local.images["discord-proxy"]
  repository_arns      = local.repositories["discord-proxy"]
  cpu                  = 256
  memory               = 512
  start                = var.start_services
  desired_count        = 1
  cluster_arn          = module.cluster.cluster_arn
  vpc_id               = module.network.vpc_id
  subnet_ids           = module.network.private_subnet_ids
  kms_key_arn          = module.encryption.key_arn
  ports                = [8090]
  discovery            = { namespace_id = module.cluster.namespace_id }
  health_check_command = local.health_command["discord-proxy"]
  collector            = local.collectors["discord-proxy"]

  environment_variables = merge(local.telemetry, {
    DISCORD_APPLICATION_ID = var.discord_application_id
    HEALTH_ADDR            = "127.0.0.1:8080"
    # Two, and two more during a deployment.
    PROXY_MAX_REPLICAS = "4"
  })

  secrets = merge(local.telemetry_secrets, {
    DISCORD_TOKEN          = local.secret_arns["discord-token"]
    KILL_SWITCH_CREDENTIAL = local.secret_arns["kill-switch-credential"]
    PROXY_CREDENTIALS      = local.secret_arns["discord-proxy-callers"]
    REDIS_URL              = local.redis_url
  })

  egress = merge(local.egress_aws, local.egress_traces, {
    cache   = local.egress.cache
    discord = local.egress.discord
  })

  ingress = {
    api           = { port = 8090, security_group_id = module.api.security_group_id }
    backup        = { port = 8090, security_group_id = module.backup.security_group_id }
    operator      = { port = 8090, security_group_id = module.operator.security_group_id }
    worker        = { port = 8090, security_group_id = module.worker.security_group_id }
    worker-canary = { port = 8090, security_group_id = module.worker_canary.security_group_id }
    worker-shadow = { port = 8090, security_group_id = module.worker_shadow.security_group_id }
  }
}

module "worker" {
  source = "../service"

  environment           = var.environment
  name                  = "worker"
  image                 = local.images["worker"]
  repository_arns       = concat(local.repositories["worker"], [local.files_repository])
  cpu                   = 512
  memory                = 1024
  start                 = var.start_services
  autoscaled            = true
  cluster_arn           = module.cluster.cluster_arn
  vpc_id                = module.network.vpc_id
  subnet_ids            = module.network.private_subnet_ids
  kms_key_arn           = module.encryption.key_arn
  health_check_command  = local.health_command["worker"]
  collector             = local.collectors["worker"]
  environment_variables = local.worker_variables
  secrets               = local.worker_secrets
  files                 = local.worker_files
  files_image           = local.public_images["files"]
  task_policies         = { backups = module.backup_store.worker_policy_json }
  egress                = local.worker_egress
}

# Workers of another build, for the share of the servers that deploy/canary.sh sets (docs/safe-change.md). None runs by default.
module "worker_canary" {
  source = "../service"

  environment           = var.environment
  name                  = "worker-canary"
  image                 = local.canary_image
  repository_arns       = concat(local.repositories["worker"], [local.files_repository])
  cpu                   = 512
  memory                = 1024
  start                 = var.start_services
  desired_count         = var.canary_tasks
  cluster_arn           = module.cluster.cluster_arn
  vpc_id                = module.network.vpc_id
  subnet_ids            = module.network.private_subnet_ids
  kms_key_arn           = module.encryption.key_arn
  health_check_command  = local.health_command["worker"]
  collector             = local.collectors["worker"]
  environment_variables = merge(local.worker_variables, { WORKER_GROUP = "canary" })
  secrets               = local.worker_secrets
  files                 = local.worker_files
  files_image           = local.public_images["files"]
  task_policies         = { backups = module.backup_store.worker_policy_json }
  egress                = local.worker_egress
}

# Workers of another build that compute answers and send none (docs/safe-change.md). None runs by default. They have copies of the database and of
# Redis, which are made by hand, and nothing that has effects: no key, no kill switch, no second factors, no bucket, no notices.
module "worker_shadow" {
  source = "../service"

  environment          = var.environment
  name                 = "worker-shadow"
  image                = local.shadow_image
  repository_arns      = concat(local.repositories["worker"], [local.files_repository])
  cpu                  = 512
  memory               = 1024
  start                = var.start_services
  desired_count        = var.shadow_tasks
  cluster_arn          = module.cluster.cluster_arn
  vpc_id               = module.network.vpc_id
  subnet_ids           = module.network.private_subnet_ids
  kms_key_arn          = module.encryption.key_arn
  health_check_command = local.health_command["worker"]
  files                = local.rds_ca_file
  files_image          = local.public_images["files"]

  # Another job than that of the workers: what a shadow counts as answers reaches nobody.
  collector = merge(local.collectors["worker"], {
    job          = "shadow-worker"
    kept_metrics = "arrakis_worker_shadow_answers_total|arrakis_worker_group_info|process_.*"
    metric_names = ["arrakis_worker_shadow_answers_total"]
  })

  environment_variables = merge(
    local.telemetry,
    {
      AMQP_PRIORITIES        = "classes"
      DISCORD_APPLICATION_ID = var.discord_application_id
      DISCORD_PROXY_URL      = local.proxy_urls
      HEALTH_ADDR            = "127.0.0.1:8080"
      VERIFY_BASE_URL        = var.verify_base_url
      WORKER_GROUP           = "shadow"
    },
    var.score_api_url == null ? {} : { SCORE_API_URL = var.score_api_url },
  )

  secrets = merge(
    local.telemetry_secrets,
    local.chain_secrets,
    {
      AMQP_URL                 = local.secret_arns["shadow-amqp-url"]
      DATABASE_URL             = local.secret_arns["shadow-database-url"]
      DISCORD_PROXY_CREDENTIAL = local.secret_arns["shadow-proxy-credential"]
      REDIS_URL                = local.secret_arns["shadow-redis-url"]
    },
    var.score_api_url == null ? {} : { SCORE_API_KEY = local.secret_arns["score-api-key"] },
  )

  egress = merge(
    local.egress_aws,
    local.egress_traces,
    local.egress_proxies,
    {
      broker   = local.egress.broker
      internet = local.egress.internet
    },
    var.shadow_stores == null ? {} : {
      cache    = { port = var.shadow_stores.cache_port, security_group_id = var.shadow_stores.cache_security_group_id }
      database = { port = 5432, security_group_id = var.shadow_stores.database_security_group_id }
    },
  )
}

module "autoscaling" {
  source = "../autoscaling"
  count  = var.start_services ? 1 : 0

  environment      = var.environment
  name             = "worker"
  cluster_name     = module.cluster.cluster_name
  service_name     = module.worker.service_name
  broker_name      = module.broker.broker_name
  queues           = local.queues
  min_tasks        = 2
  max_tasks        = 20
  backlog_per_task = var.backlog_per_task
}

module "api" {
  source = "../service"

  environment          = var.environment
  name                 = "api"
  image                = local.images["api"]
  repository_arns      = concat(local.repositories["api"], [local.files_repository])
  cpu                  = 256
  memory               = 512
  start                = var.start_services
  desired_count        = var.api_tasks
  cluster_arn          = module.cluster.cluster_arn
  vpc_id               = module.network.vpc_id
  subnet_ids           = module.network.private_subnet_ids
  kms_key_arn          = module.encryption.key_arn
  ports                = [8070, 8080]
  discovery            = { namespace_id = module.cluster.namespace_id }
  health_check_command = local.health_command["api"]
  collector            = local.collectors["api"]
  files_image          = local.public_images["files"]

  files = merge(
    local.rds_ca_file,
    local.vault_files,
    var.vault == null ? {} : { "vault-secret-id" = { secret = local.secret_arns["vault-api-secret-id"] } },
  )

  load_balancer = {
    target_group_arn = module.load_balancer.target_group_arn
    port             = 8070
  }

  environment_variables = merge(
    local.telemetry,
    {
      AMQP_PRIORITIES     = "classes"
      API_ADDR            = "0.0.0.0:8070"
      API_TRUSTED_PROXIES = join(",", module.network.public_subnet_cidrs)
      DISCORD_PROXY_URL   = local.proxy_urls
      # The load balancer checks it.
      HEALTH_ADDR     = "0.0.0.0:8080"
      VERIFY_BASE_URL = var.verify_base_url
    },
    local.vault_variables,
    var.vault == null ? {} : { VAULT_ROLE_ID = var.vault.api_role_id },
    var.control_variables,
    var.api_variables,
  )

  secrets = merge(
    local.telemetry_secrets,
    local.chain_secrets,
    local.control_secrets,
    {
      AMQP_URL           = local.amqp_url
      DATABASE_ADMIN_URL = local.database_urls["admin"]
      DATABASE_URL       = local.database_urls["app"]
      REDIS_URL          = local.redis_url
    },
    var.approvals_at_slack ? {
      SLACK_BOT_TOKEN      = local.secret_arns["slack-bot-token"]
      SLACK_SIGNING_SECRET = local.secret_arns["slack-signing-secret"]
    } : {},
  )

  egress = merge(local.egress_aws, local.egress_traces, local.egress_vault, local.egress_proxies, {
    broker   = local.egress.broker
    cache    = local.egress.cache
    database = local.egress.database
    internet = local.egress.internet
  })

  ingress = {
    load-balancer        = { port = 8070, security_group_id = module.load_balancer.security_group_id }
    load-balancer-health = { port = 8080, security_group_id = module.load_balancer.security_group_id }
    telegram             = { port = 8070, security_group_id = module.telegram.security_group_id }
  }
}

# Where Discord delivers interactions by HTTP (docs/interactions-endpoint.md). It has no token and no state, and reaches the broker only.
module "interactions" {
  source = "../service"

  environment          = var.environment
  name                 = "interactions"
  image                = local.images["interactions"]
  repository_arns      = local.repositories["interactions"]
  cpu                  = 256
  memory               = 512
  start                = var.start_services && var.interactions_enabled
  desired_count        = var.interactions_tasks
  cluster_arn          = module.cluster.cluster_arn
  vpc_id               = module.network.vpc_id
  subnet_ids           = module.network.private_subnet_ids
  kms_key_arn          = module.encryption.key_arn
  ports                = [8050, 8080]
  health_check_command = local.health_command["interactions"]
  collector            = local.collectors["interactions"]

  load_balancer = var.interactions_enabled ? {
    target_group_arn = module.load_balancer.interactions_target_group_arn
    port             = 8050
  } : null

  environment_variables = merge(local.telemetry, {
    AMQP_PRIORITIES    = "classes"
    DISCORD_PUBLIC_KEY = var.discord_public_key
    # The load balancer checks it.
    HEALTH_ADDR       = "0.0.0.0:8080"
    INTERACTIONS_ADDR = "0.0.0.0:8050"
  })

  secrets = merge(local.telemetry_secrets, {
    AMQP_URL = local.amqp_url
  })

  egress = merge(local.egress_aws, local.egress_traces, { broker = local.egress.broker })

  ingress = {
    load-balancer        = { port = 8050, security_group_id = module.load_balancer.security_group_id }
    load-balancer-health = { port = 8080, security_group_id = module.load_balancer.security_group_id }
  }
}

# One task, which requests updates from Telegram itself and so accepts no connection.
module "telegram" {
  source = "../service"

  environment          = var.environment
  name                 = "telegram"
  image                = local.images["telegram"]
  repository_arns      = local.repositories["telegram"]
  cpu                  = 256
  memory               = 512
  start                = var.start_services && var.telegram_enabled
  desired_count        = 1
  cluster_arn          = module.cluster.cluster_arn
  vpc_id               = module.network.vpc_id
  subnet_ids           = module.network.private_subnet_ids
  kms_key_arn          = module.encryption.key_arn
  health_check_command = local.health_command["telegram"]
  collector            = local.collectors["telegram"]

  environment_variables = merge(local.telemetry, {
    API_URL         = "http://api.${module.cluster.namespace_name}:8070"
    HEALTH_ADDR     = "127.0.0.1:8080"
    VERIFY_BASE_URL = var.verify_base_url
  })

  secrets = merge(local.telemetry_secrets, {
    API_CREDENTIAL     = local.secret_arns["telegram-api-credential"]
    REDIS_URL          = local.redis_url
    TELEGRAM_BOT_TOKEN = local.secret_arns["telegram-token"]
  })

  egress = merge(local.egress_aws, local.egress_traces, {
    api      = { port = 8070, security_group_id = module.api.security_group_id }
    cache    = local.egress.cache
    internet = local.egress.internet
  })
}
