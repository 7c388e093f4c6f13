locals {
  name      = "arrakis-${var.environment}"
  namespace = var.metrics_namespace

  # Alarms on one metric each. To add one: an entry here. `missing`: what a missing data point means. Descriptions have no quotation marks,
  # since they are put into JSON on the way to Discord.
  broker_alarms = merge(
    {
      dead-letters = {
        description = "Messages are in arrakis.dlq: they are not retried any more. List them by arrakis-worker dead-letters."
        namespace   = "AWS/AmazonMQ", metric = "MessageCount", dimensions = { Broker = var.broker_name, VirtualHost = "/", Queue = "arrakis.dlq" }
        statistic   = "Maximum", period = 60, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
      }
      unrouted = {
        description = "Events are in arrakis.unrouted: no queue is bound for them."
        namespace   = "AWS/AmazonMQ", metric = "MessageCount", dimensions = { Broker = var.broker_name, VirtualHost = "/", Queue = "arrakis.unrouted" }
        statistic   = "Maximum", period = 60, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
      }
      broker-connections = {
        description = "No service is connected to the broker, or the broker is unavailable."
        namespace   = "AWS/AmazonMQ", metric = "ConnectionCount", dimensions = { Broker = var.broker_name }
        statistic   = "Maximum", period = 60, periods = 3, comparison = "LessThanThreshold", threshold = 1, missing = "breaching"
      }
      broker-cpu = {
        description = "The broker has used more than 80 % of its CPU for 15 minutes."
        namespace   = "AWS/AmazonMQ", metric = "SystemCpuUtilization", dimensions = { Broker = var.broker_name }
        statistic   = "Average", period = 300, periods = 3, comparison = "GreaterThanThreshold", threshold = 80, missing = "missing"
      }
    },
    {
      for queue in var.queues : "queue-${replace(queue, ".", "-")}" => {
        description = "More than ${var.ready_messages} messages have waited in ${queue} for 5 minutes: workers do not keep up, or do not consume."
        namespace   = "AWS/AmazonMQ", metric = "MessageReadyCount", dimensions = { Broker = var.broker_name, VirtualHost = "/", Queue = queue }
        statistic   = "Minimum", period = 60, periods = 5, comparison = "GreaterThanThreshold", threshold = var.ready_messages, missing = "notBreaching"
      }
    },
  )

  service_alarms = merge([
    for name, service in var.services : {
      "${name}-tasks" = {
        description = "Fewer than ${service.tasks} tasks of ${name} run."
        namespace   = "ECS/ContainerInsights", metric = "RunningTaskCount", dimensions = { ClusterName = var.cluster_name, ServiceName = service.name }
        statistic   = "Minimum", period = 60, periods = 5, comparison = "LessThanThreshold", threshold = service.tasks, missing = "breaching"
      }
      "${name}-cpu" = {
        description = "The tasks of ${name} have used more than 85 % of their CPU for 15 minutes."
        namespace   = "AWS/ECS", metric = "CPUUtilization", dimensions = { ClusterName = var.cluster_name, ServiceName = service.name }
        statistic   = "Average", period = 300, periods = 3, comparison = "GreaterThanThreshold", threshold = 85, missing = "missing"
      }
      "${name}-memory" = {
        description = "The tasks of ${name} use more than 85 % of their memory."
        namespace   = "AWS/ECS", metric = "MemoryUtilization", dimensions = { ClusterName = var.cluster_name, ServiceName = service.name }
        statistic   = "Maximum", period = 300, periods = 2, comparison = "GreaterThanThreshold", threshold = 85, missing = "missing"
      }
    }
  ]...)

  storage_alarms = merge(
    {
      database-cpu = {
        description = "PostgreSQL has used more than 85 % of its CPU for 15 minutes."
        namespace   = "AWS/RDS", metric = "CPUUtilization", dimensions = { DBInstanceIdentifier = var.database_instance_id }
        statistic   = "Average", period = 300, periods = 3, comparison = "GreaterThanThreshold", threshold = 85, missing = "breaching"
      }
      database-storage = {
        description = "Less than 5 GiB of the disk of PostgreSQL are free."
        namespace   = "AWS/RDS", metric = "FreeStorageSpace", dimensions = { DBInstanceIdentifier = var.database_instance_id }
        statistic   = "Minimum", period = 300, periods = 1, comparison = "LessThanThreshold", threshold = 5368709120, missing = "missing"
      }
      database-connections = {
        description = "More than ${var.database_connections} connections to PostgreSQL are open."
        namespace   = "AWS/RDS", metric = "DatabaseConnections", dimensions = { DBInstanceIdentifier = var.database_instance_id }
        statistic   = "Maximum", period = 60, periods = 5, comparison = "GreaterThanThreshold", threshold = var.database_connections, missing = "missing"
      }
    },
    merge([
      for id in var.cache_member_ids : {
        "cache-cpu-${id}" = {
          description = "Redis node ${id} has used more than 80 % of its CPU for 10 minutes."
          namespace   = "AWS/ElastiCache", metric = "EngineCPUUtilization", dimensions = { CacheClusterId = id }
          statistic   = "Average", period = 300, periods = 2, comparison = "GreaterThanThreshold", threshold = 80, missing = "breaching"
        }
        "cache-memory-${id}" = {
          description = "Redis node ${id} uses more than 75 % of its memory: when it is full, writes fail and limits fall back to each replica."
          namespace   = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", dimensions = { CacheClusterId = id }
          statistic   = "Maximum", period = 60, periods = 5, comparison = "GreaterThanThreshold", threshold = 75, missing = "missing"
        }
      }
    ]...),
    {
      backup-bucket-size = {
        description = "The bucket of backups is larger than ${var.backup_bucket_gib} GiB: compare the growth with the number of servers."
        namespace   = "AWS/S3", metric = "BucketSizeBytes", dimensions = { BucketName = var.backup_bucket, StorageType = "StandardStorage" }
        statistic   = "Maximum", period = 86400, periods = 1, comparison = "GreaterThanThreshold", threshold = var.backup_bucket_gib * 1073741824, missing = "missing"
      }
    },
  )

  backup_alarms = merge(
    {
      backup-failing = {
        description = "The last run of a task of the scheduled backups failed for at least one server."
        namespace   = local.namespace, metric = "arrakis_worker_backup_failing", dimensions = { service = "worker" }
        statistic   = "Maximum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
      }
      backup-overdue = {
        description = "A scheduled backup has been due for two hours without a completed run."
        namespace   = local.namespace, metric = "arrakis_worker_backup_overdue", dimensions = { service = "worker" }
        statistic   = "Maximum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
      }
      backup-damaged = {
        description = "The retention found a damaged backup, snapshot or export."
        namespace   = local.namespace, metric = "arrakis_worker_backup_damaged_total", dimensions = { service = "worker" }
        statistic   = "Sum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
      }
      backup-starts = {
        description = "EventBridge could not start a backup task."
        namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = var.backup_dead_letter_queue }
        statistic   = "Maximum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
      }
    },
    {
      for rule in var.backup_rules : "invocations-${rule}" => {
        description = "EventBridge rule ${rule} could not invoke its target."
        namespace   = "AWS/Events", metric = "FailedInvocations", dimensions = { RuleName = rule }
        statistic   = "Sum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
      }
    },
  )

  application_alarms = {
    event-gap = {
      description = "The ingestor counted a gap: events of Discord were lost. A reconcile repairs their changes."
      namespace   = local.namespace, metric = "arrakis_ingestor_gaps_total", dimensions = { service = "ingestor" }
      statistic   = "Sum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
    }
    shards = {
      description = "No ingestor receives events of Discord."
      namespace   = local.namespace, metric = "arrakis_ingestor_shard_active", dimensions = { service = "ingestor" }
      statistic   = "Maximum", period = 60, periods = 3, comparison = "LessThanThreshold", threshold = 1, missing = "breaching"
    }
    broker-blocked = {
      description = "The broker blocks publishers: memory or disk alarm."
      namespace   = local.namespace, metric = "arrakis_ingestor_broker_blocked", dimensions = { service = "ingestor" }
      statistic   = "Maximum", period = 60, periods = 2, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
    }
    token-refused = {
      description = "Discord refuses the bot token: docs/operating-the-proxy.md."
      namespace   = local.namespace, metric = "arrakis_proxy_token_dead", dimensions = { service = "discord-proxy-1" }
      statistic   = "Maximum", period = 60, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
    }
    invalid-requests = {
      description = "More than 6,000 invalid requests in ten minutes: Discord bans the address at 10,000."
      namespace   = local.namespace, metric = "arrakis_proxy_invalid_requests", dimensions = { service = "discord-proxy-1" }
      statistic   = "Maximum", period = 60, periods = 1, comparison = "GreaterThanThreshold", threshold = 6000, missing = "notBreaching"
    }
    limits-apart = {
      description = "The proxies have been without Redis for 5 minutes: each uses its share of the limits."
      namespace   = local.namespace, metric = "arrakis_proxy_limits_apart", dimensions = { service = "discord-proxy-1" }
      statistic   = "Minimum", period = 60, periods = 5, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
    }
    consuming = {
      description = "A queue is not consumed by at least one worker."
      namespace   = local.namespace, metric = "arrakis_worker_consuming", dimensions = { service = "worker" }
      statistic   = "Minimum", period = 60, periods = 5, comparison = "LessThanThreshold", threshold = 1, missing = "breaching"
    }
    leader = {
      description = "No worker is the leader: timed jobs do not run."
      namespace   = local.namespace, metric = "arrakis_worker_leader", dimensions = { service = "worker" }
      statistic   = "Maximum", period = 60, periods = 5, comparison = "LessThanThreshold", threshold = 1, missing = "breaching"
    }
    sync-age = {
      description = "The last eligibility sync of a token is older than 8 hours; it runs every 6."
      namespace   = local.namespace, metric = "arrakis_worker_eligibility_age_seconds", dimensions = { service = "worker" }
      statistic   = "Maximum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 28800, missing = "notBreaching"
    }
    postgres-breaker = {
      description = "A worker stopped sending to PostgreSQL for a while, since its connections failed."
      namespace   = local.namespace, metric = "arrakis_worker_postgres_breaker_openings_total", dimensions = { service = "worker" }
      statistic   = "Sum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
    }
    panics = {
      description = "A handler of a worker panicked; the message is retried or a dead letter."
      namespace   = local.namespace, metric = "arrakis_worker_panics_total", dimensions = { service = "worker" }
      statistic   = "Sum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
    }
  }

  api_alarms = {
    api-errors = {
      description = "The api answered more than 10 requests of 5 minutes with a status of 500 or more."
      namespace   = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", dimensions = { LoadBalancer = var.load_balancer_arn_suffix }
      statistic   = "Sum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 10, missing = "notBreaching"
    }
    api-unavailable = {
      description = "The load balancer answered more than 10 requests of 5 minutes itself: no task of the api did."
      namespace   = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", dimensions = { LoadBalancer = var.load_balancer_arn_suffix }
      statistic   = "Sum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 10, missing = "notBreaching"
    }
    api-unhealthy = {
      description = "A task of the api is not ready."
      namespace   = "AWS/ApplicationELB", metric = "UnHealthyHostCount", dimensions = { LoadBalancer = var.load_balancer_arn_suffix, TargetGroup = var.target_group_arn_suffix }
      statistic   = "Maximum", period = 60, periods = 5, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
    }
  }

  alarms = merge(
    local.broker_alarms,
    local.service_alarms,
    local.storage_alarms,
    local.backup_alarms,
    local.application_alarms,
    local.api_alarms,
  )

  # Ratios of two metrics.
  ratio_alarms = {
    broker-memory = {
      description = "The broker uses more than 80 % of the memory above which it blocks publishers."
      expression  = "used / limit", comparison = "GreaterThanThreshold", threshold = 0.8, period = 60, periods = 3
      metrics = {
        used  = { namespace = "AWS/AmazonMQ", metric = "RabbitMQMemUsed", dimensions = { Broker = var.broker_name }, statistic = "Maximum" }
        limit = { namespace = "AWS/AmazonMQ", metric = "RabbitMQMemLimit", dimensions = { Broker = var.broker_name }, statistic = "Minimum" }
      }
    }
    broker-disk = {
      description = "The free disk of the broker is less than twice the limit at which it blocks publishers."
      expression  = "free / limit", comparison = "LessThanThreshold", threshold = 2, period = 60, periods = 3
      metrics = {
        free  = { namespace = "AWS/AmazonMQ", metric = "RabbitMQDiskFree", dimensions = { Broker = var.broker_name }, statistic = "Minimum" }
        limit = { namespace = "AWS/AmazonMQ", metric = "RabbitMQDiskFreeLimit", dimensions = { Broker = var.broker_name }, statistic = "Maximum" }
      }
    }
  }

  # Objective: 99.9 % of interactions get a first response within three seconds. A burn rate of 14.4 uses 2 % of the budget of 30 days in an
  # hour, 6 uses 5 % in six hours. The short window ends the alarm soon after the cause.
  objective_budget = 0.001

  burn_windows = {
    fast-long  = { rate = 14.4, period = 3600 }
    fast-short = { rate = 14.4, period = 300 }
    slow-long  = { rate = 6, period = 21600 }
    slow-short = { rate = 6, period = 1800 }
  }
}

