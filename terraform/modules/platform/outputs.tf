output "api_dns_name" {
  description = "Name of the load balancer, to which the host of verify_base_url is an alias."
  value       = module.load_balancer.dns_name
}

output "api_zone_id" {
  description = "Hosted zone of the load balancer, for an alias record."
  value       = module.load_balancer.zone_id
}

output "registry_url" {
  description = "Address of the registry, for docker login."
  value       = module.registry.registry_url
}

output "repository_urls" {
  description = "Address of the repository of each service, to which continuous integration pushes."
  value       = module.registry.repository_urls
}

output "push_policy_json" {
  description = "IAM policy with which continuous integration pushes images."
  value       = module.registry.push_policy_json
}

output "secret_arns" {
  description = "ARNs of the secrets whose values operators set."
  value       = module.secrets.arns
}

output "cluster_name" {
  description = "Name of the ECS cluster."
  value       = module.cluster.cluster_name
}

# For deploy/aws/task.sh. discord-proxy-1 is for commands about a proxy (`token status --address …`), with the security group of `operator`, which
# the proxies accept.
output "one_off_tasks" {
  description = "Task definition, subnets and security group of the tasks that run once: database-logins, migrate, backup, operator, and discord-proxy-1 for commands about a proxy."
  value = merge(
    {
      for name, task in { database-logins = module.logins, migrate = module.migrate, backup = module.backup, operator = module.operator } : name => {
        task_definition                   = task.task_definition_arn
        subnets                           = module.network.private_subnet_ids
        security_group                    = task.security_group_id
        log_group                         = task.log_group_name
      }
    },
    {
      discord-proxy-1 = {
        task_definition = module.discord_proxy["discord-proxy-1"].task_definition_arn
        subnets         = module.network.private_subnet_ids
        security_group  = module.operator.security_group_id
        log_group       = module.discord_proxy["discord-proxy-1"].log_group_name
      }
    },
  )
}

output "prometheus_endpoint" {
  description = "Base URL of Prometheus for Grafana, which signs its requests (SigV4, service aps)."
  value       = module.prometheus.endpoint
}

output "prometheus_dashboards_policy_json" {
  description = "IAM policy of Grafana."
  value       = module.prometheus.dashboards_policy_json
}

output "security_group_ids" {
  description = "Security groups of the tasks, by name: for what they connect to outside of this configuration, such as a collector of traces."
  value = merge(
    { for name, task in { api = module.api, backup = module.backup, ingestor = module.ingestor, interactions = module.interactions, operator = module.operator, telegram = module.telegram, worker = module.worker, worker-canary = module.worker_canary, worker-shadow = module.worker_shadow } : name => task.security_group_id },
    { for name in local.proxies : name => module.discord_proxy[name].security_group_id },
  )
}

# For deploy/aws/canary.sh.
output "prometheus_operator_url" {
  description = "Base URL of Prometheus inside of the task operator, by its signing proxy."
  value       = "http://127.0.0.1:${local.signing_proxy_port}/workspaces/${module.prometheus.workspace_id}"
}

output "broker_console_url" {
  description = "Address of the broker's console, for the networks of operators."
  value       = module.broker.console_url
}

output "dashboard_name" {
  description = "Name of the CloudWatch dashboard."
  value       = module.alarms.dashboard_name
}
