# Amazon Managed Service for Prometheus: the workspace to which the collectors of the tasks push, the rules of deploy/prometheus, and the way of
# their alerts to the topic of operational alarms.

locals {
  name     = "arrakis-${var.environment}"
  endpoint = trimsuffix(aws_prometheus_workspace.this.prometheus_endpoint, "/")

  # A notification has the fields of an alarm of CloudWatch, which the way to Discord names. It is a template of Alertmanager: texts in it are in
  # back quotes, since quotation marks would be escaped as JSON. Values of labels are reduced to characters that JSON does not escape.
  message = jsonencode({
    AlarmName        = "${local.name}-{{ .GroupLabels.alertname }}"
    AlarmDescription = "{{ (index .Alerts 0).Annotations.summary }} Runbook: ${var.runbooks_url}/{{ .GroupLabels.alertname }}.md"
    NewStateValue    = "{{ if eq .Status `firing` }}ALARM{{ else }}OK{{ end }}"
    NewStateReason   = "Prometheus, severity {{ .CommonLabels.severity }}{{ range $index, $alert := .Alerts }}{{ if lt $index 10 }}; {{ $alert.Status }}{{ range ($alert.Labels.Remove (stringSlice `alertname` `severity`)).SortedPairs }} {{ .Name }}={{ reReplaceAll `[^A-Za-z0-9_.,:/ -]` `?` .Value }}{{ end }}{{ end }}{{ end }}"
  })

  # Who gets what is decided by the subscriptions of the topic. Intervals as in deploy/prometheus/alertmanager.yaml.
  alertmanager = {
    route = {
      receiver        = "topic"
      group_by        = ["alertname"]
      group_wait      = "30s"
      group_interval  = "5m"
      repeat_interval = "12h"
      routes = [
        { receiver = "topic", matchers = ["severity = page"], group_wait = "10s", repeat_interval = "1h" },
        { receiver = "topic", matchers = ["severity = info"], group_wait = "30s", repeat_interval = "3d" },
      ]
    }

    inhibit_rules = var.inhibit_rules

    receivers = [{
      name = "topic"
      sns_configs = var.enabled ? [{
        topic_arn     = var.topic_arn
        sigv4         = { region = data.aws_region.current.region }
        send_resolved = true
        subject       = "{{ .Status }}: ${local.name}-{{ .GroupLabels.alertname }}"
        message       = local.message
      }] : []
    }]
  }
}

data "aws_region" "current" {}

# Failed evaluations of rules and failed notifications.
resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/vendedlogs/prometheus/${local.name}"
  kms_key_id        = var.kms_key_arn
  retention_in_days = var.log_retention_days
}

resource "aws_prometheus_workspace" "this" {
  alias = local.name

  logging_configuration {
    log_group_arn = "${aws_cloudwatch_log_group.this.arn}:*"
  }

  tags = { Name = local.name }
}

resource "aws_prometheus_rule_group_namespace" "this" {
  for_each = var.rules

  workspace_id = aws_prometheus_workspace.this.id
  name         = each.key
  data         = each.value
}

resource "aws_prometheus_alert_manager_definition" "this" {
  workspace_id = aws_prometheus_workspace.this.id
  definition   = yamlencode({ alertmanager_config = yamlencode(local.alertmanager) })
}

# For what drives a canary.
data "aws_iam_policy_document" "query" {
  statement {
    sid       = "QueryMetrics"
    actions   = ["aps:QueryMetrics"]
    resources = [aws_prometheus_workspace.this.arn]
  }
}

# For Grafana.
data "aws_iam_policy_document" "dashboards" {
  statement {
    sid       = "ReadMetrics"
    actions   = ["aps:GetLabels", "aps:GetMetricMetadata", "aps:GetSeries", "aps:QueryMetrics"]
    resources = [aws_prometheus_workspace.this.arn]
  }
}
