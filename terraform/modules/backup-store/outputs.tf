output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.id
}

output "bucket_arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}

output "environment_variables" {
  description = "The variables of .env.example by which the workers use the store."
  value = merge(
    {
      BACKUP_STORE               = "s3://${aws_s3_bucket.this.id}/${var.prefix}"
      BACKUP_CATALOGUE           = "dynamodb://${aws_dynamodb_table.metadata.name}/${aws_dynamodb_table.tiers.name}"
      BACKUP_KMS_KEY             = aws_kms_alias.this.name
      BACKUP_NOTIFICATION_TOPIC  = aws_sns_topic.notifications.arn
      GAIB_NOTIFICATIONS_ENABLED = "yes"
    },
    var.enable_cross_region_replication ? {
      BACKUP_SECOND_STORE   = "s3://${aws_s3_bucket.second[0].id}/${var.prefix}"
      BACKUP_SECOND_REGION  = var.second_region
      BACKUP_SECOND_KMS_KEY = aws_kms_alias.second[0].name
    } : {},
  )
}

output "worker_policy_json" {
  description = "IAM policy of whoever runs scheduled backups."
  value       = data.aws_iam_policy_document.worker.json
}

output "topic_arn" {
  description = "ARN of the topic of notices about backups."
  value       = aws_sns_topic.notifications.arn
}

output "table_names" {
  description = "Names of the tables of the catalogue."
  value       = [aws_dynamodb_table.metadata.name, aws_dynamodb_table.tiers.name]
}
