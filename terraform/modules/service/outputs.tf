output "service_name" {
  description = "Name of the ECS service, the dimension of its metrics."
  value       = local.service_name
}

output "security_group_id" {
  description = "Security group of the tasks."
  value       = module.task.security_group_id
}

output "log_group_name" {
  description = "Name of the log group."
  value       = module.task.log_group_name
}

output "task_definition_arn" {
  description = "ARN of the task definition with its revision."
  value       = module.task.task_definition_arn
}
