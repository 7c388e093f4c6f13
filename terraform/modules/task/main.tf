# One kind of task on Fargate: its definition, security group, log group and two roles.
#
# The execution role starts the task: it pulls the images, reads the secrets that the definition names, and writes the log. The programs
# never have this role. The task role is what the programs have: nothing, but for what `task_policies` gives.

locals {
  name = "arrakis-${var.environment}-${var.name}"

  files_folder = "/run/arrakis"
  file_names   = sort(keys(var.files))
  user_id      = split(":", var.user)[0]

  # A value of a secret is ARN:KEY::, the permission is for the ARN.
  secret_arns = distinct([
    for reference in concat(values(var.secrets), [for file in values(var.files) : file.secret if file.secret != null]) :
    join(":", slice(split(":", reference), 0, 7))
  ])

  log_options = {
    awslogs-group  = aws_cloudwatch_log_group.this.name
    awslogs-region = data.aws_region.current.region
  }

  service_container = merge(
    {
      name                   = var.name
      image                  = var.image
      essential              = true
      user                   = var.user
      readonlyRootFilesystem = true
      privileged             = false
      stopTimeout            = var.stop_timeout_seconds
      environment            = [for name in sort(keys(var.environment_variables)) : { name = name, value = var.environment_variables[name] }]
      secrets                = [for name in sort(keys(var.secrets)) : { name = name, valueFrom = var.secrets[name] }]
      portMappings           = [for port in var.ports : { containerPort = port, hostPort = port, protocol = "tcp" }]
      mountPoints            = local.has_files ? [{ sourceVolume = "files", containerPath = local.files_folder, readOnly = true }] : []
      linuxParameters        = { initProcessEnabled = false, capabilities = { drop = ["ALL"] } }

      dependsOn = concat(
        local.has_files ? [{ containerName = "files", condition = "SUCCESS" }] : [],
        local.has_signing_proxy ? [{ containerName = "signing-proxy", condition = "START" }] : [],
      )

      logConfiguration = {
        logDriver = "awslogs"
        options   = merge(local.log_options, { awslogs-stream-prefix = var.name })
      }
    },
    var.command == null ? {} : { command = var.command },
    var.entry_point == null ? {} : { entryPoint = var.entry_point },
    var.health_check_command == null ? {} : {
      healthCheck = {
        command     = concat(["CMD"], var.health_check_command)
        interval    = 10
        timeout     = 5
        retries     = 3
        startPeriod = 60
      }
    },
  )

  # Programs read keys and certificates from files, which a definition cannot contain. This container writes them to a volume in memory of
  # the task's own, readable by the program's user only, and ends.
  has_files = length(var.files) > 0

  files_script = join("\n", concat(["set -eu", "umask 077"], flatten([
    for index, name in local.file_names : [
      "printf '%s\\n' \"$FILE_${index}\" >'${local.files_folder}/${name}'",
      "chmod 0400 '${local.files_folder}/${name}'",
      "chown ${local.user_id} '${local.files_folder}/${name}'",
    ]
  ])))

  files_container = {
    name                   = "files"
    image                  = var.files_image
    essential              = false
    user                   = "0"
    readonlyRootFilesystem = true
    privileged             = false
    command                = ["sh", "-c", local.files_script]
    environment            = [for index, name in local.file_names : { name = "FILE_${index}", value = var.files[name].content } if var.files[name].content != null]
    secrets                = [for index, name in local.file_names : { name = "FILE_${index}", valueFrom = var.files[name].secret } if var.files[name].secret != null]
    mountPoints            = [{ sourceVolume = "files", containerPath = local.files_folder, readOnly = false }]

    logConfiguration = {
      logDriver = "awslogs"
      options   = merge(local.log_options, { awslogs-stream-prefix = "files" })
    }
  }

  # What runs beside the program is restarted by itself: the task goes on without it.
  restart_policy = { enabled = true, restartAttemptPeriod = 60 }

  # Reads /metrics of the service over the loopback interface of the task and pushes, so that nothing needs to connect to the task: all metrics to
  # Prometheus, some of them to CloudWatch.
  has_collector = var.collector != null

  collector_configuration = local.has_collector ? yamlencode({
    receivers = {
      prometheus = {
        config = {
          scrape_configs = [{
            # The rules need the name of the program as the label job.
            job_name        = var.collector.job
            scrape_interval = "15s"
            scrape_timeout  = "5s"
            static_configs = [{
              targets = ["127.0.0.1:8080"]
              labels  = { service = var.name }
            }]
            metric_relabel_configs = var.collector.kept_metrics == null ? [] : [{
              source_labels = ["__name__"]
              regex         = var.collector.kept_metrics
              action        = "keep"
            }]
          }]
        }
      }
    }
    processors = {
      memory_limiter = {
        check_interval  = "1s"
        limit_mib       = 144
        spike_limit_mib = 32
      }
      # Every task scrapes the same address: the ARN of the task as the label instance tells the series apart.
      resourcedetection = {
        detectors = ["ecs"]
        timeout   = "5s"
      }
      resource = {
        attributes = [{
          key            = "service.instance.id"
          from_attribute = "aws.ecs.task.arn"
          action         = "upsert"
        }]
      }
      "batch/cloudwatch" = { timeout = "30s" }
      "batch/prometheus" = { timeout = "5s" }
      filter = {
        metrics = {
          include = {
            match_type   = "strict"
            metric_names = var.collector.metric_names
          }
        }
      }
    }
    exporters = {
      awsemf = {
        namespace               = var.collector.namespace
        region                  = data.aws_region.current.region
        log_group_name          = var.collector.log_group_name
        log_stream_name         = "${var.name}-{TaskId}"
        dimension_rollup_option = "NoDimensionRollup"
        metric_declarations = [{
          dimensions            = [["service"], ["service", "outcome"], ["service", "queue"], ["service", "task"]]
          metric_name_selectors = ["^arrakis_.*"]
        }]
      }
      prometheusremotewrite = {
        endpoint = var.collector.remote_write_url
        auth     = { authenticator = "sigv4auth" }
        # The names are those of /metrics, which rules and dashboards use.
        add_metric_suffixes = false
        target_info         = { enabled = false }
      }
    }
    extensions = {
      sigv4auth = {
        region  = data.aws_region.current.region
        service = "aps"
      }
    }
    service = {
      extensions = ["sigv4auth"]
      pipelines = {
        "metrics/cloudwatch" = {
          receivers  = ["prometheus"]
          processors = ["memory_limiter", "filter", "resourcedetection", "batch/cloudwatch"]
          exporters  = ["awsemf"]
        }
        "metrics/prometheus" = {
          receivers  = ["prometheus"]
          processors = ["memory_limiter", "resourcedetection", "resource", "batch/prometheus"]
          exporters  = ["prometheusremotewrite"]
        }
      }
    }
  }) : ""

  collector_container = {
    name                   = "collector"
    image                  = local.has_collector ? var.collector.image : ""
    essential              = false
    user                   = "65532"
    readonlyRootFilesystem = true
    privileged             = false
    memoryReservation      = 96
    memory                 = 192
    restartPolicy          = local.restart_policy
    environment            = [{ name = "AOT_CONFIG_CONTENT", value = local.collector_configuration }]

    logConfiguration = {
      logDriver = "awslogs"
      options   = merge(local.log_options, { awslogs-stream-prefix = "collector" })
    }
  }

  # Signs requests of the program to a service of AWS with the role of the task. It ends with the task, which ends with the program.
  has_signing_proxy = var.signing_proxy != null

  signing_proxy_container = {
    name                   = "signing-proxy"
    image                  = local.has_signing_proxy ? var.signing_proxy.image : ""
    essential              = false
    user                   = "65532"
    readonlyRootFilesystem = true
    privileged             = false
    memory                 = 64
    restartPolicy          = local.restart_policy
    linuxParameters        = { initProcessEnabled = false, capabilities = { drop = ["ALL"] } }
    command = local.has_signing_proxy ? [
      "--port=127.0.0.1:${var.signing_proxy.port}",
      "--name=${var.signing_proxy.service}",
      "--region=${data.aws_region.current.region}",
      "--host=${var.signing_proxy.host}",
    ] : []

    logConfiguration = {
      logDriver = "awslogs"
      options   = merge(local.log_options, { awslogs-stream-prefix = "signing-proxy" })
    }
  }

  containers = concat(
    [local.service_container],
    local.has_files ? [local.files_container] : [],
    local.has_collector ? [local.collector_container] : [],
    local.has_signing_proxy ? [local.signing_proxy_container] : [],
  )
}

