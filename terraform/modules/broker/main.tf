locals {
  name     = "arrakis-${var.environment}"
  username = "arrakis"

  # amqps://b-….mq.REGION.amazonaws.com:5671; a cluster has one endpoint in front of its nodes.
  endpoint = aws_mq_broker.this.instances[0].endpoints[0]
}

resource "aws_security_group" "this" {
  name        = "${local.name}-broker"
  description = "RabbitMQ: AMQP over TLS from services, the console for operators"
  vpc_id      = var.vpc_id

  tags = { Name = "${local.name}-broker" }
}

resource "aws_vpc_security_group_ingress_rule" "amqps" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.this.id
  description                  = "AMQP over TLS from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5671
  to_port                      = 5671
}

resource "aws_vpc_security_group_ingress_rule" "console" {
  for_each = var.console_cidrs

  security_group_id = aws_security_group.this.id
  description       = "Console and management API from operators"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 15671
  to_port           = 15671
}

# Without the characters that Amazon MQ refuses (comma, colon, equals sign) and those that a URL encodes.
resource "random_password" "this" {
  length  = 40
  special = false

  keepers = {
    version = var.credential_version
  }
}

resource "aws_mq_configuration" "this" {
  name           = local.name
  description    = "Differences from the defaults of Amazon MQ"
  engine_type    = "RabbitMQ"
  engine_version = var.engine_version

  data = <<-CONF
    # A message that is not acknowledged for 30 minutes is delivered again.
    consumer_timeout = 1800000
    # Declaring a quorum queue with other arguments fails, so that a service that starts detects a different topology.
    quorum_queue.property_equivalence.relaxed_checks_on_redeclaration = false
  CONF
}

resource "aws_mq_broker" "this" {
  #checkov:skip=CKV_AWS_48:The check requires audit logs, which only ActiveMQ has; the general log of RabbitMQ is on.
  broker_name                = local.name
  engine_type                = "RabbitMQ"
  engine_version             = var.engine_version
  auto_minor_version_upgrade = true
  host_instance_type         = var.instance_type
  deployment_mode            = var.deployment_mode
  publicly_accessible        = false
  security_groups            = [aws_security_group.this.id]
  subnet_ids                 = var.deployment_mode == "SINGLE_INSTANCE" ? [var.subnet_ids[0]] : var.subnet_ids

  configuration {
    id       = aws_mq_configuration.this.id
    revision = aws_mq_configuration.this.latest_revision
  }

  encryption_options {
    use_aws_owned_key = false
    kms_key_id        = var.kms_key_arn
  }

  logs {
    general = true
  }

  maintenance_window_start_time {
    day_of_week = "TUESDAY"
    time_of_day = "03:30"
    time_zone   = "UTC"
  }

  user {
    username = local.username
    password = random_password.this.result
  }

  lifecycle {
    # Amazon MQ neither returns nor changes users of RabbitMQ: after a rotation, an operator sets the password by the management API.
    ignore_changes = [user]

    precondition {
      condition     = var.deployment_mode == "SINGLE_INSTANCE" || length(var.subnet_ids) >= 3
      error_message = "A cluster has three nodes in three availability zones: it needs three subnets."
    }
  }
}

resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:A new password needs new connections of all services; docs/operations/rotate-secrets.md has the steps.
  name                    = "${local.name}/rabbitmq-credentials"
  description             = "Login of services at RabbitMQ: username, password, and the URL with both (AMQP_URL)"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 30
}

resource "aws_secretsmanager_secret_version" "this" {
  secret_id = aws_secretsmanager_secret.this.id

  secret_string = jsonencode({
    username = local.username
    password = random_password.this.result
    url      = "${replace(local.endpoint, "amqps://", "amqps://${local.username}:${random_password.this.result}@")}/%2f"
  })
}
