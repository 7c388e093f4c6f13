locals {
  name       = "arrakis-${var.environment}-${var.name}"
  registries = aws_service_discovery_service.this[*].arn

  service_name = one(concat(aws_ecs_service.fixed[*].name, aws_ecs_service.autoscaled[*].name))
}

module "task" {
  source = "../task"

  environment           = var.environment
  name                  = var.name
  image                 = var.image
  repository_arns       = var.repository_arns
  entry_point           = var.entry_point
  command               = var.command
  user                  = var.user
  cpu                   = var.cpu
  memory                = var.memory
  cpu_architecture      = var.cpu_architecture
  environment_variables = var.environment_variables
  secrets               = var.secrets
  files                 = var.files
  files_image           = var.files_image
  ports                 = var.ports
  health_check_command  = var.health_check_command
  stop_timeout_seconds  = var.stop_timeout_seconds
  collector             = var.collector
  task_policies         = var.task_policies
  vpc_id                = var.vpc_id
  egress                = var.egress
  ingress               = var.ingress
  log_retention_days    = var.log_retention_days
  kms_key_arn           = var.kms_key_arn
}

resource "aws_service_discovery_service" "this" {
  count = var.discovery == null ? 0 : 1

  name = var.name

  dns_config {
    namespace_id   = var.discovery.namespace_id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 5
    }
  }
}

# Two resources, since ignore_changes cannot depend on a variable. Autoscaling sets the number of tasks of the second one, and an apply
# must not undo that. Both begin with no task: the repositories are empty until the first images are pushed.
resource "aws_ecs_service" "fixed" {
  count = var.autoscaled ? 0 : 1

  name                              = local.name
  cluster                           = var.cluster_arn
  task_definition                   = module.task.task_definition_arn
  desired_count                     = var.start ? var.desired_count : 0
  launch_type                       = "FARGATE"
  platform_version                  = "LATEST"
  enable_ecs_managed_tags           = true
  enable_execute_command            = false
  propagate_tags                    = "SERVICE"
  wait_for_steady_state             = false
  health_check_grace_period_seconds = var.load_balancer == null ? null : 60

  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [module.task.security_group_id]
    assign_public_ip = false
  }

  dynamic "service_registries" {
    for_each = local.registries

    content {
      registry_arn = service_registries.value
    }
  }

  dynamic "load_balancer" {
    for_each = var.load_balancer == null ? [] : [var.load_balancer]

    content {
      target_group_arn = load_balancer.value.target_group_arn
      container_name   = var.name
      container_port   = load_balancer.value.port
    }
  }
}

resource "aws_ecs_service" "autoscaled" {
  count = var.autoscaled ? 1 : 0

  name                              = local.name
  cluster                           = var.cluster_arn
  task_definition                   = module.task.task_definition_arn
  desired_count                     = 0
  launch_type                       = "FARGATE"
  platform_version                  = "LATEST"
  enable_ecs_managed_tags           = true
  enable_execute_command            = false
  propagate_tags                    = "SERVICE"
  wait_for_steady_state             = false
  health_check_grace_period_seconds = var.load_balancer == null ? null : 60

  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [module.task.security_group_id]
    assign_public_ip = false
  }

  dynamic "service_registries" {
    for_each = local.registries

    content {
      registry_arn = service_registries.value
    }
  }

  dynamic "load_balancer" {
    for_each = var.load_balancer == null ? [] : [var.load_balancer]

    content {
      target_group_arn = load_balancer.value.target_group_arn
      container_name   = var.name
      container_port   = load_balancer.value.port
    }
  }

  lifecycle {
    ignore_changes = [desired_count]
  }
}
