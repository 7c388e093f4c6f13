locals {
  name = "arrakis-${var.environment}"

  # Each run does everything that is due. The daily rule has the hour of the daily backup, the hourly one the others.
  rules = {
    daily = {
      description = "Daily backups of Discord servers, 03:00 UTC"
      schedule    = "cron(0 3 * * ? *)"
    }
    hourly = {
      description = "Hourly backups of Discord servers, and what was missed"
      schedule    = "cron(0 0-2,4-23 * * ? *)"
    }
  }
}

data "aws_caller_identity" "current" {}

resource "aws_cloudwatch_event_rule" "backup" {
  for_each = local.rules

  name                = "gaib-backup-${each.key}${var.name_suffix}"
  description         = each.value.description
  schedule_expression = each.value.schedule
  state               = var.enabled ? "ENABLED" : "DISABLED"
}

resource "aws_cloudwatch_event_target" "backup" {
  for_each = local.rules

  rule      = aws_cloudwatch_event_rule.backup[each.key].name
  target_id = "backup"
  arn       = var.cluster_arn
  role_arn  = aws_iam_role.events.arn

  ecs_target {
    task_definition_arn     = var.task_definition_arn
    task_count              = 1
    launch_type             = "FARGATE"
    platform_version        = "LATEST"
    propagate_tags          = "TASK_DEFINITION"
    enable_ecs_managed_tags = true

    network_configuration {
      subnets          = var.subnet_ids
      security_groups  = [var.security_group_id]
      assign_public_ip = false
    }
  }

  # The next run catches up what this one missed, so an old start is of no use.
  retry_policy {
    maximum_event_age_in_seconds = 1800
    maximum_retry_attempts       = 5
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }
}

# Starts that EventBridge could not make.
resource "aws_sqs_queue" "dead_letters" {
  name                      = "${local.name}-backup-starts"
  message_retention_seconds = 1209600
  kms_master_key_id         = var.kms_key_arn
}

data "aws_iam_policy_document" "dead_letters" {
  statement {
    sid       = "RulesSend"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.dead_letters.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [for rule in aws_cloudwatch_event_rule.backup : rule.arn]
    }
  }
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy    = data.aws_iam_policy_document.dead_letters.json
}

data "aws_iam_policy_document" "assume" {
  statement {
    sid     = "RulesAssume"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

data "aws_iam_policy_document" "run" {
  # Any revision of this definition, and no other one.
  statement {
    sid       = "RunBackupTask"
    actions   = ["ecs:RunTask"]
    resources = ["${var.task_definition_family_arn}:*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [var.cluster_arn]
    }
  }

  statement {
    sid       = "TagBackupTask"
    actions   = ["ecs:TagResource"]
    resources = ["${replace(var.cluster_arn, ":cluster/", ":task/")}/*"]

    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RunTask"]
    }
  }

  statement {
    sid       = "PassRoles"
    actions   = ["iam:PassRole"]
    resources = var.role_arns

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "events" {
  name               = "${local.name}-backup-schedule"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy" "events" {
  name   = "run-backup"
  role   = aws_iam_role.events.id
  policy = data.aws_iam_policy_document.run.json
}

# A run that failed: its exit code is 1, or the task could not start. The message has the form of a CloudWatch alarm, so that it takes the
# same way to operators.
resource "aws_cloudwatch_event_rule" "failed" {
  name        = "${local.name}-backup-failed"
  description = "Runs of scheduled backups that failed"

  event_pattern = jsonencode({
    source      = ["aws.ecs"]
    detail-type = ["ECS Task State Change"]
    detail = {
      clusterArn = [var.cluster_arn]
      lastStatus = ["STOPPED"]
      group      = ["family:${var.family}"]
      "$or" = [
        { containers = { exitCode = [{ "anything-but" = [0] }] } },
        { stopCode = ["TaskFailedToStart"] },
      ]
    }
  })
}

resource "aws_cloudwatch_event_target" "failed" {
  rule      = aws_cloudwatch_event_rule.failed.name
  target_id = "operators"
  arn       = var.topic_arn

  input_transformer {
    input_paths = {
      reason = "$.detail.stoppedReason"
      task   = "$.detail.taskArn"
    }

    input_template = <<-JSON
      {"AlarmName": "${local.name}-backup-failed", "NewStateValue": "ALARM", "NewStateReason": "A run of the scheduled backups failed: <reason>", "AlarmDescription": "Task <task>. Log group ${var.log_group_name}. arrakis-worker backup status shows the last run of each server."}
    JSON
  }
}