data "aws_caller_identity" "current" {}

resource "aws_sns_topic" "this" {
  name              = "${local.name}-alarms"
  kms_master_key_id = var.kms_key_arn
}

data "aws_iam_policy_document" "topic" {
  statement {
    sid       = "AlarmsAndRulesPublish"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }

  # A topic's policy for EventBridge cannot have the condition of the account.
  statement {
    sid       = "BackupFailuresPublish"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [var.backup_failure_rule_arn]
    }
  }
}

resource "aws_sns_topic_policy" "this" {
  arn    = aws_sns_topic.this.arn
  policy = data.aws_iam_policy_document.topic.json
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.emails

  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.description} Runbooks: ${var.runbooks_url}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = each.value.periods
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing
  actions_enabled     = var.enabled
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
}

resource "aws_cloudwatch_metric_alarm" "ratio" {
  for_each = local.ratio_alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.description} Runbooks: ${var.runbooks_url}"
  evaluation_periods  = each.value.periods
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  treat_missing_data  = "missing"
  actions_enabled     = var.enabled
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id          = metric_query.key
      return_data = false

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.metric
        dimensions  = metric_query.value.dimensions
        stat        = metric_query.value.statistic
        period      = each.value.period
      }
    }
  }

  metric_query {
    id          = "ratio"
    expression  = each.value.expression
    label       = each.key
    return_data = true
  }
}

