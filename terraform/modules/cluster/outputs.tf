output "cluster_arn" {
  description = "ARN of the ECS cluster."
  value       = aws_ecs_cluster.this.arn
}

output "cluster_name" {
  description = "Name of the ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "namespace_id" {
  description = "Id of the namespace in which services are found by name."
  value       = aws_service_discovery_private_dns_namespace.this.id
}

output "namespace_name" {
  description = "Name of the namespace, such as arrakis-staging.internal."
  value       = aws_service_discovery_private_dns_namespace.this.name
}

output "metrics_log_group_arn" {
  description = "ARN of the log group that collectors write metrics to."
  value       = aws_cloudwatch_log_group.metrics.arn
}

output "metrics_log_group_name" {
  description = "Name of the log group that collectors write metrics to."
  value       = aws_cloudwatch_log_group.metrics.name
}
