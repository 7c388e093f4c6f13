# Production: every part survives the loss of a zone.

module "platform" {
  source = "../../modules/platform"

  environment    = "production"
  start_services = var.start_services
  image_tags     = var.image_tags

  cidr               = "10.30.0.0/16"
  availability_zones = ["${var.region}a", "${var.region}b", "${var.region}c"]
  single_nat_gateway = false
  operator_cidrs     = var.operator_cidrs
  ingestor_tasks     = 2
  api_tasks          = 2

  broker = {
    deployment_mode    = "CLUSTER_MULTI_AZ"
    instance_type      = "mq.m7g.large"
    credential_version = var.credential_versions.broker
  }

  database = {
    instance_class    = "db.m7g.large"
    multi_az          = true
    connections_alarm = 700

    credential_versions = {
      app   = var.credential_versions.database_app
      admin = var.credential_versions.database_admin
      owner = var.credential_versions.database_owner
    }
  }

  cache = {
    node_type                  = "cache.m7g.large"
    replica_count              = 2
    credential_version         = var.credential_versions.cache
    auth_token_update_strategy = var.cache_token_update_strategy
  }

  discord_application_id = var.discord_application_id
  verify_base_url        = var.verify_base_url
  certificate_arn        = var.certificate_arn
  rds_ca_bundle          = var.rds_ca_bundle
  public_image_digests   = var.public_image_digests

  interactions_enabled = var.interactions_enabled
  discord_public_key   = var.discord_public_key
  canary_tasks         = var.canary_tasks
  canary_image_tag     = var.canary_image_tag
  shadow_tasks         = var.shadow_tasks
  shadow_image_tag     = var.shadow_image_tag
  shadow_stores        = var.shadow_stores
  migrate_image_tag    = var.migrate_image_tag

  telegram_enabled   = var.telegram_enabled
  chains_enabled     = var.chains_enabled
  score_api_url      = var.score_api_url
  notices_to_discord = var.notices_to_discord
  alarms_to_discord  = var.alarms_to_discord
  alarm_emails       = var.alarm_emails

  traces             = var.traces
  vault              = var.vault
  approvals_at_slack = var.approvals_at_slack
  control_variables  = var.control_variables
  ingestor_variables = var.ingestor_variables
  worker_variables   = var.worker_variables
  api_variables      = var.api_variables

  backup_name_suffix              = var.backup_name_suffix
  backup_trusted_keys             = var.backup_trusted_keys
  backup_notification_emails      = var.backup_notification_emails
  enable_cross_region_replication = var.enable_cross_region_replication
}
