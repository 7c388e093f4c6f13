locals {
  name = "arrakis-${var.environment}-${var.name}"

  # One metric for each queue. Unacknowledged messages count: with ready ones only, busy workers would be removed.
  queue_metrics = { for index, queue in var.queues : "q${index}" => queue }
  backlog       = join(" + ", [for id in sort(keys(local.queue_metrics)) : "FILL(${id}, 0)"])
  per_task      = "(${local.backlog}) / IF(FILL(tasks, 0) > 0, tasks, 1)"
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${var.cluster_name}/${var.service_name}"
  min_capacity       = var.min_tasks
  max_capacity       = var.max_tasks
}

# Raises a service that has fewer tasks than the minimum: at the first start, when no metric exists yet, and after a manual change.
resource "aws_appautoscaling_scheduled_action" "minimum" {
  name               = "${local.name}-minimum"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id
  schedule           = "rate(5 minutes)"

  scalable_target_action {
    min_capacity = var.min_tasks
    max_capacity = var.max_tasks
  }
}

resource "aws_appautoscaling_policy" "backlog" {
  name               = "${local.name}-backlog"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.backlog_per_task
    scale_out_cooldown = 30
    scale_in_cooldown  = 300

    customized_metric_specification {
      dynamic "metrics" {
        for_each = local.queue_metrics

        content {
          id          = metrics.key
          return_data = false

          metric_stat {
            stat = "Maximum"

            metric {
              namespace   = "AWS/AmazonMQ"
              metric_name = "MessageCount"

              dimensions {
                name  = "Broker"
                value = var.broker_name
              }

              dimensions {
                name  = "VirtualHost"
                value = "/"
              }

              dimensions {
                name  = "Queue"
                value = metrics.value
              }
            }
          }
        }
      }

      metrics {
        id          = "tasks"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"

            dimensions {
              name  = "ClusterName"
              value = var.cluster_name
            }

            dimensions {
              name  = "ServiceName"
              value = var.service_name
            }
          }
        }
      }

      metrics {
        id          = "backlog"
        expression  = local.per_task
        label       = "Messages per task"
        return_data = true
      }
    }
  }
}

# Target tracking waits for three data points. A burst doubles the tasks after the first one.
resource "aws_appautoscaling_policy" "burst" {
  name               = "${local.name}-burst"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  step_scaling_policy_configuration {
    adjustment_type          = "PercentChangeInCapacity"
    cooldown                 = 60
    metric_aggregation_type  = "Maximum"
    min_adjustment_magnitude = 2

    step_adjustment {
      metric_interval_lower_bound = 0
      scaling_adjustment          = 100
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "burst" {
  #checkov:skip=CKV_AWS_319:The action of this alarm is the scaling policy, not a notification.
  alarm_name          = "${local.name}-burst"
  alarm_description   = "More than ${var.backlog_per_task * 5} messages per task of ${var.name}: the number of tasks is doubled. No action is needed."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.backlog_per_task * 5
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.burst.arn]

  dynamic "metric_query" {
    for_each = local.queue_metrics

    content {
      id          = metric_query.key
      return_data = false

      metric {
        namespace   = "AWS/AmazonMQ"
        metric_name = "MessageCount"
        stat        = "Maximum"
        period      = 60

        dimensions = {
          Broker      = var.broker_name
          VirtualHost = "/"
          Queue       = metric_query.value
        }
      }
    }
  }

  metric_query {
    id          = "tasks"
    return_data = false

    metric {
      namespace   = "ECS/ContainerInsights"
      metric_name = "RunningTaskCount"
      stat        = "Average"
      period      = 60

      dimensions = {
        ClusterName = var.cluster_name
        ServiceName = var.service_name
      }
    }
  }

  metric_query {
    id          = "backlog"
    expression  = local.per_task
    label       = "Messages per task"
    return_data = true
  }
}
