locals {
  name = "arrakis-${var.environment}"
}

data "aws_caller_identity" "current" {}

resource "aws_security_group" "this" {
  name        = "${local.name}-load-balancer"
  description = "HTTPS from the internet to the api"
  vpc_id      = var.vpc_id

  tags = { Name = "${local.name}-load-balancer" }
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  security_group_id = aws_security_group.this.id
  description       = "HTTPS from the internet: wallet page, API"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "api" {
  for_each = { api = var.port, health = var.health_port }

  security_group_id            = aws_security_group.this.id
  description                  = "To the ${each.key} port of the api"
  referenced_security_group_id = var.target_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_egress_rule" "interactions" {
  for_each = var.interactions_enabled ? { interactions = var.interactions_port, health = var.health_port } : {}

  security_group_id            = aws_security_group.this.id
  description                  = "To the ${each.key} port of the service for interactions"
  referenced_security_group_id = var.interactions_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

# Access logs can be encrypted with a key of S3 only.
resource "aws_s3_bucket" "logs" {
  #checkov:skip=CKV_AWS_18:This bucket holds access logs; its own would be logs about logs.
  #checkov:skip=CKV_AWS_144:Access logs are for analysis, and are not restored after a loss of the region.
  #checkov:skip=CKV_AWS_145:A load balancer writes access logs only to buckets with keys of S3.
  #checkov:skip=CKV2_AWS_62:Nothing reacts to new access logs.
  bucket = "${local.name}-load-balancer-logs-${data.aws_caller_identity.current.account_id}"
}

resource "aws_s3_bucket_public_access_block" "logs" {
  bucket = aws_s3_bucket.logs.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "logs" {
  bucket = aws_s3_bucket.logs.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "logs" {
  bucket = aws_s3_bucket.logs.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = 90
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

data "aws_iam_policy_document" "logs" {
  statement {
    sid       = "LoadBalancerWritesLogs"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.logs.arn}/AWSLogs/${data.aws_caller_identity.current.account_id}/*"]

    principals {
      type        = "Service"
      identifiers = ["logdelivery.elasticloadbalancing.amazonaws.com"]
    }
  }

  statement {
    sid       = "DenyPlainHttp"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.logs.arn, "${aws_s3_bucket.logs.arn}/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "logs" {
  bucket = aws_s3_bucket.logs.id
  policy = data.aws_iam_policy_document.logs.json
}

resource "aws_lb" "this" {
  #checkov:skip=CKV2_AWS_76:The firewall has the rules against Log4Shell (KnownBadInputs). The check also requires the list of anonymous addresses, which would refuse members who use a VPN.
  name                       = local.name
  load_balancer_type         = "application"
  internal                   = false
  security_groups            = [aws_security_group.this.id]
  subnets                    = var.public_subnet_ids
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = true
  # Shorter than the 75 s of the api, so that this side closes idle connections: the other way round, a request could meet a closed one.
  idle_timeout = 60

  access_logs {
    bucket  = aws_s3_bucket.logs.id
    enabled = true
  }

  depends_on = [aws_s3_bucket_policy.logs]
}

# A target gets requests once it is ready. ECS replaces a task whose target is unhealthy, and a database or broker that fails over is no reason for
# that: it takes more than three minutes.
resource "aws_lb_target_group" "api" {
  #checkov:skip=CKV_AWS_378:TLS ends at the load balancer; behind it are private subnets, and the security group admits the load balancer only.
  name                 = "${local.name}-api"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = var.port
  deregistration_delay = 30

  health_check {
    port                = var.health_port
    path                = "/readyz"
    matcher             = "200"
    interval            = 20
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 10
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.api.arn
  }
}

# Discord waits three seconds for a response: a task that ends gets no request from the moment at which it is deregistered.
resource "aws_lb_target_group" "interactions" {
  #checkov:skip=CKV_AWS_378:TLS ends at the load balancer; behind it are private subnets, and the security group admits the load balancer only.
  count = var.interactions_enabled ? 1 : 0

  name                 = "${local.name}-interactions"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = var.interactions_port
  deregistration_delay = 10

  health_check {
    port                = var.health_port
    path                = "/readyz"
    matcher             = "200"
    interval            = 20
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 10
  }
}

# Every other path goes to the api: the wallet page, the status page with its style sheet, the API.
resource "aws_lb_listener_rule" "interactions" {
  count = var.interactions_enabled ? 1 : 0

  listener_arn = aws_lb_listener.https.arn
  priority     = 10

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.interactions[0].arn
  }

  condition {
    path_pattern {
      values = ["/interactions"]
    }
  }
}

resource "aws_cloudwatch_log_group" "firewall" {
  # The prefix is required by AWS WAF.
  name              = "aws-waf-logs-${local.name}"
  kms_key_id        = var.kms_key_arn
  retention_in_days = var.log_retention_days
}

resource "aws_wafv2_web_acl" "this" {
  name        = local.name
  description = "Known attacks, and a limit of requests for each address"
  scope       = "REGIONAL"

  default_action {
    allow {}
  }

  # All interactions come from few addresses of Discord, above the limit for one address, and contain what members type, which the rules for
  # attacks would refuse. The signature is checked by the service.
  dynamic "rule" {
    for_each = var.interactions_enabled ? ["interactions"] : []

    content {
      name     = rule.value
      priority = 0

      action {
        allow {}
      }

      statement {
        byte_match_statement {
          positional_constraint = "EXACTLY"
          search_string         = "/interactions"

          field_to_match {
            uri_path {}
          }

          text_transformation {
            priority = 0
            type     = "NONE"
          }
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = rule.value
        sampled_requests_enabled   = true
      }
    }
  }

  rule {
    name     = "rate"
    priority = 1

    action {
      block {}
    }

    statement {
      rate_based_statement {
        aggregate_key_type = "IP"
        limit              = var.requests_per_five_minutes
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "rate"
      sampled_requests_enabled   = true
    }
  }

  rule {
    name     = "known-bad-inputs"
    priority = 2

    override_action {
      none {}
    }

    statement {
      managed_rule_group_statement {
        vendor_name = "AWS"
        name        = "AWSManagedRulesKnownBadInputsRuleSet"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "known-bad-inputs"
      sampled_requests_enabled   = true
    }
  }

  rule {
    name     = "common"
    priority = 3

    override_action {
      none {}
    }

    statement {
      managed_rule_group_statement {
        vendor_name = "AWS"
        name        = "AWSManagedRulesCommonRuleSet"

        # Checkpoints of a server are larger than the 8 KiB of this rule. The api has limits of its own.
        rule_action_override {
          name = "SizeRestrictions_BODY"

          action_to_use {
            count {}
          }
        }
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "common"
      sampled_requests_enabled   = true
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = local.name
    sampled_requests_enabled   = true
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  resource_arn = aws_lb.this.arn
  web_acl_arn  = aws_wafv2_web_acl.this.arn
}

resource "aws_wafv2_web_acl_logging_configuration" "this" {
  resource_arn            = aws_wafv2_web_acl.this.arn
  log_destination_configs = [aws_cloudwatch_log_group.firewall.arn]

  # API keys and the links of wallet pages are secrets.
  redacted_fields {
    single_header {
      name = "authorization"
    }
  }

  redacted_fields {
    uri_path {}
  }
}
