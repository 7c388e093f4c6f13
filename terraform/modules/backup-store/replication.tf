# The second region, with a key of its own: behind enable_cross_region_replication. S3 replicates the objects of the premium plan within
# minutes, and the workers copy what has no tag of a plan (theme registries, shadows of configurations) and report a copy that fails.

locals {
  second_count  = var.enable_cross_region_replication ? 1 : 0
  second_bucket = "gaib-backups-${local.account_id}-${var.second_region}${var.name_suffix}"
}

resource "aws_kms_key" "second" {
  count = local.second_count

  region                  = var.second_region
  description             = "Copies of backups of Discord servers"
  deletion_window_in_days = 30
  enable_key_rotation     = true
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "second" {
  count = local.second_count

  region        = var.second_region
  name          = "alias/${local.key_alias}"
  target_key_id = aws_kms_key.second[0].key_id
}

resource "aws_s3_bucket" "second" {
  #checkov:skip=CKV_AWS_18:As for the first bucket: CloudTrail data events.
  #checkov:skip=CKV_AWS_144:This bucket is the replica.
  #checkov:skip=CKV2_AWS_62:As for the first bucket: nothing reacts to single objects.
  count = local.second_count

  region = var.second_region
  bucket = local.second_bucket
}

resource "aws_s3_bucket_public_access_block" "second" {
  count = local.second_count

  region = var.second_region
  bucket = aws_s3_bucket.second[0].id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "second" {
  count = local.second_count

  region = var.second_region
  bucket = aws_s3_bucket.second[0].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "second" {
  count = local.second_count

  region = var.second_region
  bucket = aws_s3_bucket.second[0].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "second" {
  count = local.second_count

  region = var.second_region
  bucket = aws_s3_bucket.second[0].id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.second[0].arn
    }
  }
}

# A replica needs rules of its own.
resource "aws_s3_bucket_lifecycle_configuration" "second" {
  count = local.second_count

  region = var.second_region
  bucket = aws_s3_bucket.second[0].id

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

  depends_on = [aws_s3_bucket_versioning.second]
}

data "aws_iam_policy_document" "second" {
  count = local.second_count

  statement {
    sid       = "DenyPlainHttp"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.second[0].arn, "${aws_s3_bucket.second[0].arn}/*"]

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

resource "aws_s3_bucket_policy" "second" {
  count = local.second_count

  region = var.second_region
  bucket = aws_s3_bucket.second[0].id
  policy = data.aws_iam_policy_document.second[0].json

  depends_on = [aws_s3_bucket_public_access_block.second]
}

data "aws_iam_policy_document" "replication_assume" {
  statement {
    sid     = "S3Assumes"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }
}

data "aws_iam_policy_document" "replication" {
  count = local.second_count

  statement {
    sid       = "ReadBucket"
    actions   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
    resources = [aws_s3_bucket.this.arn]
  }

  statement {
    sid       = "ReadVersions"
    actions   = ["s3:GetObjectVersionAcl", "s3:GetObjectVersionForReplication", "s3:GetObjectVersionTagging"]
    resources = ["${aws_s3_bucket.this.arn}/*"]
  }

  # No permission to replicate deletions.
  statement {
    sid       = "WriteReplicas"
    actions   = ["s3:ReplicateObject", "s3:ReplicateTags"]
    resources = ["${aws_s3_bucket.second[0].arn}/*"]
  }

  statement {
    sid       = "DecryptSource"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.this.arn]
  }

  statement {
    sid       = "EncryptReplicas"
    actions   = ["kms:Encrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.second[0].arn]
  }
}

resource "aws_iam_role" "replication" {
  count = local.second_count

  name               = "gaib-backups-replication${var.name_suffix}"
  assume_role_policy = data.aws_iam_policy_document.replication_assume.json
}

resource "aws_iam_role_policy" "replication" {
  count = local.second_count

  name   = "replication"
  role   = aws_iam_role.replication[0].id
  policy = data.aws_iam_policy_document.replication[0].json
}

resource "aws_s3_bucket_replication_configuration" "this" {
  count = local.second_count

  bucket = aws_s3_bucket.this.id
  role   = aws_iam_role.replication[0].arn

  rule {
    id       = "premium"
    priority = 0
    status   = "Enabled"

    filter {
      tag {
        key   = "Tier"
        value = "premium"
      }
    }

    # A store that was emptied by mistake can be restored from the second one.
    delete_marker_replication {
      status = "Disabled"
    }

    source_selection_criteria {
      sse_kms_encrypted_objects {
        status = "Enabled"
      }
    }

    destination {
      bucket        = aws_s3_bucket.second[0].arn
      storage_class = "STANDARD_IA"

      encryption_configuration {
        replica_kms_key_id = aws_kms_key.second[0].arn
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this, aws_s3_bucket_versioning.second]
}
