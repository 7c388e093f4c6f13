output "arns" {
  description = "ARN of each secret, by the name behind arrakis-{env}/."
  value       = { for name, secret in aws_secretsmanager_secret.this : name => secret.arn }
}
