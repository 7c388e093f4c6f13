locals {
  name = "arrakis-${var.environment}"
}

resource "aws_elasticache_subnet_group" "this" {
  name        = local.name
  description = "Subnets without a route to the internet"
  subnet_ids  = var.subnet_ids
}

resource "aws_security_group" "this" {
  name        = "${local.name}-cache"
  description = "Redis from services"
  vpc_id      = var.vpc_id

  tags = { Name = "${local.name}-cache" }
}

resource "aws_vpc_security_group_ingress_rule" "redis" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.this.id
  description                  = "Redis from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

resource "aws_elasticache_parameter_group" "this" {
  name        = local.name
  description = "Differences from the defaults"
  family      = "redis7"

  # Every key has a time to live. When memory is full, a write fails, which services detect: an evicted rate limit would not be.
  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
}

resource "random_password" "this" {
  length  = 64
  special = false

  keepers = {
    version = var.credential_version
  }
}

resource "aws_elasticache_replication_group" "this" {
  #checkov:skip=CKV2_AWS_50:Automatic failover needs a replica, which production has: staging has one node.
  replication_group_id = local.name
  description          = "Cooldowns, sessions, rate limits, caches"
  engine               = "redis"
  engine_version       = "7.1"
  node_type            = var.node_type
  port                 = 6379
  num_cache_clusters   = var.replica_count + 1

  automatic_failover_enabled = var.replica_count > 0
  multi_az_enabled           = var.replica_count > 0

  parameter_group_name = aws_elasticache_parameter_group.this.name
  subnet_group_name    = aws_elasticache_subnet_group.this.name
  security_group_ids   = [aws_security_group.this.id]

  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  auth_token                 = random_password.this.result
  auth_token_update_strategy = var.auth_token_update_strategy

  maintenance_window         = "tue:03:00-tue:04:00"
  snapshot_retention_limit   = 1
  snapshot_window            = "01:30-02:30"
  auto_minor_version_upgrade = true
}

resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:A new token needs new connections of the services; docs/operations/rotate-secrets.md has the steps.
  name                    = "${local.name}/redis-credentials"
  description             = "Token of services at Redis, and the URL with it (REDIS_URL)"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 30
}

resource "aws_secretsmanager_secret_version" "this" {
  secret_id = aws_secretsmanager_secret.this.id

  secret_string = jsonencode({
    token = random_password.this.result
    url   = "rediss://:${random_password.this.result}@${aws_elasticache_replication_group.this.primary_endpoint_address}:6379/0"
  })
}
