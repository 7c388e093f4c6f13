locals {
  name     = "arrakis-${var.environment}"
  database = "arrakis"

  # The three logins of shared/db/migrations/README.md.
  logins = {
    app   = "DATABASE_URL: worker and api; row-level security applies"
    admin = "DATABASE_ADMIN_URL: api and tools; spans communities"
    owner = "DATABASE_OWNER_URL: migrations, and nothing else"
  }
}

resource "aws_db_subnet_group" "this" {
  name        = local.name
  description = "Subnets without a route to the internet"
  subnet_ids  = var.subnet_ids
}

resource "aws_security_group" "this" {
  name        = "${local.name}-database"
  description = "PostgreSQL from services"
  vpc_id      = var.vpc_id

  tags = { Name = "${local.name}-database" }
}

resource "aws_vpc_security_group_ingress_rule" "postgres" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.this.id
  description                  = "PostgreSQL from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_db_parameter_group" "this" {
  name_prefix = "${local.name}-"
  description = "Differences from the defaults"
  family      = "postgres${split(".", var.engine_version)[0]}"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  # Not log_statement: the log would have the passwords that `database-logins` sets.
  parameter {
    name  = "log_min_duration_statement"
    value = "1000"
  }

  lifecycle {
    create_before_destroy = true
  }
}

data "aws_iam_policy_document" "monitoring_assume" {
  statement {
    sid     = "RdsAssumes"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["monitoring.rds.amazonaws.com"]
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

# As AmazonRDSEnhancedMonitoringRole, for the one log group that it is for.
data "aws_iam_policy_document" "monitoring" {
  statement {
    sid       = "CreateLogGroup"
    actions   = ["logs:CreateLogGroup", "logs:PutRetentionPolicy"]
    resources = ["arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:log-group:RDSOSMetrics"]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:GetLogEvents", "logs:PutLogEvents"]
    resources = ["arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:log-group:RDSOSMetrics:log-stream:*"]
  }
}

resource "aws_iam_role" "monitoring" {
  name               = "${local.name}-database-monitoring"
  assume_role_policy = data.aws_iam_policy_document.monitoring_assume.json
}

resource "aws_iam_role_policy" "monitoring" {
  name   = "monitoring"
  role   = aws_iam_role.monitoring.id
  policy = data.aws_iam_policy_document.monitoring.json
}

resource "aws_db_instance" "this" {
  #checkov:skip=CKV_AWS_157:Multi-AZ is a variable, which production sets: staging has one instance.
  #checkov:skip=CKV2_AWS_30:Slow statements are logged; log_statement would log the passwords of ALTER ROLE.
  #checkov:skip=CKV_AWS_161:Services sign in by passwords from Secrets Manager, with one login for each purpose; IAM tokens end after 15 minutes.
  identifier     = local.name
  engine         = "postgres"
  engine_version = var.engine_version
  instance_class = var.instance_class

  storage_type          = "gp3"
  allocated_storage     = var.allocated_storage_gib
  max_allocated_storage = var.max_allocated_storage_gib
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  # RDS generates, stores and rotates the password of the master login, which only the task of the logins uses.
  username                      = "arrakis_master"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.kms_key_arn

  multi_az               = var.multi_az
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  publicly_accessible    = false
  ca_cert_identifier     = "rds-ca-rsa2048-g1"
  parameter_group_name   = aws_db_parameter_group.this.name

  backup_retention_period   = var.backup_retention_days
  backup_window             = "01:00-01:30"
  maintenance_window        = "tue:02:00-tue:02:30"
  copy_tags_to_snapshot     = true
  delete_automated_backups  = false
  deletion_protection       = true
  skip_final_snapshot       = false
  final_snapshot_identifier = "${local.name}-final"

  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]
  monitoring_interval             = 60
  monitoring_role_arn             = aws_iam_role.monitoring.arn
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.kms_key_arn
}

# Ephemeral: passwords are in Secrets Manager, and neither in the state nor in a plan.
ephemeral "random_password" "login" {
  for_each = local.logins

  length  = 40
  special = false
}

resource "aws_secretsmanager_secret" "login" {
  #checkov:skip=CKV2_AWS_57:A new password needs new connections of the services; docs/operations/rotate-secrets.md has the steps.
  for_each = local.logins

  name                    = "${local.name}/database-${each.key}"
  description             = each.value
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 30
}

resource "aws_secretsmanager_secret_version" "login" {
  for_each = local.logins

  secret_id                = aws_secretsmanager_secret.login[each.key].id
  secret_string_wo_version = var.credential_versions[each.key]

  secret_string_wo = jsonencode({
    username = "arrakis_${each.key}"
    password = ephemeral.random_password.login[each.key].result
    url      = "postgres://arrakis_${each.key}:${ephemeral.random_password.login[each.key].result}@${aws_db_instance.this.endpoint}/${local.database}?sslmode=verify-full&sslrootcert=${var.ca_file}"
  })
}
