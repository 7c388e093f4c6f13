# One page: what members notice first, then each part. The Grafana dashboards have more.

locals {
  # Rows of widgets: title, metrics, statistic. Each metric is namespace, name, then pairs of dimensions, as CloudWatch writes them.
  widgets = [
    {
      title     = "Messages in queues (ready and unacknowledged)"
      statistic = "Maximum"
      metrics   = [for queue in concat(var.queues, ["arrakis.dlq", "arrakis.unrouted"]) : ["AWS/AmazonMQ", "MessageCount", "Broker", var.broker_name, "VirtualHost", "/", "Queue", queue]]
    },
    {
      title     = "Interactions, and those that expired"
      statistic = "Sum"
      metrics = [
        [local.namespace, "arrakis_worker_interactions_total", "service", "worker"],
        [local.namespace, "arrakis_worker_interactions_expired_total", "service", "worker"],
        [local.namespace, "arrakis_worker_answers_too_late_total", "service", "worker"],
      ]
    },
    {
      title     = "Events published, gaps"
      statistic = "Sum"
      metrics = [
        [local.namespace, "arrakis_ingestor_events_total", "service", "ingestor"],
        [local.namespace, "arrakis_ingestor_gaps_total", "service", "ingestor"],
      ]
    },
    {
      title     = "Tasks"
      statistic = "Minimum"
      metrics   = [for name, service in var.services : ["ECS/ContainerInsights", "RunningTaskCount", "ClusterName", var.cluster_name, "ServiceName", service.name]]
    },
    {
      title     = "CPU of tasks, %"
      statistic = "Average"
      metrics   = [for name, service in var.services : ["AWS/ECS", "CPUUtilization", "ClusterName", var.cluster_name, "ServiceName", service.name]]
    },
    {
      title     = "Memory of tasks, %"
      statistic = "Maximum"
      metrics   = [for name, service in var.services : ["AWS/ECS", "MemoryUtilization", "ClusterName", var.cluster_name, "ServiceName", service.name]]
    },
    {
      title     = "Proxy: invalid requests in ten minutes"
      statistic = "Maximum"
      metrics = [
        [local.namespace, "arrakis_proxy_invalid_requests", "service", "discord-proxy-1"],
        [local.namespace, "arrakis_proxy_invalid_requests", "service", "discord-proxy-2"],
      ]
    },
    {
      title     = "PostgreSQL: connections, CPU %"
      statistic = "Maximum"
      metrics = [
        ["AWS/RDS", "DatabaseConnections", "DBInstanceIdentifier", var.database_instance_id],
        ["AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", var.database_instance_id],
      ]
    },
    {
      title     = "Redis: memory %"
      statistic = "Maximum"
      metrics   = [for id in var.cache_member_ids : ["AWS/ElastiCache", "DatabaseMemoryUsagePercentage", "CacheClusterId", id]]
    },
    {
      title     = "Broker: CPU %, connections"
      statistic = "Maximum"
      metrics = [
        ["AWS/AmazonMQ", "SystemCpuUtilization", "Broker", var.broker_name],
        ["AWS/AmazonMQ", "ConnectionCount", "Broker", var.broker_name],
      ]
    },
    {
      title     = "Api: requests, errors"
      statistic = "Sum"
      metrics = [
        ["AWS/ApplicationELB", "RequestCount", "LoadBalancer", var.load_balancer_arn_suffix],
        ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "LoadBalancer", var.load_balancer_arn_suffix],
      ]
    },
    {
      title     = "Scheduled backups: servers overdue, failing"
      statistic = "Maximum"
      metrics = [
        [local.namespace, "arrakis_worker_backup_overdue", "service", "worker"],
        [local.namespace, "arrakis_worker_backup_failing", "service", "worker"],
      ]
    },
  ]
}

data "aws_region" "current" {}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.name

  dashboard_body = jsonencode({
    widgets = [
      for index, widget in local.widgets : {
        type   = "metric"
        x      = 8 * (index % 3)
        y      = 6 * floor(index / 3)
        width  = 8
        height = 6
        properties = {
          title   = widget.title
          region  = data.aws_region.current.region
          view    = "timeSeries"
          period  = 60
          stat    = widget.statistic
          metrics = widget.metrics
        }
      }
    ]
  })
}
