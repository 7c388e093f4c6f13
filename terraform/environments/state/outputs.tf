output "bucket" {
  description = "Name of the bucket, for `terraform init -backend-config=bucket=…`."
  value       = module.state.bucket
}