data "aws_region" "current" {}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/arrakis/${var.environment}/${var.name}"
  kms_key_id        = var.kms_key_arn
  retention_in_days = var.log_retention_days
}

resource "aws_security_group" "this" {
  #checkov:skip=CKV2_AWS_5:The service, or whoever starts the task, attaches it: the check does not follow outputs of modules.
  name        = local.name
  description = "Tasks of ${var.name}"
  vpc_id      = var.vpc_id

  tags = { Name = local.name }
}

resource "aws_vpc_security_group_egress_rule" "this" {
  for_each = var.egress

  security_group_id            = aws_security_group.this.id
  description                  = "To ${each.key}"
  referenced_security_group_id = each.value.security_group_id
  prefix_list_id               = each.value.prefix_list_id
  cidr_ipv4                    = each.value.cidr
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = var.ingress

  security_group_id            = aws_security_group.this.id
  description                  = "From ${each.key}"
  referenced_security_group_id = each.value.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

data "aws_iam_policy_document" "assume" {
  statement {
    sid     = "TasksAssume"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "LogInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "PullImages"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = var.repository_arns
  }

  statement {
    sid       = "WriteLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:log-stream:*"]
  }

  dynamic "statement" {
    for_each = length(var.secrets) + length(var.files) > 0 ? [1] : []

    content {
      sid       = "ReadSecrets"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = local.secret_arns
    }
  }

  statement {
    sid       = "DecryptSecrets"
    actions   = ["kms:Decrypt"]
    resources = [var.kms_key_arn]
  }
}

resource "aws_iam_role" "execution" {
  name               = "${local.name}-execution"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy" "execution" {
  name   = "execution"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

resource "aws_iam_role" "task" {
  name               = "${local.name}-task"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy" "task" {
  for_each = var.task_policies

  name   = each.key
  role   = aws_iam_role.task.id
  policy = each.value
}

data "aws_iam_policy_document" "collector" {
  count = local.has_collector ? 1 : 0

  statement {
    sid       = "WriteMetrics"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = [var.collector.log_group_arn, "${var.collector.log_group_arn}:log-stream:*"]
  }

  statement {
    sid       = "PushMetrics"
    actions   = ["aps:RemoteWrite"]
    resources = [var.collector.workspace_arn]
  }
}

resource "aws_iam_role_policy" "collector" {
  count = local.has_collector ? 1 : 0

  name   = "metrics"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.collector[0].json
}

resource "aws_ecs_task_definition" "this" {
  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = jsonencode(local.containers)

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  # Storage of the task, which Fargate encrypts and deletes with the task.
  dynamic "volume" {
    for_each = local.has_files ? ["files"] : []

    content {
      name = volume.value
    }
  }
}
