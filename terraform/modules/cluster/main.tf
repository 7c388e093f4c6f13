locals {
  name = "arrakis-${var.environment}"
}

resource "aws_ecs_cluster" "this" {
  name = local.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = ["FARGATE"]
}

# Names of services inside of the VPC, such as api.arrakis-staging.internal.
resource "aws_service_discovery_private_dns_namespace" "this" {
  name        = "${local.name}.internal"
  description = "Services of ${local.name}"
  vpc         = var.vpc_id
}

# The collectors beside the services write metrics as log events in the embedded metric format.
resource "aws_cloudwatch_log_group" "metrics" {
  name              = "/arrakis/${var.environment}/metrics"
  kms_key_id        = var.kms_key_arn
  retention_in_days = var.log_retention_days
}
