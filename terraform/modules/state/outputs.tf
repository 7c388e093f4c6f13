output "bucket" {
  description = "Name of the bucket, for `terraform init -backend-config=bucket=…`."
  value       = aws_s3_bucket.this.id
}

output "kms_key_arn" {
  description = "ARN of the KMS key of the states."
  value       = aws_kms_key.this.arn
}
