output "security_group_id" {
  description = "Security group of the broker."
  value       = aws_security_group.this.id
}

output "broker_name" {
  description = "Name of the broker, the dimension of its metrics."
  value       = aws_mq_broker.this.broker_name
}

output "credentials_secret_arn" {
  description = "ARN of the secret arrakis-{env}/rabbitmq-credentials, JSON with the keys username, password and url."
  value       = aws_secretsmanager_secret.this.arn
}

output "console_url" {
  description = "Address of the console, for browsers in console_cidrs."
  value       = aws_mq_broker.this.instances[0].console_url
}
