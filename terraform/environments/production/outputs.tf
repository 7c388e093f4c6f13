output "api_dns_name" {
  description = "Name of the load balancer, to which the host of verify_base_url is an alias."
  value       = module.platform.api_dns_name
}

output "api_zone_id" {
  description = "Hosted zone of the load balancer, for an alias record."
  value       = module.platform.api_zone_id
}

output "registry_url" {
  description = "Address of the registry, for docker login."
  value       = module.platform.registry_url
}

output "repository_urls" {
  description = "Address of the repository of each service, to which continuous integration pushes."
  value       = module.platform.repository_urls
}

output "push_policy_json" {
  description = "IAM policy with which continuous integration pushes images."
  value       = module.platform.push_policy_json
}

output "secret_arns" {
  description = "ARNs of the secrets whose values operators set."
  value       = module.platform.secret_arns
}

output "cluster_name" {
  description = "Name of the ECS cluster."
  value       = module.platform.cluster_name
}

output "one_off_tasks" {
  description = "Task definition, subnets and security group of the tasks that run once: database-logins, migrate, backup, operator, and discord-proxy-1 for commands about a proxy."
  value       = module.platform.one_off_tasks
}

output "prometheus_endpoint" {
  description = "Base URL of Prometheus for Grafana, which signs its requests (SigV4, service aps)."
  value       = module.platform.prometheus_endpoint
}

output "prometheus_dashboards_policy_json" {
  description = "IAM policy of Grafana."
  value       = module.platform.prometheus_dashboards_policy_json
}

output "security_group_ids" {
  description = "Security groups of the tasks, by name: for what they connect to outside of this configuration, such as a collector of traces."
  value       = module.platform.security_group_ids
}

output "prometheus_operator_url" {
  description = "Base URL of Prometheus inside of the task operator, by its signing proxy."
  value       = module.platform.prometheus_operator_url
}

output "broker_console_url" {
  description = "Address of the broker's console, for the networks of operators."
  value       = module.platform.broker_console_url
}

output "dashboard_name" {
  description = "Name of the CloudWatch dashboard."
  value       = module.platform.dashboard_name
}

output "image_tags" {
  description = "Tags of the images that the last apply deployed."
  value       = var.image_tags
}
