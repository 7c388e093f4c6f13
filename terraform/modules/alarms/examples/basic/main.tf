module "alarms" {
  source = "../.."

  environment                = "staging"
  enabled                    = true
  emails                     = ["operators@example.org"]
  discord_webhook_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:arrakis-staging/alarms-webhook-AbCdEf"
  runbooks_url               = "https://github.com/arrakis-community/arrakis/blob/main/docs/runbooks"
  metrics_namespace          = "Arrakis/staging"
  cluster_name               = "arrakis-staging"
  broker_name                = "arrakis-staging"
  queues                     = ["arrakis.interactions.command", "arrakis.events.guild"]
  database_instance_id       = "arrakis-staging"
  database_connections       = 150
  cache_member_ids           = ["arrakis-staging-001"]
  load_balancer_arn_suffix   = "app/arrakis-staging/0123456789abcdef"
  target_group_arn_suffix    = "targetgroup/arrakis-staging-api/0123456789abcdef"
  backup_bucket              = "gaib-backups-123456789012"
  backup_rules               = ["gaib-backup-daily", "gaib-backup-hourly"]
  backup_failure_rule_arn    = "arn:aws:events:eu-central-1:123456789012:rule/arrakis-staging-backup-failed"
  backup_dead_letter_queue   = "arrakis-staging-backup-starts"
  prometheus_workspace_id    = "ws-00000000-0000-0000-0000-000000000000"
  prometheus_workspace_arn   = "arn:aws:aps:eu-central-1:123456789012:workspace/ws-00000000-0000-0000-0000-000000000000"
  kms_key_arn                = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"

  services = {
    worker = { name = "arrakis-staging-worker", tasks = 2 }
  }
}
