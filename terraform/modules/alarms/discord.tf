# From the topic to the webhook of a Discord channel: SNS → SQS → EventBridge Pipes → API destination. No program of ours and no Lambda takes
# part, so that an alarm about the platform does not need the platform. Reasons: docs/decisions/0072-alarms-reach-discord-by-a-pipe.md.

locals {
  discord_count = var.discord_webhook_secret_arn == null ? 0 : 1
}

# An API destination needs its address when it is created; it is in the encrypted state.
data "aws_secretsmanager_secret_version" "webhook" {
  count = local.discord_count

  secret_id = var.discord_webhook_secret_arn
}

resource "aws_sqs_queue" "discord" {
  count = local.discord_count

  name                       = "${local.name}-alarms-discord"
  message_retention_seconds  = 86400
  visibility_timeout_seconds = 60
  kms_master_key_id          = var.kms_key_arn

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.discord_dead_letters[0].arn
    maxReceiveCount     = 10
  })
}

resource "aws_sqs_queue" "discord_dead_letters" {
  count = local.discord_count

  name                      = "${local.name}-alarms-discord-dead-letters"
  message_retention_seconds = 1209600
  kms_master_key_id         = var.kms_key_arn
}

data "aws_iam_policy_document" "discord_queue" {
  count = local.discord_count

  statement {
    sid       = "TopicSends"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.discord[0].arn]

    principals {
      type        = "Service"
      identifiers = ["sns.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_sns_topic.this.arn]
    }
  }
}

resource "aws_sqs_queue_policy" "discord" {
  count = local.discord_count

  queue_url = aws_sqs_queue.discord[0].id
  policy    = data.aws_iam_policy_document.discord_queue[0].json
}

# Only messages in the form of an alarm: the template below names their fields.
resource "aws_sns_topic_subscription" "discord" {
  count = local.discord_count

  topic_arn            = aws_sns_topic.this.arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.discord[0].arn
  raw_message_delivery = true
  filter_policy_scope  = "MessageBody"

  filter_policy = jsonencode({
    AlarmName        = [{ exists = true }]
    AlarmDescription = [{ exists = true }]
    NewStateValue    = ["ALARM", "OK"]
    NewStateReason   = [{ exists = true }]
  })
}

# A webhook authenticates by its address; a connection needs a header all the same.
resource "aws_cloudwatch_event_connection" "discord" {
  count = local.discord_count

  name               = "${local.name}-alarms-discord"
  description        = "Webhook of a Discord channel: its address is its authentication"
  authorization_type = "API_KEY"

  auth_parameters {
    api_key {
      key   = "X-Alarm-Source"
      value = local.name
    }
  }
}

resource "aws_cloudwatch_event_api_destination" "discord" {
  count = local.discord_count

  name                             = "${local.name}-alarms-discord"
  description                      = "Webhook of the operators' channel"
  connection_arn                   = aws_cloudwatch_event_connection.discord[0].arn
  invocation_endpoint              = trimspace(data.aws_secretsmanager_secret_version.webhook[0].secret_string)
  http_method                      = "POST"
  invocation_rate_limit_per_second = 1
}

data "aws_iam_policy_document" "pipe_assume" {
  statement {
    sid     = "PipesAssume"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["pipes.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

data "aws_iam_policy_document" "pipe" {
  count = local.discord_count

  statement {
    sid       = "ReceiveAlarms"
    actions   = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    resources = [aws_sqs_queue.discord[0].arn]
  }

  statement {
    sid       = "DecryptAlarms"
    actions   = ["kms:Decrypt"]
    resources = [var.kms_key_arn]
  }

  statement {
    sid       = "CallWebhook"
    actions   = ["events:InvokeApiDestination"]
    resources = [aws_cloudwatch_event_api_destination.discord[0].arn]
  }
}

resource "aws_iam_role" "pipe" {
  count = local.discord_count

  name               = "${local.name}-alarms-discord"
  assume_role_policy = data.aws_iam_policy_document.pipe_assume.json
}

resource "aws_iam_role_policy" "pipe" {
  count = local.discord_count

  name   = "pipe"
  role   = aws_iam_role.pipe[0].id
  policy = data.aws_iam_policy_document.pipe[0].json
}

resource "aws_pipes_pipe" "discord" {
  count = local.discord_count

  name        = "${local.name}-alarms-discord"
  description = "Alarms to the webhook of the operators' channel"
  role_arn    = aws_iam_role.pipe[0].arn
  source      = aws_sqs_queue.discord[0].arn
  target      = aws_cloudwatch_event_api_destination.discord[0].arn

  source_parameters {
    sqs_queue_parameters {
      batch_size = 1
    }
  }

  # allowed_mentions: no text of an alarm mentions anybody. Limits of Discord: title 256 characters, description 4,096; the reason of an
  # alarm has at most 1,023, its description 1,024.
  target_parameters {
    input_template = <<-JSON
      {
        "username": "Alarms ${local.name}",
        "allowed_mentions": {"parse": []},
        "embeds": [{
          "title": "<$.body.NewStateValue>: <$.body.AlarmName>",
          "description": "<$.body.AlarmDescription>",
          "footer": {"text": "<$.body.NewStateReason>"}
        }]
      }
    JSON
  }

  depends_on = [aws_iam_role_policy.pipe]
}

# An alarm that could not be shown in Discord still goes to the e-mail addresses, and so does this alarm.
resource "aws_cloudwatch_metric_alarm" "discord" {
  count = local.discord_count

  alarm_name          = "${local.name}-alarms-undelivered"
  alarm_description   = "An alarm could not be delivered to Discord: check the webhook. Runbook: ${var.runbooks_url}/alarms-undelivered.md"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.discord_dead_letters[0].name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  actions_enabled     = var.enabled
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
}
