locals {
  name      = "arrakis-${var.environment}"
  namespace = var.metrics_namespace

  # Alarms on metrics of AWS, which Prometheus does not have; and, on the services' own metrics, those that wake somebody and those of backups, as a
  # second way beside the alerts of Prometheus. All other alerts are only in deploy/prometheus/rules.
  #
  # Alarms on one metric each. To add one: an entry here. `missing`: what a missing data point means. Descriptions have no quotation marks,
  # since they are put into JSON on the way to Discord.
  broker_alarms = merge(
    {
      dead-letters = {
        description = "Messages are in arrakis.dlq: they are not retried any more. List them by arrakis-worker dead-letters."
        runbook     = "dead-letters"
        namespace   = "AWS/AmazonMQ", metric = "MessageCount", dimensions = { Broker = var.broker_name, VirtualHost = "/", Queue = "arrakis.dlq" }
        statistic   = "Maximum", period = 60, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
      }
      unrouted = {
        description = "Events are in arrakis.unrouted: no queue is bound for them."
        runbook     = "unrouted"
        namespace   = "AWS/AmazonMQ", metric = "MessageCount", dimensions = { Broker = var.broker_name, VirtualHost = "/", Queue = "arrakis.unrouted" }
        statistic   = "Maximum", period = 60, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
      }
      broker-connections = {
        description = "No service is connected to the broker, or the broker is unavailable."
        runbook     = "component-down"
        namespace   = "AWS/AmazonMQ", metric = "ConnectionCount", dimensions = { Broker = var.broker_name }
        statistic   = "Maximum", period = 60, periods = 3, comparison = "LessThanThreshold", threshold = 1, missing = "breaching"
      }
      broker-cpu = {
        description = "The broker has used more than 80 % of its CPU for 15 minutes."
        runbook     = "component-down"
        namespace   = "AWS/AmazonMQ", metric = "SystemCpuUtilization", dimensions = { Broker = var.broker_name }
        statistic   = "Average", period = 300, periods = 3, comparison = "GreaterThanThreshold", threshold = 80, missing = "missing"
      }
    },
    {
      for queue in var.queues : "queue-depth-${replace(queue, ".", "-")}" => {
        description = "More than ${var.ready_messages} messages have waited in ${queue} for 5 minutes: workers do not keep up, or do not consume."
        runbook     = "queue-depth"
        namespace   = "AWS/AmazonMQ", metric = "MessageReadyCount", dimensions = { Broker = var.broker_name, VirtualHost = "/", Queue = queue }
        statistic   = "Minimum", period = 60, periods = 5, comparison = "GreaterThanThreshold", threshold = var.ready_messages, missing = "notBreaching"
      }
    },
  )

  service_alarms = merge([
    for name, service in var.services : {
      "service-down-${name}" = {
        description = "Fewer than ${service.tasks} tasks of ${name} run."
        runbook     = "service-down"
        namespace   = "ECS/ContainerInsights", metric = "RunningTaskCount", dimensions = { ClusterName = var.cluster_name, ServiceName = service.name }
        statistic   = "Minimum", period = 60, periods = 5, comparison = "LessThanThreshold", threshold = service.tasks, missing = "breaching"
      }
      "cpu-${name}" = {
        description = "The tasks of ${name} have used more than 85 % of their CPU for 15 minutes."
        runbook     = "capacity"
        namespace   = "AWS/ECS", metric = "CPUUtilization", dimensions = { ClusterName = var.cluster_name, ServiceName = service.name }
        statistic   = "Average", period = 300, periods = 3, comparison = "GreaterThanThreshold", threshold = 85, missing = "missing"
      }
      "memory-${name}" = {
        description = "The tasks of ${name} use more than 85 % of their memory."
        runbook     = "memory"
        namespace   = "AWS/ECS", metric = "MemoryUtilization", dimensions = { ClusterName = var.cluster_name, ServiceName = service.name }
        statistic   = "Maximum", period = 300, periods = 2, comparison = "GreaterThanThreshold", threshold = 85, missing = "missing"
      }
    }
  ]...)

  storage_alarms = merge(
    {
      database-cpu = {
        description = "PostgreSQL has used more than 85 % of its CPU for 15 minutes."
        runbook     = "capacity"
        namespace   = "AWS/RDS", metric = "CPUUtilization", dimensions = { DBInstanceIdentifier = var.database_instance_id }
        statistic   = "Average", period = 300, periods = 3, comparison = "GreaterThanThreshold", threshold = 85, missing = "breaching"
      }
      database-storage = {
        description = "Less than 5 GiB of the disk of PostgreSQL are free."
        runbook     = "capacity"
        namespace   = "AWS/RDS", metric = "FreeStorageSpace", dimensions = { DBInstanceIdentifier = var.database_instance_id }
        statistic   = "Minimum", period = 300, periods = 1, comparison = "LessThanThreshold", threshold = 5368709120, missing = "missing"
      }
      database-connections = {
        description = "More than ${var.database_connections} connections to PostgreSQL are open."
        runbook     = "postgres-breaker"
        namespace   = "AWS/RDS", metric = "DatabaseConnections", dimensions = { DBInstanceIdentifier = var.database_instance_id }
        statistic   = "Maximum", period = 60, periods = 5, comparison = "GreaterThanThreshold", threshold = var.database_connections, missing = "missing"
      }
    },
    merge([
      for id in var.cache_member_ids : {
        "cache-cpu-${id}" = {
          description = "Redis node ${id} has used more than 80 % of its CPU for 10 minutes."
          runbook     = "capacity"
          namespace   = "AWS/ElastiCache", metric = "EngineCPUUtilization", dimensions = { CacheClusterId = id }
          statistic   = "Average", period = 300, periods = 2, comparison = "GreaterThanThreshold", threshold = 80, missing = "breaching"
        }
        "cache-memory-${id}" = {
          description = "Redis node ${id} uses more than 75 % of its memory: when it is full, writes fail and limits fall back to each replica."
          runbook     = "redis-unavailable"
          namespace   = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", dimensions = { CacheClusterId = id }
          statistic   = "Maximum", period = 60, periods = 5, comparison = "GreaterThanThreshold", threshold = 75, missing = "missing"
        }
      }
    ]...),
    {
      backup-bucket-size = {
        description = "The bucket of backups is larger than ${var.backup_bucket_gib} GiB: compare the growth with the number of servers."
        runbook     = "capacity"
        namespace   = "AWS/S3", metric = "BucketSizeBytes", dimensions = { BucketName = var.backup_bucket, StorageType = "StandardStorage" }
        statistic   = "Maximum", period = 86400, periods = 1, comparison = "GreaterThanThreshold", threshold = var.backup_bucket_gib * 1073741824, missing = "missing"
      }
    },
  )

  backup_alarms = merge(
    {
      backup-failing = {
        description = "The last run of a task of the scheduled backups failed for at least one server."
        runbook     = "backup-failing"
        namespace   = local.namespace, metric = "arrakis_worker_backup_failing", dimensions = { service = "worker" }
        statistic   = "Maximum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
      }
      backup-overdue = {
        description = "A scheduled backup has been due for two hours without a completed run."
        runbook     = "backup-overdue"
        namespace   = local.namespace, metric = "arrakis_worker_backup_overdue", dimensions = { service = "worker" }
        statistic   = "Maximum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
      }
      backup-damaged = {
        description = "The retention found a damaged backup, snapshot or export."
        runbook     = "backup-damaged"
        namespace   = local.namespace, metric = "arrakis_worker_backup_damaged_total", dimensions = { service = "worker" }
        statistic   = "Sum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
      }
      backup-starts = {
        description = "EventBridge could not start a backup task."
        runbook     = "backup-overdue"
        namespace   = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = var.backup_dead_letter_queue }
        statistic   = "Maximum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
      }
    },
    {
      for rule in var.backup_rules : "invocations-${rule}" => {
        description = "EventBridge rule ${rule} could not invoke its target."
        runbook     = "backup-overdue"
        namespace   = "AWS/Events", metric = "FailedInvocations", dimensions = { RuleName = rule }
        statistic   = "Sum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
      }
    },
  )

  # Interactions only: events may wait for minutes, and the depth of their queues is watched.
  queue_age_alarms = {
    for queue in var.queues : "queue-age-${replace(queue, ".", "-")}" => {
      description = "The first message of ${queue} is older than the three seconds in which Discord waits for a response."
      runbook     = "queue-age"
      namespace   = local.namespace, metric = "arrakis_worker_queue_oldest_age_seconds", dimensions = { service = "worker", queue = queue }
      statistic   = "Minimum", period = 60, periods = 2, comparison = "GreaterThanThreshold", threshold = 3, missing = "notBreaching"
    } if strcontains(queue, ".interactions.")
  }

  application_alarms = {
    kill-switch = {
      description = "The kill switch is on: nothing is written to Discord."
      runbook     = "kill-switch"
      namespace   = local.namespace, metric = "arrakis_proxy_kill_switch_on", dimensions = { service = "discord-proxy-1" }
      statistic   = "Maximum", period = 60, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
    }
    anchor-mismatch = {
      description = "The chain of identity events differs from its anchor: events were removed or changed."
      runbook     = "anchor-mismatch"
      namespace   = local.namespace, metric = "arrakis_worker_chain_anchor_mismatch", dimensions = { service = "worker" }
      statistic   = "Maximum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
    }
    shards = {
      description = "No ingestor receives events of Discord."
      runbook     = "shards"
      namespace   = local.namespace, metric = "arrakis_ingestor_shard_active", dimensions = { service = "ingestor" }
      statistic   = "Maximum", period = 60, periods = 3, comparison = "LessThanThreshold", threshold = 1, missing = "breaching"
    }
    broker-blocked = {
      description = "The broker blocks publishers: memory or disk alarm."
      runbook     = "broker-blocked"
      namespace   = local.namespace, metric = "arrakis_ingestor_broker_blocked", dimensions = { service = "ingestor" }
      statistic   = "Maximum", period = 60, periods = 2, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
    }
    token-refused = {
      description = "Discord refuses the bot token: docs/operating-the-proxy.md."
      runbook     = "token-refused"
      namespace   = local.namespace, metric = "arrakis_proxy_token_dead", dimensions = { service = "discord-proxy-1" }
      statistic   = "Maximum", period = 60, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
    }
    invalid-requests = {
      description = "More than 6,000 invalid requests in ten minutes: Discord bans the address at 10,000."
      runbook     = "invalid-requests"
      namespace   = local.namespace, metric = "arrakis_proxy_invalid_requests", dimensions = { service = "discord-proxy-1" }
      statistic   = "Maximum", period = 60, periods = 1, comparison = "GreaterThanThreshold", threshold = 6000, missing = "notBreaching"
    }
    consuming = {
      description = "A queue is not consumed by at least one worker."
      runbook     = "consuming"
      namespace   = local.namespace, metric = "arrakis_worker_consuming", dimensions = { service = "worker" }
      statistic   = "Minimum", period = 60, periods = 5, comparison = "LessThanThreshold", threshold = 1, missing = "breaching"
    }
    leader = {
      description = "No worker is the leader: timed jobs do not run."
      runbook     = "leader"
      namespace   = local.namespace, metric = "arrakis_worker_leader", dimensions = { service = "worker" }
      statistic   = "Maximum", period = 60, periods = 5, comparison = "LessThanThreshold", threshold = 1, missing = "breaching"
    }
  }

  # Of the service for interactions by HTTP, where it runs. The other outcome of interactions-refused, signature, is counted by Prometheus only.
  interactions_alarms = {
    for outcome, alarm in {
      timestamp   = { name = "interactions-refused", description = "Interactions by HTTP are refused for their time: the clock of the tasks is wrong." }
      unavailable = { name = "interactions-unavailable", description = "Interactions by HTTP were refused, since the broker did not confirm them in time." }
      } : alarm.name => {
      description = alarm.description
      runbook     = alarm.name
      namespace   = local.namespace, metric = "arrakis_interactions_requests_total", dimensions = { service = "interactions", outcome = outcome }
      statistic   = "Sum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 10, missing = "notBreaching"
    } if contains(keys(var.services), "interactions")
  }

  prometheus_alarms = {
    prometheus-notifications = {
      description = "Alerts of Prometheus could not be published to the topic of alarms."
      runbook     = "alarms-undelivered"
      namespace   = "AWS/Prometheus", metric = "AlertManagerNotificationsFailed", dimensions = { Workspace = var.prometheus_workspace_id }
      statistic   = "Sum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
    }
  }

  api_alarms = {
    api-errors = {
      description = "The api answered more than 10 requests of 5 minutes with a status of 500 or more."
      runbook     = "api-errors"
      namespace   = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", dimensions = { LoadBalancer = var.load_balancer_arn_suffix }
      statistic   = "Sum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 10, missing = "notBreaching"
    }
    api-unavailable = {
      description = "The load balancer answered more than 10 requests of 5 minutes itself: no task of the api did."
      runbook     = "service-down"
      namespace   = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", dimensions = { LoadBalancer = var.load_balancer_arn_suffix }
      statistic   = "Sum", period = 300, periods = 1, comparison = "GreaterThanThreshold", threshold = 10, missing = "notBreaching"
    }
    api-unhealthy = {
      description = "A task of the api is not ready."
      runbook     = "component-down"
      namespace   = "AWS/ApplicationELB", metric = "UnHealthyHostCount", dimensions = { LoadBalancer = var.load_balancer_arn_suffix, TargetGroup = var.target_group_arn_suffix }
      statistic   = "Maximum", period = 60, periods = 5, comparison = "GreaterThanThreshold", threshold = 0, missing = "notBreaching"
    }
  }

  alarms = merge(
    local.broker_alarms,
    local.service_alarms,
    local.storage_alarms,
    local.backup_alarms,
    local.queue_age_alarms,
    local.application_alarms,
    local.api_alarms,
    local.interactions_alarms,
    local.prometheus_alarms,
  )

  # Comparisons of two metrics.
  ratio_alarms = {
    kill-switch-differs = {
      description = "The kill switch is on at one proxy and off at the other."
      runbook     = "kill-switch-differs"
      expression  = "ABS(first - second)", comparison = "GreaterThanThreshold", threshold = 0, period = 60, periods = 2
      metrics = {
        first  = { namespace = local.namespace, metric = "arrakis_proxy_kill_switch_on", dimensions = { service = "discord-proxy-1" }, statistic = "Minimum" }
        second = { namespace = local.namespace, metric = "arrakis_proxy_kill_switch_on", dimensions = { service = "discord-proxy-2" }, statistic = "Minimum" }
      }
    }
    broker-memory = {
      description = "The broker uses more than 80 % of the memory above which it blocks publishers."
      runbook     = "broker-blocked"
      expression  = "used / limit", comparison = "GreaterThanThreshold", threshold = 0.8, period = 60, periods = 3
      metrics = {
        used  = { namespace = "AWS/AmazonMQ", metric = "RabbitMQMemUsed", dimensions = { Broker = var.broker_name }, statistic = "Maximum" }
        limit = { namespace = "AWS/AmazonMQ", metric = "RabbitMQMemLimit", dimensions = { Broker = var.broker_name }, statistic = "Minimum" }
      }
    }
    broker-disk = {
      description = "The free disk of the broker is less than twice the limit at which it blocks publishers."
      runbook     = "broker-blocked"
      expression  = "free / limit", comparison = "LessThanThreshold", threshold = 2, period = 60, periods = 3
      metrics = {
        free  = { namespace = "AWS/AmazonMQ", metric = "RabbitMQDiskFree", dimensions = { Broker = var.broker_name }, statistic = "Minimum" }
        limit = { namespace = "AWS/AmazonMQ", metric = "RabbitMQDiskFreeLimit", dimensions = { Broker = var.broker_name }, statistic = "Maximum" }
      }
    }
  }

  # Objectives over 30 days: 99.9 % of interactions get a first response within three seconds, 99.99 % of events are not lost. A burn rate of 14.4 uses
  # 2 % of the budget in an hour. The short window ends the alarm soon after the cause. Dead letters have an alarm of their own; the slow rates are
  # alerts of Prometheus.
  objectives = {
    answers = { service = "worker", bad = "arrakis_worker_interactions_expired_total", all = "arrakis_worker_interactions_total", budget = 0.001, what = "Interactions expire" }
    events  = { service = "ingestor", bad = "arrakis_ingestor_gaps_total", all = "arrakis_ingestor_events_received_total", budget = 0.0001, what = "Events are lost" }
  }

  burn_windows = {
    fast-long  = { rate = 14.4, period = 3600 }
    fast-short = { rate = 14.4, period = 300 }
  }

  burns = merge([
    for objective in keys(local.objectives) : {
      for window in keys(local.burn_windows) : "${objective}-${window}" => { objective = objective, window = window }
    }
  ]...)
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

  statement {
    sid       = "PrometheusPublishes"
    actions   = ["sns:GetTopicAttributes", "sns:Publish"]
    resources = [aws_sns_topic.this.arn]

    principals {
      type        = "Service"
      identifiers = ["aps.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [var.prometheus_workspace_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
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
  alarm_description   = "${each.value.description} Runbook: ${var.runbooks_url}/${each.value.runbook}.md"
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
  alarm_description   = "${each.value.description} Runbook: ${var.runbooks_url}/${each.value.runbook}.md"
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

# The windows of the burn rates notify nobody: the composite alarms do.
resource "aws_cloudwatch_metric_alarm" "burn" {
  #checkov:skip=CKV_AWS_319:The composite alarms have the actions.
  for_each = local.burns

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${local.objectives[each.value.objective].what}: share over ${local.burn_windows[each.value.window].period / 60} minutes."
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.burn_windows[each.value.window].rate * local.objectives[each.value.objective].budget
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "bad"
    return_data = false

    metric {
      namespace   = local.namespace
      metric_name = local.objectives[each.value.objective].bad
      dimensions  = { service = local.objectives[each.value.objective].service }
      stat        = "Sum"
      period      = local.burn_windows[each.value.window].period
    }
  }

  metric_query {
    id          = "all"
    return_data = false

    metric {
      namespace   = local.namespace
      metric_name = local.objectives[each.value.objective].all
      dimensions  = { service = local.objectives[each.value.objective].service }
      stat        = "Sum"
      period      = local.burn_windows[each.value.window].period
    }
  }

  metric_query {
    id          = "share"
    expression  = "IF(FILL(all, 0) + FILL(bad, 0) > 0, FILL(bad, 0) / (FILL(all, 0) + FILL(bad, 0)), 0)"
    label       = "Share of what the objective excludes"
    return_data = true
  }
}

resource "aws_cloudwatch_composite_alarm" "burn" {
  for_each = { for objective in keys(local.objectives) : "${objective}-burn-fast" => "${objective}-fast" }

  alarm_name        = "${local.name}-${each.key}"
  alarm_description = "${local.objectives[split("-", each.value)[0]].what} at a rate that uses up the budget of the objective. Runbook: ${var.runbooks_url}/${each.key}.md"
  alarm_rule        = "ALARM(\"${aws_cloudwatch_metric_alarm.burn["${each.value}-long"].alarm_name}\") AND ALARM(\"${aws_cloudwatch_metric_alarm.burn["${each.value}-short"].alarm_name}\")"
  actions_enabled   = var.enabled
  alarm_actions     = [aws_sns_topic.this.arn]
  ok_actions        = [aws_sns_topic.this.arn]
}
