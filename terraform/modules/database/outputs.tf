output "security_group_id" {
  description = "Security group of the database."
  value       = aws_security_group.this.id
}

output "instance_id" {
  description = "Identifier of the instance, the dimension of its metrics."
  value       = aws_db_instance.this.identifier
}

output "address" {
  description = "Host name of the instance."
  value       = aws_db_instance.this.address
}

output "login_secret_arns" {
  description = "ARNs of the secrets of the logins app, admin and owner: JSON with the keys username, password and url."
  value       = { for login, secret in aws_secretsmanager_secret.login : login => secret.arn }
}

output "master_secret_arn" {
  description = "ARN of the secret of the master login, which RDS rotates: JSON with the keys username and password."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}
