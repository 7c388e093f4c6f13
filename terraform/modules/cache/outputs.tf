output "security_group_id" {
  description = "Security group of the cache."
  value       = aws_security_group.this.id
}

output "member_ids" {
  description = "Identifiers of the nodes, the dimension of their metrics."
  value       = [for index in range(var.replica_count + 1) : format("%s-%03d", local.name, index + 1)]
}

output "credentials_secret_arn" {
  description = "ARN of the secret arrakis-{env}/redis-credentials, JSON with the keys token and url."
  value       = aws_secretsmanager_secret.this.arn
}
