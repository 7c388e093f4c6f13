locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  bucket     = "gaib-backups-${local.account_id}${var.name_suffix}"
  key_alias  = "gaib-backups${var.name_suffix}"
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:In the policy of a key, the resource is that key.
  #checkov:skip=CKV_AWS_111:In the policy of a key, the resource is that key.
  #checkov:skip=CKV_AWS_356:In the policy of a key, the resource is that key.
  # Without this statement nobody could change the key. IAM policies decide who uses it.
  statement {
    sid       = "AccountAdministersKey"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account_id}:root"]
    }
  }
}

resource "aws_kms_key" "this" {
  description             = "Backups, snapshots and exports of Discord servers, and their catalogue"
  deletion_window_in_days = 30
  enable_key_rotation     = true
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "this" {
  name          = "alias/${local.key_alias}"
  target_key_id = aws_kms_key.this.key_id
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:Reads and writes of objects are recorded by CloudTrail data events, where the account has them; access logs would be a second bucket to protect.
  #checkov:skip=CKV_AWS_144:Replication is behind enable_cross_region_replication.
  #checkov:skip=CKV2_AWS_62:Workers send the notices about backups; nothing reacts to single objects.
  bucket = local.bucket
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.this.arn
    }
  }
}

# The retention of the workers decides what may go, and tags it: the newest good backup is never tagged.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "expired"
    status = "Enabled"

    filter {
      tag {
        key   = "Retain"
        value = "expired"
      }
    }

    expiration {
      days = 1
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  # Glacier Instant Retrieval: a restore after day 30 takes milliseconds. S3 moves objects below 128 KB, which most backups are, only with
  # a size in the filter.
  rule {
    id     = "premium-to-glacier"
    status = "Enabled"

    filter {
      and {
        object_size_greater_than = 1

        tags = {
          Tier = "premium"
        }
      }
    }

    transition {
      days          = 30
      storage_class = "GLACIER_IR"
    }
  }

  # Without a filter: replaced versions, markers of deletions, uploads that never ended.
  rule {
    id     = "remains"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 90
    }

    expiration {
      expired_object_delete_marker = true
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

data "aws_iam_policy_document" "bucket" {
  statement {
    sid       = "DenyPlainHttp"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]

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

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = data.aws_iam_policy_document.bucket.json

  depends_on = [aws_s3_bucket_public_access_block.this]
}

# The catalogue: shared/vault/src/catalogue/dynamo.
resource "aws_dynamodb_table" "metadata" {
  name                        = "gaib-backup-metadata${var.name_suffix}"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "PK"
  range_key                   = "SK"
  deletion_protection_enabled = true

  attribute {
    name = "PK"
    type = "S"
  }

  attribute {
    name = "SK"
    type = "S"
  }

  attribute {
    name = "GSI1PK"
    type = "S"
  }

  attribute {
    name = "GSI1SK"
    type = "S"
  }

  global_secondary_index {
    name            = "GSI1"
    hash_key        = "GSI1PK"
    range_key       = "GSI1SK"
    projection_type = "ALL"
  }

  ttl {
    enabled        = true
    attribute_name = "TTL"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.this.arn
  }
}

resource "aws_dynamodb_table" "tiers" {
  name                        = "gaib-server-tiers${var.name_suffix}"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "PK"
  range_key                   = "SK"
  deletion_protection_enabled = true

  attribute {
    name = "PK"
    type = "S"
  }

  attribute {
    name = "SK"
    type = "S"
  }

  # Counted uses of plans expire.
  ttl {
    enabled        = true
    attribute_name = "TTL"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.this.arn
  }
}

resource "aws_sns_topic" "notifications" {
  name              = "gaib-backup-notifications${var.name_suffix}"
  kms_master_key_id = aws_kms_key.this.arn
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.notification_emails

  topic_arn = aws_sns_topic.notifications.arn
  protocol  = "email"
  endpoint  = each.key

  filter_policy = each.value == "failures" ? jsonencode({ outcome = ["failure"] }) : null
}

# What the workers, and the task that EventBridge starts, may do.
data "aws_iam_policy_document" "worker" {
  statement {
    sid       = "ListBackups"
    actions   = ["s3:ListBucket"]
    resources = concat([aws_s3_bucket.this.arn], aws_s3_bucket.second[*].arn)
  }

  statement {
    sid     = "ReadAndWriteBackups"
    actions = ["s3:DeleteObject", "s3:GetObject", "s3:GetObjectTagging", "s3:PutObject", "s3:PutObjectTagging"]

    resources = [
      for arn in concat([aws_s3_bucket.this.arn], aws_s3_bucket.second[*].arn) : "${arn}/${var.prefix}/*"
    ]
  }

  statement {
    sid     = "ReadAndWriteCatalogue"
    actions = ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"]

    resources = [
      aws_dynamodb_table.metadata.arn,
      "${aws_dynamodb_table.metadata.arn}/index/GSI1",
      aws_dynamodb_table.tiers.arn,
    ]
  }

  statement {
    sid       = "UseKeys"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = concat([aws_kms_key.this.arn], aws_kms_key.second[*].arn)
  }

  statement {
    sid       = "SendNotices"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.notifications.arn]
  }
}