# The windows of the burn rates notify nobody: the two composite alarms do.
resource "aws_cloudwatch_metric_alarm" "burn" {
  #checkov:skip=CKV_AWS_319:The composite alarms have the actions.
  for_each = local.burn_windows

  alarm_name          = "${local.name}-answers-${each.key}"
  alarm_description   = "Share of interactions without a first response in three seconds, over ${each.value.period / 60} minutes."
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.rate * local.objective_budget
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "expired"
    return_data = false

    metric {
      namespace   = local.namespace
      metric_name = "arrakis_worker_interactions_expired_total"
      dimensions  = { service = "worker" }
      stat        = "Sum"
      period      = each.value.period
    }
  }

  metric_query {
    id          = "handled"
    return_data = false

    metric {
      namespace   = local.namespace
      metric_name = "arrakis_worker_interactions_total"
      dimensions  = { service = "worker" }
      stat        = "Sum"
      period      = each.value.period
    }
  }

  metric_query {
    id          = "share"
    expression  = "IF(FILL(handled, 0) + FILL(expired, 0) > 0, FILL(expired, 0) / (FILL(handled, 0) + FILL(expired, 0)), 0)"
    label       = "Share of expired interactions"
    return_data = true
  }
}

resource "aws_cloudwatch_composite_alarm" "burn" {
  for_each = toset(["fast", "slow"])

  alarm_name        = "${local.name}-answers-burn-${each.value}"
  alarm_description = "Interactions expire at a rate that uses up the objective of 99.9 % answered in time. Runbooks: ${var.runbooks_url}"
  alarm_rule        = "ALARM(\"${aws_cloudwatch_metric_alarm.burn["${each.value}-long"].alarm_name}\") AND ALARM(\"${aws_cloudwatch_metric_alarm.burn["${each.value}-short"].alarm_name}\")"
  actions_enabled   = var.enabled
  alarm_actions     = [aws_sns_topic.this.arn]
  ok_actions        = [aws_sns_topic.this.arn]
}
